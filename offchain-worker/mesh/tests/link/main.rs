//! The link module from outside: calls, limits, hostile peers. `raw` speaks the wire format by itself.

mod calls;
mod flow;
mod hostile;
mod random;
mod raw;
mod support;
