//! A real server on a free port, before a node that follows a script.

mod hostile;
mod oip;
mod rpc;
mod shutdown;
mod support;
