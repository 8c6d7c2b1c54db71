//! From every node at once: what the nearest host costs, and the first step there. One backward search.

use std::hash::Hash;

use super::Host;
use crate::{
    MAX_COST,
    adjacency::CLOSED,
    graph::{Graph, Node},
    heap::Heap,
};

/// What a node does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeHop {
    /// It is a host and serves the request itself.
    Serve,
    /// It sends the request on.
    To(Node),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Cheapest cost of serving here, or `u64::MAX`.
    serve: u64,
    /// Cheapest cost of sending on, without this node's own price for it, or `u64::MAX`.
    send: u64,
    /// Cost as the end or the middle of somebody else's path.
    transit: u64,
    next: u32,
}

const NOWHERE: Entry = Entry {
    serve: u64::MAX,
    send: u64::MAX,
    transit: u64::MAX,
    next: u32::MAX,
};

/// The cheapest way to the nearest of several hosts, from every node: a next-hop table. It describes the
/// graph as it was when [`Tree::fill`] was called.
#[derive(Debug, Default)]
pub struct Tree {
    entries: Vec<Entry>,
    heap: Heap,
}

impl Tree {
    /// A tree with no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills the tree with the cheapest way to the nearest of `hosts` from every node of the graph: O(edges x
    /// log nodes). At equal cost a node serves rather than sends, and sends to the node whose id comes first.
    pub fn fill<I: Clone + Eq + Hash + Ord>(&mut self, graph: &Graph<I>, hosts: &[Host]) {
        let topology = &graph.topology;
        self.entries.clear();
        self.entries.resize(graph.capacity(), NOWHERE);
        self.heap.clear();
        for host in hosts.iter().filter(|host| graph.id(host.node).is_some()) {
            let entry = &mut self.entries[host.node.index()];
            entry.serve = entry.serve.min(host.cost.min(MAX_COST));
            entry.transit = entry.serve;
            self.heap.push(entry.serve, host.node.0);
        }
        while let Some(popped) = self.heap.pop() {
            if self.entries[popped.node as usize].transit < popped.key {
                continue;
            }
            for arc in topology
                .backward
                .of(popped.node)
                .iter()
                .filter(|arc| arc.weight() != CLOSED)
            {
                let cost = popped.key + arc.weight();
                let entry = &mut self.entries[arc.node() as usize];
                if cost < entry.transit {
                    entry.transit = cost;
                    self.heap.push(cost, arc.node());
                }
            }
        }
        for (node, _) in graph.nodes() {
            let (mut send, mut next) = (u64::MAX, None);
            for (head, cost) in graph.edges_from(node) {
                let cost = cost.saturating_add(self.entries[head.index()].transit);
                let first = || next.is_none_or(|next| graph.id(head) < graph.id(next));
                if cost < u64::MAX && (cost < send || cost == send && first()) {
                    (send, next) = (cost, Some(head));
                }
            }
            let entry = &mut self.entries[node.index()];
            (entry.send, entry.next) = (send, next.map_or(u32::MAX, |next| next.0));
        }
    }
    /// What a request of this node's own costs, in micro-units; `None` when no host can be reached.
    pub fn cost(&self, node: Node) -> Option<u64> {
        let entry = self.entries.get(node.index())?;
        Some(entry.serve.min(entry.send)).filter(|cost| *cost != u64::MAX)
    }

    /// What this node does with a request of its own.
    pub fn own(&self, node: Node) -> Option<TreeHop> {
        let entry = self.entries.get(node.index())?;
        self.cost(node)?;
        Some(if entry.serve <= entry.send {
            TreeHop::Serve
        } else {
            TreeHop::To(Node(entry.next))
        })
    }

    /// What this node does with a request that others sent to it. A host may serve it although it would send
    /// one of its own elsewhere: passing on costs.
    pub fn transit(&self, node: Node) -> Option<TreeHop> {
        let entry = self.entries.get(node.index())?;
        if entry.transit == u64::MAX {
            return None;
        }
        Some(if entry.serve == entry.transit {
            TreeHop::Serve
        } else {
            TreeHop::To(Node(entry.next))
        })
    }

    /// The path that a request of this node's own takes.
    pub fn path(&self, from: Node) -> Option<Vec<Node>> {
        let mut path = vec![from];
        let mut hop = self.own(from)?;
        while let TreeHop::To(next) = hop {
            path.push(next);
            hop = self.transit(next)?;
        }
        Some(path)
    }
}
