//! What a result costs, and who gets which part of it.

use crate::{Config, Demand, Pallet};
use frame_support::traits::{Get, fungible::Inspect};
use llmesh_primitives::{ModelVersionId, Priority, traits::Split};
use sp_core::U256;
use sp_runtime::{ArithmeticError, FixedPointNumber, FixedU128, Permill};

/// Fees are multiples of this many planck.
pub const FEE_QUANTUM: u128 = 10;

/// Prices are for this many multiply-accumulates.
const MACS_PER_PRICE: u128 = 1_000_000;

impl<T: Config> Pallet<T> {
    /// See [`llmesh_primitives::traits::Escrow::fee`].
    pub(crate) fn fee_for(
        model: ModelVersionId,
        price: u128,
        complexity: u64,
        priority: Priority,
    ) -> Option<u128> {
        raw_fee(price, complexity, Demand::<T>::get(model), priority)
            .map(|fee| fee.max(T::MinFee::get()))
            .and_then(round_up)
    }

    /// Divides a fee by the configured shares.
    pub(crate) fn split(fee: u128) -> Result<Split, ArithmeticError> {
        let host = T::HostShare::get().mul_floor(fee);
        let pool = T::PoolShare::get().mul_floor(fee);
        let treasury = fee
            .checked_sub(host)
            .and_then(|rest| rest.checked_sub(pool))
            .ok_or(ArithmeticError::Underflow)?;
        Ok(Split { host, pool, treasury })
    }

    /// Checks what the documentation of the constants asks for.
    pub(crate) fn check_constants() {
        let shares = T::HostShare::get()
            .deconstruct()
            .checked_add(T::PoolShare::get().deconstruct());
        assert!(
            shares.is_some_and(|sum| sum <= Permill::one().deconstruct()),
            "the shares exceed the fee"
        );
        let min_fee = T::MinFee::get();
        assert!(
            min_fee > 0 && round_up(min_fee) == Some(min_fee),
            "MinFee is not a multiple of the fee quantum"
        );
        let minimum = T::Currency::minimum_balance();
        let enough = |part: u128| part == 0 || part >= minimum;
        assert!(
            Self::split(min_fee).is_ok_and(|s| enough(s.host) && enough(s.pool) && enough(s.treasury)),
            "a part of MinFee is below the existential deposit"
        );
    }
}

/// Price x complexity x demand x priority in planck, rounded up; `None` when it does not fit.
fn raw_fee(price: u128, complexity: u64, demand: FixedU128, priority: Priority) -> Option<u128> {
    // In halves, so that all factors are integers.
    let factor = match priority {
        Priority::Normal => 2u8,
        Priority::High => 3,
        Priority::Urgent => 4,
    };
    let unit = U256::from(MACS_PER_PRICE)
        .checked_mul(FixedU128::DIV.into())?
        .checked_mul(2u8.into())?;
    // When this product exceeds 256 bits, then the fee exceeds 128 bits by far.
    let product = U256::from(price)
        .checked_mul(complexity.into())?
        .checked_mul(demand.into_inner().into())?
        .checked_mul(factor.into())?;
    let partial = if product.checked_rem(unit)?.is_zero() {
        0u8
    } else {
        1
    };
    product
        .checked_div(unit)?
        .checked_add(partial.into())?
        .try_into()
        .ok()
}

fn round_up(fee: u128) -> Option<u128> {
    fee.checked_next_multiple_of(FEE_QUANTUM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: FixedU128 = FixedU128::from_u32(1);

    fn priority() -> impl Strategy<Value = Priority> {
        prop_oneof![
            Just(Priority::Normal),
            Just(Priority::High),
            Just(Priority::Urgent)
        ]
    }

    #[test]
    fn a_price_is_for_a_million_macs() {
        assert_eq!(raw_fee(500, 1_000_000, ONE, Priority::Normal), Some(500));
        assert_eq!(raw_fee(500, 3_000_000, ONE, Priority::Normal), Some(1_500));
    }

    #[test]
    fn priority_costs_half_as_much_again_or_twice_as_much() {
        assert_eq!(raw_fee(500, 1_000_000, ONE, Priority::High), Some(750));
        assert_eq!(raw_fee(500, 1_000_000, ONE, Priority::Urgent), Some(1_000));
    }

    #[test]
    fn fractions_of_a_planck_are_rounded_up() {
        assert_eq!(raw_fee(1, 1, ONE, Priority::Normal), Some(1));
        assert_eq!(raw_fee(1, 1_000_001, ONE, Priority::Normal), Some(2));
        assert_eq!(raw_fee(1, 1_000_000, ONE, Priority::High), Some(2));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            raw_fee(u128::MAX, 1_000_000, ONE, Priority::Normal),
            Some(u128::MAX)
        );
        assert_eq!(raw_fee(u128::MAX, 1_000_000, ONE, Priority::High), None);
        assert_eq!(
            raw_fee(
                u128::MAX,
                u64::MAX,
                FixedU128::from_inner(u128::MAX),
                Priority::Urgent
            ),
            None
        );
        assert_eq!(round_up(u128::MAX), None);
    }

    proptest! {
        #[test]
        fn rounding_adds_less_than_a_quantum(fee in 0..=u128::MAX - FEE_QUANTUM) {
            let rounded = round_up(fee).unwrap();
            prop_assert_eq!(rounded % FEE_QUANTUM, 0);
            prop_assert!(rounded >= fee && rounded - fee < FEE_QUANTUM);
        }

        #[test]
        fn small_fees_are_what_plain_arithmetic_gives(
            price in 0u128..1 << 40,
            complexity in 0u64..1 << 36,
            percent in 1u32..1_000,
            priority in priority(),
        ) {
            let demand = FixedU128::from_rational(percent.into(), 100);
            let twice = match priority { Priority::Normal => 2u128, Priority::High => 3, Priority::Urgent => 4 };
            let product = price * u128::from(complexity) * u128::from(percent) * twice;
            prop_assert_eq!(
                raw_fee(price, complexity, demand, priority),
                Some(product.div_ceil(1_000_000 * 100 * 2))
            );
        }

        #[test]
        fn nothing_gets_cheaper_by_asking_for_more(
            price in any::<u128>(),
            complexity in any::<u64>(),
            demand in any::<u128>(),
            priority in priority(),
        ) {
            let fee = |p: u128, c: u64, d: u128, priority| {
                raw_fee(p, c, FixedU128::from_inner(d), priority).unwrap_or(u128::MAX)
            };
            let base = fee(price, complexity, demand, priority);
            prop_assert!(fee(price.saturating_add(1), complexity, demand, priority) >= base);
            prop_assert!(fee(price, complexity.saturating_add(1), demand, priority) >= base);
            prop_assert!(fee(price, complexity, demand.saturating_add(1), priority) >= base);
            prop_assert!(fee(price, complexity, demand, Priority::Urgent) >= base);
            prop_assert!(fee(price, complexity, demand, Priority::Normal) <= base);
        }
    }
}
