//! Which of a lane's numbers were used.

use codec::{Decode, Encode};
use sp_core::U256;

/// How far from the highest number another may be. Above what a client has on its way at a time, as requests can overtake
/// each other and get lost.
pub(crate) const WINDOW: u64 = 256;

/// Used numbers: the highest, and those of the [`WINDOW`] below it. What is below that counts as used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Used {
    /// 0 if none was used; numbers count from 1.
    highest: u64,
    /// Bit `i` is the number `highest - 1 - i`.
    below: U256,
}

impl Used {
    pub fn highest(&self) -> u64 {
        self.highest
    }

    pub fn has(&self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => false,
            Some(0) => true,
            Some(back) => back > WINDOW || self.below.bit(place(back)),
        }
    }

    pub fn insert(&mut self, number: u64) {
        if let Some(ahead) = number.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            let ahead = ahead.min(WINDOW.saturating_add(1));
            // What is pushed out of the bits is below the window now; of the highest so far that may be so as well.
            self.below = self.below << ahead as usize | U256::one() << place(ahead);
            self.highest = number;
        } else {
            let back = self.highest.saturating_sub(number);
            if (1..=WINDOW).contains(&back) {
                self.below |= U256::one() << place(back);
            }
        }
    }
}

/// The bit of the number that is `back` below the highest.
fn place(back: u64) -> usize {
    back.saturating_sub(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::DecodeAll;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_of_the_last(steps in prop::collection::vec((0u64..600, 0u8..4), 1..100)) {
            let mut used = Used::default();
            let mut all = BTreeSet::from([0]);
            for (step, kind) in steps {
                let highest = used.highest();
                let number = match kind {
                    0 => highest + step,
                    1 => highest + step % 3,
                    2 => highest.saturating_sub(step % 260),
                    _ => highest.saturating_sub(step),
                };
                used.insert(number);
                all.insert(number);
                let top = *all.last().unwrap();
                prop_assert_eq!(used.highest(), top);
                for number in top.saturating_sub(700)..=top + 300 {
                    let expected = number + WINDOW < top || all.contains(&number);
                    prop_assert_eq!(used.has(number), expected, "{} of {}", number, top);
                }
            }
            prop_assert_eq!(Used::decode_all(&mut &*used.encode()).unwrap(), used);
        }
    }

    #[test]
    fn the_ends_of_the_numbers() {
        let mut used = Used::default();
        assert!(used.has(0) && !used.has(1) && !used.has(u64::MAX));
        used.insert(u64::MAX);
        assert!(used.has(u64::MAX) && !used.has(u64::MAX - 1) && used.has(1));
        used.insert(1);
        used.insert(u64::MAX - WINDOW);
        assert!(used.has(u64::MAX - WINDOW) && !used.has(u64::MAX - WINDOW + 1));
    }
}
