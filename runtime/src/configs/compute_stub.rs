//! Stands in for `compute.rs` until the pallets of the compute market are part of the runtime.

use crate::RuntimeCall;
use frame_support::traits::Contains;

/// The calls of the compute market: none yet.
pub struct ComputeCalls;
impl Contains<RuntimeCall> for ComputeCalls {
    fn contains(_call: &RuntimeCall) -> bool {
        false
    }
}
