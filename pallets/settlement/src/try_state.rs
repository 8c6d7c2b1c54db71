//! What always holds in this pallet's storage.

use crate::{Config, Demand, Held, HoldReason, Pallet, TotalHeld, demand};
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Checks that the records of what is set aside agree with the funds on hold and with their sum, and that
    /// demand factors are within bounds.
    ///
    /// # Errors
    /// With the first thing that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut total: u128 = 0;
        for (who, held) in Held::<T>::iter() {
            ensure!(held > 0, "a record of nothing set aside is kept");
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::JobEscrow.into(), &who) == held,
                "the funds on hold differ from what is set aside"
            );
            total = total.checked_add(held).ok_or("what is set aside overflows")?;
        }
        ensure!(
            total == TotalHeld::<T>::get(),
            "the total differs from the sum of what is set aside"
        );
        ensure!(
            Demand::<T>::iter_values().all(|factor| factor >= demand::FLOOR && factor <= demand::CEILING),
            "a demand factor is out of bounds"
        );
        Ok(())
    }
}
