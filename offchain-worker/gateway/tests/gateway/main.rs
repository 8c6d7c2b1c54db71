//! A real server on a free port, before a node that follows a script.

mod hostile;
mod measure;
mod oip;
mod rpc;
mod shutdown;
mod support;
