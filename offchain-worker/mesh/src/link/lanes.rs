//! Order of sending: by priority, first come first served (or turn by turn) within one, and nobody starves.

use std::collections::{BTreeMap, VecDeque};

/// One take in so many goes to a lower priority than the highest that waits; the lower ones take turns at that.
const PATIENCE: u32 = 8;

/// Queues by priority.
pub(super) struct Lanes<T> {
    lanes: BTreeMap<u8, VecDeque<T>>,
    len: usize,
    passed: u32,
    turn: u8,
}

impl<T: PartialEq> Lanes<T> {
    pub fn new() -> Self {
        Self {
            lanes: BTreeMap::new(),
            len: 0,
            passed: 0,
            turn: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, priority: u8, item: T) {
        self.lanes.entry(priority).or_default().push_back(item);
        self.len += 1;
    }

    /// Puts back what was taken and could not be served: it is the next of its lane.
    pub fn unpop(&mut self, priority: u8, item: T) {
        self.lanes.entry(priority).or_default().push_front(item);
        self.len += 1;
    }

    pub fn pop(&mut self) -> Option<(u8, T)> {
        loop {
            let several = self.lanes.len() > 1;
            let top = *self.lanes.last_key_value()?.0;
            let starving = several && self.passed + 1 >= PATIENCE;
            let priority = if starving { self.below(top) } else { top };
            let lane = self.lanes.get_mut(&priority)?;
            let Some(item) = lane.pop_front() else {
                // The last lane stays when it runs empty, for its memory; it goes when it is in the way.
                if !several {
                    return None;
                }
                self.lanes.remove(&priority);
                continue;
            };
            self.len -= 1;
            self.passed = if starving || !several { 0 } else { self.passed + 1 };
            if starving {
                self.turn = priority;
            }
            return Some((priority, item));
        }
    }

    /// The lower lane whose turn it is: the next one below that which had the last turn.
    fn below(&self, top: u8) -> u8 {
        let next = |limit: u8| {
            self.lanes
                .range(..limit)
                .next_back()
                .map(|(priority, _)| *priority)
        };
        next(self.turn.min(top)).or_else(|| next(top)).unwrap_or(top)
    }

    /// Takes `item` out, wherever it stands. Linear in the length of its lane: for cancellations only.
    pub fn remove(&mut self, priority: u8, item: &T) -> bool {
        let Some(lane) = self.lanes.get_mut(&priority) else {
            return false;
        };
        let Some(at) = lane.iter().position(|other| other == item) else {
            return false;
        };
        lane.remove(at);
        self.len -= 1;
        if lane.is_empty() {
            self.lanes.remove(&priority);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_first_then_in_order() {
        let mut lanes = Lanes::new();
        for (priority, item) in [(1, 'a'), (9, 'b'), (1, 'c'), (9, 'd')] {
            lanes.push(priority, item);
        }
        let order: String = std::iter::from_fn(|| lanes.pop().map(|(_, item)| item)).collect();
        assert_eq!(order, "bdac");
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn the_lowest_gets_one_turn_in_eight() {
        let mut lanes = Lanes::new();
        lanes.push(0, 0);
        lanes.push(0, 0);
        let mut seen = Vec::new();
        for _ in 0..16 {
            lanes.push(200, 1);
            lanes.push(200, 1);
            seen.push(lanes.pop().unwrap().1);
        }
        assert_eq!(seen.iter().filter(|item| **item == 0).count(), 2);
        assert_eq!(seen[7], 0);
    }

    #[test]
    fn all_lower_ones_have_turns() {
        let mut lanes = Lanes::new();
        for priority in [1, 2, 3] {
            (0..10).for_each(|_| lanes.push(priority, priority));
        }
        let mut seen = Vec::new();
        for _ in 0..48 {
            lanes.push(9, 9);
            lanes.push(9, 9);
            seen.push(lanes.pop().unwrap().1);
        }
        seen.retain(|item| *item != 9);
        assert_eq!(seen, [3, 2, 1, 3, 2, 1]);
    }

    #[test]
    fn removal_and_return() {
        let mut lanes = Lanes::new();
        lanes.push(3, 'x');
        lanes.push(3, 'y');
        let (priority, item) = lanes.pop().unwrap();
        lanes.unpop(priority, item);
        assert!(lanes.remove(3, &'y') && !lanes.remove(3, &'y') && !lanes.remove(4, &'x'));
        assert_eq!(lanes.pop(), Some((3, 'x')));
        assert_eq!(lanes.pop(), None);
    }
}
