//! Evidence about one account, and how conduct changes it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use llmesh_primitives::traits::Conduct;
use scale_info::TypeInfo;
use sp_runtime::Perbill;

/// One unit of evidence in the fixed-point numbers of [`Evidence`].
pub const SCALE: u64 = 1_000_000_000;
/// What is left of old evidence when new evidence comes.
const DECAY: Perbill = Perbill::from_percent(98);
/// `1 / (1 - DECAY)`: to this many times the largest weight evidence can grow.
const MEMORY: u64 = 50;
/// The largest weight of good conduct, in units.
const MAX_GOOD: u64 = 1;
/// The largest weight of bad conduct, in units.
const MAX_BAD: u64 = 4;

/// The parameters of a beta distribution, prior included, in billionths ([`SCALE`]) of a unit. Neither is
/// ever below one unit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Evidence {
    /// For good conduct.
    pub alpha: u64,
    /// For bad conduct.
    pub beta: u64,
}

impl Default for Evidence {
    /// The prior, Beta(1, 1).
    fn default() -> Self {
        Self {
            alpha: SCALE,
            beta: SCALE,
        }
    }
}

impl Evidence {
    /// The expected value of the distribution, rounded down.
    pub fn score(&self) -> Perbill {
        Perbill::from_rational(self.alpha, self.alpha.saturating_add(self.beta))
    }

    /// The evidence once `conduct` is added to it.
    #[must_use]
    pub fn after(self, conduct: Conduct) -> Self {
        let (good, bad) = weight(conduct);
        Self {
            alpha: add(self.alpha, good),
            beta: add(self.beta, bad),
        }
    }

    /// Whether both parameters are between the prior and the most that can pile up.
    pub fn is_within_bounds(&self) -> bool {
        let most = |weight: u64| {
            MEMORY
                .saturating_mul(weight)
                .saturating_add(1)
                .saturating_mul(SCALE)
        };
        (SCALE..=most(MAX_GOOD)).contains(&self.alpha) && (SCALE..=most(MAX_BAD)).contains(&self.beta)
    }
}

/// Units of good and bad evidence that a conduct gives.
const fn weight(conduct: Conduct) -> (u64, u64) {
    match conduct {
        Conduct::Match => (MAX_GOOD, 0),
        Conduct::Timeout => (0, 1),
        Conduct::Unavailable => (0, 2),
        Conduct::Mismatch | Conduct::Offence => (0, MAX_BAD),
    }
}

/// A parameter after decay and `units` of new evidence; with new evidence never less than before.
fn add(parameter: u64, units: u64) -> u64 {
    let decayed = DECAY
        .mul_floor(parameter.saturating_sub(SCALE))
        .saturating_add(SCALE);
    if units == 0 {
        decayed
    } else {
        decayed.saturating_add(units.saturating_mul(SCALE)).max(parameter)
    }
}
