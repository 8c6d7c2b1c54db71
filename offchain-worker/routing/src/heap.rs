//! A four-ary min-heap of (key, node): shallower than a binary one, and the four children share a cache line.

/// One waiting node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub key: u64,
    pub node: u32,
}

/// A min-heap by `key`. Entries that the search has outgrown stay inside; the search skips them when they
/// come out.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
}

impl Heap {
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The smallest key.
    #[inline]
    pub fn min(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.key)
    }

    /// The node that comes out next, unless a smaller key goes in before.
    #[inline]
    pub fn next(&self) -> Option<u32> {
        self.entries.first().map(|entry| entry.node)
    }

    #[inline]
    pub fn push(&mut self, key: u64, node: u32) {
        let entry = Entry { key, node };
        self.entries.push(entry);
        let mut at = self.entries.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 4;
            let above = self.entries[parent];
            if above.key <= key {
                break;
            }
            self.entries[at] = above;
            at = parent;
        }
        self.entries[at] = entry;
    }

    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        let last = self.entries.pop()?;
        let Some(&top) = self.entries.first() else {
            return Some(last);
        };
        self.sink(0, last);
        Some(top)
    }

    /// Gives every entry a new key, or drops it, and restores the order: O(n).
    pub fn rekey(&mut self, mut key: impl FnMut(Entry) -> Option<u64>) {
        self.entries.retain_mut(|entry| match key(*entry) {
            Some(new) => {
                entry.key = new;
                true
            }
            None => false,
        });
        if self.entries.len() > 1 {
            for at in (0..=(self.entries.len() - 2) / 4).rev() {
                let entry = self.entries[at];
                self.sink(at, entry);
            }
        }
    }

    /// Puts `entry` at `at` or below it.
    #[inline]
    fn sink(&mut self, mut at: usize, entry: Entry) {
        let entries = &mut self.entries[..];
        let len = entries.len();
        loop {
            let first = at * 4 + 1;
            if first >= len {
                break;
            }
            let mut best = first;
            let mut best_key = entries[first].key;
            for (child, candidate) in entries
                .iter()
                .enumerate()
                .take((first + 4).min(len))
                .skip(first + 1)
            {
                if candidate.key < best_key {
                    best = child;
                    best_key = candidate.key;
                }
            }
            if best_key >= entry.key {
                break;
            }
            entries[at] = entries[best];
            at = best;
        }
        entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(mut heap: Heap) -> Vec<u64> {
        std::iter::from_fn(|| heap.pop().map(|entry| entry.key)).collect()
    }

    proptest! {
        #[test]
        fn pops_in_order(keys in proptest::collection::vec(0u64..50, 0..200)) {
            let mut heap = Heap::default();
            for &key in &keys {
                heap.push(key, key as u32);
            }
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            prop_assert_eq!(heap.min(), sorted.first().copied());
            prop_assert_eq!(drain(heap), sorted);
        }

        #[test]
        fn rekeying_keeps_the_order(keys in proptest::collection::vec(0u64..50, 0..200)) {
            let mut heap = Heap::default();
            for &key in &keys {
                heap.push(key, key as u32);
            }
            heap.rekey(|entry| (!entry.node.is_multiple_of(3)).then(|| 100 - entry.key));
            let kept = keys.iter().filter(|key| **key % 3 != 0);
            let mut expected: Vec<u64> = kept.map(|key| 100 - key).collect();
            expected.sort_unstable();
            prop_assert_eq!(drain(heap), expected);
        }
    }
}
