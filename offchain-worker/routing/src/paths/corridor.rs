//! What is left to go: exact distances to the nearest host where a search needs them, lower bounds elsewhere.
//!
//! 1. Two Dijkstra searches, one from the source and one from all hosts at once, grow until they are sure of
//!    the cost of the best path (Nicholson 1966; Pohl 1971). On a mesh, where the number of nodes grows fast
//!    with the distance, each sees a few hundred nodes of ten thousand.
//! 2. The backward search then goes on as A*, guided by what the forward one found, and only as far as asked
//!    (reverse resumable A*: Silver, "Cooperative Pathfinding", 2005). It settles nodes in the order of the
//!    best path through them, so that asking for the corridor of the K best paths does not unroll the rest of
//!    the graph.
//!
//! The guide `min(distance from the source, forward radius)` never differs by more than the weight over an
//! arc, so every node is settled once, at its exact distance.

use super::{Exclusion, Host};
use crate::{adjacency::CLOSED, graph::Topology, heap::Heap};

/// Further than any path: path weights stay below 2^63.
pub(super) const FAR: u64 = 1 << 63;

/// By which part the backward circle grows before the forward one follows.
const GROWTH: usize = 4;

const SETTLED: u32 = 1;
const EXCLUDED: u32 = 2;
const PARTED: u32 = 4;
const HOST: u32 = 8;

#[derive(Clone, Copy, Debug)]
struct Label {
    /// Distance from the source, tolls of the nodes that are left included (the source's too).
    forward: u64,
    /// Distance to the nearest host, serving included.
    backward: u64,
    stamp: u32,
    flags: u32,
}

const BLANK: Label = Label {
    forward: FAR,
    backward: FAR,
    stamp: 0,
    flags: 0,
};

/// A label without what an earlier query left in it.
#[inline]
fn fresh(label: &mut Label, stamp: u32) -> &mut Label {
    if label.stamp != stamp {
        *label = Label { stamp, ..BLANK };
    }
    label
}

#[derive(Debug, Default)]
pub(super) struct Corridor {
    labels: Vec<Label>,
    stamp: u32,
    forward: Heap,
    backward: Heap,
    /// What the forward search found, but need not look at to find the best path.
    parked: Vec<(u64, u32)>,
    /// Every node is at least this far from the source, unless its label says less.
    forward_radius: u64,
    /// Every node that is not settled is at least this far from the hosts.
    backward_radius: u64,
    /// The hosts of the query that are not excluded, by number, with what serving costs.
    hosts: Vec<(u32, u64)>,
    /// Excluded edges, sorted.
    parted: Vec<(u32, u32)>,
    from: u32,
    /// Whether this is the first phase, and the weight of the best path it has seen.
    meeting: bool,
    best: u64,
    /// Nodes that the backward search settled while it met the forward one, and since.
    circle: usize,
    /// Nodes beyond the forward radius that it settled since it last got its guide.
    grown: usize,
}

impl Corridor {
    /// Starts a query; returns the weight of its best path, toll of the source included, or `None` when there
    /// is none.
    pub fn start(
        &mut self,
        topology: &Topology,
        nodes: usize,
        from: u32,
        hosts: &[Host],
        exclusion: Exclusion<'_>,
    ) -> Option<u64> {
        self.reset(nodes);
        self.from = from;
        for node in exclusion.nodes {
            if node.index() < nodes {
                self.label(node.0).flags |= EXCLUDED;
            }
        }
        for &(tail, head) in exclusion.edges {
            if tail.index() < nodes {
                self.label(tail.0).flags |= PARTED;
                self.parted.push((tail.0, head.0));
            }
        }
        self.parted.sort_unstable();
        if self.label(from).flags & EXCLUDED != 0 {
            return None;
        }
        self.seed(topology, nodes, hosts);
        self.meet(topology);
        if self.best == FAR {
            return None;
        }
        self.turn();
        Some(self.best)
    }

