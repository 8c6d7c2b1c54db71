//! How the demand factor of a model version follows its utilisation.
//!
//! Utilisation is the share of the capacity on offer that was at work during an epoch. Between 40 and 60 %
//! supply and demand are in balance and the factor stays. Outside this dead band it moves in proportion to
//! the distance from the band: at full utilisation up by 2 %, when idle down by 2 %, never faster. It stays
//! between one half and ten: from balance it takes 35 idle epochs to reach the floor, and 117 at full load to
//! reach the ceiling. Hosts and clients can see every step coming, and a short burst can not move prices by
//! much.

use crate::{Config, Demand, Event, Pallet};
use llmesh_primitives::ModelVersionId;
use sp_runtime::{FixedU128, Permill, Saturating};

/// The factor that a model version begins with.
pub const INITIAL: FixedU128 = FixedU128::from_u32(1);
/// The factor never falls below this.
pub const FLOOR: FixedU128 = FixedU128::from_rational(1, 2);
/// The factor never rises above this.
pub const CEILING: FixedU128 = FixedU128::from_u32(10);
/// Utilisation from which on the factor stays.
pub const BAND_LOW: Permill = Permill::from_percent(40);
/// Utilisation up to which the factor stays.
pub const BAND_HIGH: Permill = Permill::from_percent(60);
/// Largest relative change in one epoch.
pub const MAX_STEP: Permill = Permill::from_percent(2);

impl<T: Config> Pallet<T> {
    /// Moves the model version's demand factor by what its utilisation of the past epoch calls for. To be
    /// called once per epoch and version by whoever measures utilisation.
    pub fn note_utilisation(model: ModelVersionId, utilisation: Permill) {
        let before = Demand::<T>::get(model);
        let demand = next(before, utilisation);
        if demand != before {
            Demand::<T>::insert(model, demand);
            Self::deposit_event(Event::DemandChanged { model, demand });
        }
    }
}

/// The factor after an epoch with this utilisation.
pub fn next(demand: FixedU128, utilisation: Permill) -> FixedU128 {
    let inner = demand.into_inner();
    let moved = if utilisation > BAND_HIGH {
        let step = step(
            utilisation.saturating_sub(BAND_HIGH),
            Permill::one().saturating_sub(BAND_HIGH),
        );
        inner.saturating_add(step.mul_floor(inner))
    } else if utilisation < BAND_LOW {
        let step = step(BAND_LOW.saturating_sub(utilisation), BAND_LOW);
        inner.saturating_sub(step.mul_floor(inner))
    } else {
        inner
    };
    FixedU128::from_inner(moved).clamp(FLOOR, CEILING)
}

/// The relative change at `distance` from the dead band, out of `range`.
fn step(distance: Permill, range: Permill) -> Permill {
    let part = Permill::from_rational(distance.deconstruct(), range.deconstruct());
    Permill::from_parts(part.mul_floor(MAX_STEP.deconstruct()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent(n: u32) -> Permill {
        Permill::from_percent(n)
    }

    fn after(epochs: usize, utilisation: Permill) -> FixedU128 {
        (0..epochs).fold(INITIAL, |demand, _| next(demand, utilisation))
    }

    #[test]
    fn the_factor_stays_inside_the_dead_band() {
        for utilisation in 40..=60 {
            assert_eq!(next(INITIAL, percent(utilisation)), INITIAL);
        }
    }

    #[test]
    fn the_step_grows_with_the_distance_from_the_band() {
        assert_eq!(next(INITIAL, percent(100)), FixedU128::from_rational(102, 100));
        assert_eq!(next(INITIAL, percent(80)), FixedU128::from_rational(101, 100));
        assert_eq!(next(INITIAL, percent(20)), FixedU128::from_rational(99, 100));
        assert_eq!(next(INITIAL, percent(0)), FixedU128::from_rational(98, 100));
    }

    #[test]
    fn idle_models_reach_the_floor_and_busy_ones_the_ceiling_when_documented() {
        assert!(after(34, percent(0)) > FLOOR);
        assert_eq!(after(35, percent(0)), FLOOR);
        assert_eq!(after(1_000, percent(0)), FLOOR);
        assert!(after(116, percent(100)) < CEILING);
        assert_eq!(after(117, percent(100)), CEILING);
        assert_eq!(after(1_000, percent(100)), CEILING);
    }

    proptest! {
        #[test]
        fn no_step_is_larger_than_two_percent_or_leaves_the_bounds(
            inner in FLOOR.into_inner()..=CEILING.into_inner(),
            parts in 0u32..=1_000_000,
        ) {
            let before = FixedU128::from_inner(inner);
            let after = next(before, Permill::from_parts(parts));
            prop_assert!(after >= FLOOR && after <= CEILING);
            prop_assert!(after.into_inner().abs_diff(inner) <= inner / 50);
        }

        #[test]
        fn more_utilisation_never_gives_a_lower_factor(
            inner in FLOOR.into_inner()..=CEILING.into_inner(),
            a in 0u32..=1_000_000,
            b in 0u32..=1_000_000,
        ) {
            let demand = FixedU128::from_inner(inner);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(next(demand, Permill::from_parts(low)) <= next(demand, Permill::from_parts(high)));
        }
    }
}
