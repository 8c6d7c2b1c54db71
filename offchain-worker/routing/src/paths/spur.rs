//! The cheapest way on from a node of a known path, past what is already taken: one A* search over the
//! corridor.

use std::cmp::Ordering;

use super::corridor::{Corridor, FAR};
use crate::{
    adjacency::CLOSED,
    graph::{Node, Topology},
    heap::Heap,
};

/// Stands for "served here" where a head node is expected.
pub(super) const SERVED: u32 = u32::MAX;

const OPEN: u32 = 1;
/// On the prefix: not to be entered again.
const TAKEN: u32 = 2;
/// On some best way to a host.
const TIGHT: u32 = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Label {
    /// Weight from the source.
    weight: u64,
    stamp: u32,
    parent: u32,
    flags: u32,
}

/// Where a search starts, and what it must leave alone.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// The last node of the prefix.
    pub root: u32,
    /// The weight of the prefix.
    pub weight: u64,
    /// Heads not to be taken from `root`; [`SERVED`] when being served there is taken.
    pub banned: &'a [u32],
    /// Whether paths may leave `root`: it relays, or is the source.
    pub leaves: bool,
}

#[derive(Debug, Default)]
pub(super) struct Spur {
    labels: Vec<Label>,
    stamp: u32,
    heap: Heap,
    /// Where the best ways found end, all of equal weight.
    ends: Vec<u32>,
    stack: Vec<u32>,
    /// Whether two ways of equal weight to one place were seen: then the order of ids has to decide.
    tied: bool,
}

impl Spur {
    /// Starts a task: the nodes of `prefix`, the root last, are taken.
    pub fn begin(&mut self, nodes: usize, prefix: &[Node]) {
        if self.labels.len() < nodes {
            self.labels.resize(nodes, Label::default());
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.labels.fill(Label::default());
            self.stamp = 1;
        }
        for node in prefix {
            // Weight 0: no arc improves on it.
            self.labels[node.index()] = Label {
                weight: 0,
                stamp: self.stamp,
                parent: SERVED,
                flags: TAKEN,
            };
        }
    }

    /// A lower bound of what the task can find, at least `known`: raised by going on with the backward search
    /// until its best first step is exact or beyond `limit`. Follows [`Self::begin`].
    pub fn lower_bound(
        &self,
        topology: &Topology,
        corridor: &mut Corridor,
        task: Task<'_>,
        limit: u64,
    ) -> u64 {
        loop {
            let (mut best, mut vague) = (self.served(corridor, task).unwrap_or(FAR), None);
            for (head, weight) in self.steps(topology, corridor, task) {
                let (bound, exact) = corridor.bound(head);
                let total = weight.saturating_add(bound);
                if total < best {
                    best = total;
                    vague = (!exact).then_some((head, weight));
                }
            }
            match vague {
                Some((head, weight)) if best <= limit => {
                    corridor.bound_up_to(topology, head, limit - weight);
                }
                _ => return best.min(FAR),
            }
        }
    }

    /// The weight of the best whole path that starts with the prefix and keeps to the task, when it is at
    /// most `limit`. Follows [`Self::begin`].
    pub fn search(
        &mut self,
        topology: &Topology,
        corridor: &mut Corridor,
        task: Task<'_>,
        limit: u64,
    ) -> Option<u64> {
        self.heap.clear();
        self.ends.clear();
        self.tied = false;
        let mut best = limit;
        if let Some(total) = self.served(corridor, task)
            && total <= best
        {
            best = total;
            self.ends.push(task.root);
        }
        if task.leaves {
            self.expand(topology, corridor, task.root, task.weight, task.banned, best);
        }
        while let Some(entry) = self.heap.pop() {
            if entry.key > best {
                break;
            }
            let node = entry.node;
            let label = self.labels[node as usize];
            if label.flags & OPEN == 0 {
                continue;
            }
            let bound = corridor.bound_up_to(topology, node, best - label.weight);
            let key = label.weight.saturating_add(bound);
            if key > best {
                continue;
            }
            if self.heap.min().is_some_and(|next| key > next) {
                self.heap.push(key, node);
                continue;
            }
            self.labels[node as usize].flags &= !OPEN;
            if let Some(cost) = corridor.serving(node) {
                let total = label.weight + cost;
                if total < best {
                    self.ends.clear();
                }
                if total <= best {
                    best = total;
                    self.ends.push(node);
                }
            }
            if topology.relays(node) {
                self.expand(topology, corridor, node, label.weight, &[], best);
            }
        }
        (!self.ends.is_empty()).then_some(best)
    }

