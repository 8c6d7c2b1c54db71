//! Order of sending: by priority, first come first served (or turn by turn) within one, and nobody starves.

use std::collections::{BTreeMap, VecDeque};

/// After this many takes in a row that passed over a lower priority, the lowest one has its turn.
const PATIENCE: u32 = 8;

/// Queues by priority.
pub(super) struct Lanes<T> {
    lanes: BTreeMap<u8, VecDeque<T>>,
    len: usize,
    passed: u32,
}

impl<T: PartialEq> Lanes<T> {
    pub fn new() -> Self {
        Self { lanes: BTreeMap::new(), len: 0, passed: 0 }
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
            let starving = several && self.passed + 1 >= PATIENCE;
            let mut lane = if starving { self.lanes.first_entry()? } else { self.lanes.last_entry()? };
            let priority = *lane.key();
            let Some(item) = lane.get_mut().pop_front() else {
                // The last lane stays when it runs empty, for its memory; it goes when it is in the way.
                if !several {
                    return None;
                }
                lane.remove();
                continue;
            };
            self.len -= 1;
            self.passed = if starving || !several { 0 } else { self.passed + 1 };
            return Some((priority, item));
        }
    }

    /// Takes `item` out, wherever it stands. Linear in the length of its lane: for cancellations only.
    pub fn remove(&mut self, priority: u8, item: &T) -> bool {
        let Some(lane) = self.lanes.get_mut(&priority) else { return false };
        let Some(at) = lane.iter().position(|other| other == item) else { return false };
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
