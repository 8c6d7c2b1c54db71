//! Nonces for many transactions a block.

/// The next nonce of one key, counted here, so that a transaction need not wait for the one before it.
///
/// The count starts from what the node says and starts over whenever the pool disagrees: after any rejection, and after
/// an accepted transaction was dropped or usurped, which would leave a gap that holds up all later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonceTracker {
    next: Option<u64>,
}

impl NonceTracker {
    /// The nonce to use, or `None` when the node has to be asked.
    pub fn peek(&self) -> Option<u64> {
        self.next
    }

    /// What the node says.
    pub fn seed(&mut self, next: u64) {
        self.next = Some(next);
    }

    /// The pool took a transaction with the nonce that [`Self::peek`] gave.
    pub fn accepted(&mut self) {
        self.next = self.next.and_then(|n| n.checked_add(1));
    }

    /// Something did not go as counted.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A pool that orders by nonce, and a chain that takes whatever is next.
    #[derive(Default)]
    struct World {
        on_chain: u64,
        pool: BTreeSet<u64>,
    }

    impl World {
        fn next_index(&self) -> u64 {
            (self.on_chain..).find(|n| !self.pool.contains(n)).unwrap()
        }

        fn accept(&mut self, nonce: u64) -> bool {
            nonce >= self.on_chain && self.pool.insert(nonce)
        }

        fn block(&mut self) {
            while self.pool.remove(&self.on_chain) {
                self.on_chain += 1;
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Submit,
        Block,
        /// Another program with the same key.
        Foreign,
        /// The pool loses one of ours and tells the watcher.
        Drop(u8),
        /// The node restarts with an empty pool, and all watchers fail.
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Submit),
            2 => Just(Step::Block),
            1 => Just(Step::Foreign),
            1 => any::<u8>().prop_map(Step::Drop),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        /// Whatever happens in between, a submission is accepted at the second try at the latest, and once things are
        /// calm a block empties the pool: no gap holds transactions up.
        #[test]
        fn submissions_always_get_through(steps in proptest::collection::vec(step(), 0..60)) {
            let mut world = World::default();
            let mut tracker = NonceTracker::default();
            let submit = |world: &mut World, tracker: &mut NonceTracker| {
                for _ in 0..2 {
                    let nonce = tracker.peek().unwrap_or_else(|| world.next_index());
                    tracker.seed(nonce);
                    if world.accept(nonce) {
                        tracker.accepted();
                        return true;
                    }
                    tracker.reset();
                }
                false
            };
            for step in steps {
                match step {
                    Step::Submit => prop_assert!(submit(&mut world, &mut tracker)),
                    Step::Block => world.block(),
                    Step::Foreign => { let n = world.next_index(); world.accept(n); }
                    Step::Drop(i) => {
                        let victim = world.pool.iter().nth(usize::from(i) % world.pool.len().max(1)).copied();
                        if let Some(victim) = victim {
                            world.pool.remove(&victim);
                            tracker.reset();
                        }
                    }
                    Step::Restart => { world.pool.clear(); tracker.reset(); }
                }
            }
            // Fill whatever gap was left, as retries of the dropped ones do.
            for _ in 0..=world.pool.len() + 1 {
                tracker.reset();
                prop_assert!(submit(&mut world, &mut tracker));
            }
            world.block();
            prop_assert!(world.pool.is_empty());
        }
    }

    #[test]
    fn counts_up_without_asking() {
        let mut tracker = NonceTracker::default();
        assert_eq!(tracker.peek(), None);
        tracker.seed(7);
        tracker.accepted();
        tracker.accepted();
        assert_eq!(tracker.peek(), Some(9));
        tracker.reset();
        assert_eq!(tracker.peek(), None);
    }
}
