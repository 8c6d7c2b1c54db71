//! Configuration of the pallets, by concern.

#[path = "compute_stub.rs"]
pub mod compute;
pub mod consensus;
pub mod governance;
pub mod system;