    /// A lower bound of the distance from `node` to the nearest host, and whether it is the distance itself.
    /// [`FAR`]: there is no way, or the node is excluded.
    #[inline]
    pub fn bound(&self, node: u32) -> (u64, bool) {
        let label = &self.labels[node as usize];
        let guide = if label.stamp == self.stamp {
            if label.flags & (SETTLED | EXCLUDED) != 0 {
                return (label.backward, true);
            }
            label.forward.min(self.forward_radius)
        } else {
            self.forward_radius
        };
        match self.backward.min() {
            Some(level) => (level.saturating_sub(guide).max(self.backward_radius), false),
            None => (FAR, true),
        }
    }

    /// [`Self::bound`], made exact, or raised above `limit`, by going on with the backward search.
    pub fn bound_up_to(&mut self, topology: &Topology, node: u32, limit: u64) -> u64 {
        loop {
            let (bound, exact) = self.bound(node);
            if exact || bound > limit {
                return bound;
            }
            self.settle_next(topology);
        }
    }

    /// What serving costs at `node`, when it is one of the hosts; at the source it includes the source's
    /// toll, as all weights that start there do.
    #[inline]
    pub fn serving(&self, node: u32) -> Option<u64> {
        let label = &self.labels[node as usize];
        if label.stamp != self.stamp || label.flags & HOST == 0 {
            return None;
        }
        let at = self.hosts.binary_search_by_key(&node, |host| host.0).ok()?;
        Some(self.hosts[at].1)
    }

    /// Whether the query excludes the edge.
    #[inline]
    pub fn parts(&self, tail: u32, head: u32) -> bool {
        let label = &self.labels[tail as usize];
        label.stamp == self.stamp
            && label.flags & PARTED != 0
            && self.parted.binary_search(&(tail, head)).is_ok()
    }

    fn reset(&mut self, nodes: usize) {
        if self.labels.len() < nodes {
            self.labels.resize(nodes, BLANK);
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.labels.fill(BLANK);
            self.stamp = 1;
        }
        self.forward.clear();
        self.backward.clear();
        self.hosts.clear();
        self.parted.clear();
        self.parked.clear();
        self.forward_radius = 0;
        self.backward_radius = 0;
    }

    #[inline]
    fn label(&mut self, node: u32) -> &mut Label {
        fresh(&mut self.labels[node as usize], self.stamp)
    }

    fn seed(&mut self, topology: &Topology, nodes: usize, hosts: &[Host]) {
        for host in hosts.iter().filter(|host| host.node.index() < nodes) {
            let node = host.node.0;
            let label = self.label(node);
            if label.flags & EXCLUDED != 0 {
                continue;
            }
            label.flags |= HOST;
            let toll = if node == self.from { topology.toll(node) } else { 0 };
            self.hosts.push((node, host.cost.min(crate::MAX_COST) + toll));
        }
        // The cheapest entry of a host that is named twice comes first, and stays.
        self.hosts.sort_unstable();
        self.hosts.dedup_by_key(|host| host.0);
        for at in 0..self.hosts.len() {
            let (node, cost) = self.hosts[at];
            self.label(node).backward = cost;
            self.backward.push(cost, node);
        }
        self.label(self.from).forward = 0;
        self.forward.push(0, self.from);
    }

    /// The first phase: both searches, until no path can be better than the best one seen.
    fn meet(&mut self, topology: &Topology) {
        let from = self.from;
        self.meeting = true;
        self.grown = 0;
        self.best = self.label(from).backward;
        // The arcs of a source that does not relay exist on the forward side only, so it goes first.
        self.forward_step(topology);
        loop {
            let near = self.forward.min().unwrap_or(FAR);
            let far = self.backward.min().unwrap_or(FAR);
            self.backward_radius = far;
            if near.saturating_add(far) >= self.best {
                self.forward_radius = self.best.saturating_sub(far);
                self.circle = self.grown;
                return;
            }
            if self.forward.len() + self.parked.len() <= self.backward.len() {
                self.forward_step(topology);
            } else {
                self.backward_step(topology);
            }
        }
    }

