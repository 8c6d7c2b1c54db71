//! Configuration of the pallets, by concern.

pub mod compute;
pub mod consensus;
pub mod governance;
pub mod system;