    /// Appends what the last search found after the root, with the weight at each node. Among ways of equal
    /// weight it is the first in the order of their ids.
    pub fn trace(
        &mut self,
        topology: &Topology,
        corridor: &Corridor,
        task: Task<'_>,
        order: &dyn Fn(Node, Node) -> Ordering,
        (nodes, weights): (&mut Vec<Node>, &mut Vec<u64>),
    ) {
        if self.tied || self.ends.len() > 1 {
            return self.trace_first(topology, corridor, task, order, (nodes, weights));
        }
        let start = nodes.len();
        let mut node = self.ends[0];
        while node != task.root {
            let label = self.labels[node as usize];
            nodes.push(Node(node));
            weights.push(label.weight);
            node = label.parent;
        }
        nodes[start..].reverse();
        weights[start..].reverse();
    }

    /// [`Self::trace`] when there are several best ways: marks every node on one of them, from the ends back
    /// to the root, then walks from the root along marked nodes.
    fn trace_first(
        &mut self,
        topology: &Topology,
        corridor: &Corridor,
        task: Task<'_>,
        order: &dyn Fn(Node, Node) -> Ordering,
        (nodes, weights): (&mut Vec<Node>, &mut Vec<u64>),
    ) {
        self.stack.clear();
        for at in 0..self.ends.len() {
            let end = self.ends[at];
            self.labels[end as usize].flags |= TIGHT;
            if end != task.root {
                self.stack.push(end);
            }
        }
        while let Some(head) = self.stack.pop() {
            let weight = self.labels[head as usize].weight;
            for arc in topology.backward.of(head) {
                let (tail, toll) = (arc.node(), arc.weight());
                let label = &mut self.labels[tail as usize];
                // The root needs no mark: the walk starts there. The other taken nodes are not on the way.
                if toll == CLOSED || label.stamp != self.stamp || label.flags & (TAKEN | TIGHT) != 0 {
                    continue;
                }
                if label.weight + toll == weight && !corridor.parts(tail, head) {
                    label.flags |= TIGHT;
                    self.stack.push(tail);
                }
            }
        }
        let (mut node, mut weight) = (task.root, task.weight);
        // An end sorts before the same path continued.
        while !self.ends.contains(&node) {
            let mut next: Option<(u32, u64)> = None;
            for arc in topology.forward.of(node) {
                let (head, total) = (arc.node(), weight + arc.weight());
                let label = &self.labels[head as usize];
                let on = label.stamp == self.stamp
                    && label.flags & (TIGHT | TAKEN) == TIGHT
                    && label.weight == total
                    && !(node == task.root && task.banned.contains(&head))
                    && !corridor.parts(node, head);
                if on && next.is_none_or(|(first, _)| order(Node(head), Node(first)).is_lt()) {
                    next = Some((head, total));
                }
            }
            let Some((head, total)) = next else {
                unreachable!("every marked node has a marked successor or is an end");
            };
            nodes.push(Node(head));
            weights.push(total);
            (node, weight) = (head, total);
        }
    }

    /// The weight of being served at the root.
    fn served(&self, corridor: &Corridor, task: Task<'_>) -> Option<u64> {
        if task.banned.contains(&SERVED) {
            return None;
        }
        corridor.serving(task.root).map(|cost| task.weight + cost)
    }

    /// The first steps that the task allows, with the weight up to their head.
    fn steps<'s>(
        &'s self,
        topology: &'s Topology,
        corridor: &'s Corridor,
        task: Task<'s>,
    ) -> impl Iterator<Item = (u32, u64)> + 's {
        let arcs = if task.leaves {
            topology.forward.of(task.root)
        } else {
            &[]
        };
        arcs.iter().filter_map(move |arc| {
            let head = arc.node();
            let label = &self.labels[head as usize];
            let taken = label.stamp == self.stamp && label.flags & TAKEN != 0;
            let free = !taken && !task.banned.contains(&head) && !corridor.parts(task.root, head);
            free.then(|| (head, task.weight + arc.weight()))
        })
    }

    #[inline]
    fn expand(
        &mut self,
        topology: &Topology,
        corridor: &Corridor,
        tail: u32,
        weight: u64,
        banned: &[u32],
        best: u64,
    ) {
        for arc in topology.forward.of(tail) {
            let head = arc.node();
            let total = weight + arc.weight();
            let label = &mut self.labels[head as usize];
            if label.stamp == self.stamp {
                if total >= label.weight {
                    self.tied |= total == label.weight;
                    continue;
                }
            } else if total > best {
                continue;
            }
            if banned.contains(&head) || corridor.parts(tail, head) {
                continue;
            }
            let key = total.saturating_add(corridor.bound(head).0);
            if key > best {
                continue;
            }
            *label = Label {
                weight: total,
                stamp: self.stamp,
                parent: tail,
                flags: OPEN,
            };
            self.heap.push(key, head);
        }
    }
}