    fn forward_step(&mut self, topology: &Topology) {
        let Some(entry) = self.forward.pop() else { return };
        if let Some(next) = self.forward.next() {
            topology.forward.prefetch(next);
        }
        let tail = entry.node;
        if self.labels[tail as usize].forward < entry.key {
            return;
        }
        if tail != self.from && !topology.relays(tail) {
            return;
        }
        let parted = self.labels[tail as usize].flags & PARTED != 0;
        for arc in topology.forward.of(tail) {
            let head = arc.node();
            if parted && self.parts(tail, head) {
                continue;
            }
            let distance = entry.key + arc.weight();
            let radius = self.backward_radius;
            let label = fresh(&mut self.labels[head as usize], self.stamp);
            if distance >= label.forward || label.flags & EXCLUDED != 0 {
                continue;
            }
            label.forward = distance;
            if self.meeting {
                self.best = self.best.min(distance.saturating_add(label.backward));
                // What lies beyond both circles can neither be on a better path nor inside the final forward
                // radius.
                if distance.saturating_add(radius) >= self.best {
                    self.parked.push((distance, head));
                    continue;
                }
            }
            self.forward.push(distance, head);
        }
    }

    /// One step of the backward search. Keys are distances plus guide; in the first phase the radius is 0,
    /// and so is the guide.
    #[inline]
    fn backward_step(&mut self, topology: &Topology) {
        let Some(entry) = self.backward.pop() else { return };
        if let Some(next) = self.backward.next() {
            topology.backward.prefetch(next);
        }
        let head = entry.node;
        let label = &mut self.labels[head as usize];
        if label.flags & SETTLED != 0 {
            return;
        }
        label.flags |= SETTLED;
        self.grown += usize::from(label.forward >= self.forward_radius);
        let distance = label.backward;
        // Nothing enters the source: such a path would come by it twice.
        if head == self.from {
            return;
        }
        for arc in topology.backward.of(head) {
            if arc.weight() == CLOSED {
                continue;
            }
            let tail = arc.node();
            let distance = distance + arc.weight();
            let label = fresh(&mut self.labels[tail as usize], self.stamp);
            if distance >= label.backward || label.flags & EXCLUDED != 0 {
                continue;
            }
            if label.flags & PARTED != 0 && self.parted.binary_search(&(tail, head)).is_ok() {
                continue;
            }
            label.backward = distance;
            self.best = self.best.min(distance.saturating_add(label.forward));
            let guide = label.forward.min(self.forward_radius);
            // A node that the source can not reach is on no path.
            if guide < FAR {
                self.backward.push(distance + guide, tail);
            }
        }
    }

    /// Gives the backward search the guide that the forward search now provides.
    fn turn(&mut self) {
        self.meeting = false;
        self.grown = 0;
        let (labels, radius) = (&self.labels, self.forward_radius);
        self.backward.rekey(|entry| {
            let label = &labels[entry.node as usize];
            let guide = label.forward.min(radius);
            (label.flags & SETTLED == 0 && guide < FAR).then(|| label.backward + guide)
        });
    }

    /// One step of the second phase. When the backward circle has grown by a part, the forward one grows as
    /// much: two small circles hold fewer nodes than a large one.
    fn settle_next(&mut self, topology: &Topology) {
        if self.grown * GROWTH > self.circle {
            for (distance, node) in self.parked.drain(..) {
                self.forward.push(distance, node);
            }
            for _ in 0..self.grown {
                self.forward_step(topology);
            }
            self.circle += self.grown;
            self.forward_radius = self.forward.min().unwrap_or(FAR);
            self.turn();
        }
        self.backward_step(topology);
    }
}
