//! Shortest paths over node and edge costs: to the nearest of several hosts, and the K cheapest that repeat
//! no node.
//!
//! What a path costs: every edge on it, what every node between the first and the last asks for passing on,
//! and what the last node, a host, asks for serving.
//!
//! The K cheapest come from Yen's algorithm ("Finding the K shortest loopless paths in a network", 1971) with
//! Lawler's partition (1972), which never finds a path twice. A deviation is searched only when its lower
//! bound is the smallest value left (work put off until it is needed, as in Al Zoobi, Coudert and Nisse,
//! "Space and time trade-off for the k shortest simple paths problem", 2020), and the search is A* with
//! distances that are exact along the corridor of the best paths (Kurz and Mutzel, "A sidetrack-based
//! algorithm for finding the k shortest simple paths in a directed graph", 2016, take them from one whole
//! backward tree; here the tree grows as far as needed, see [`corridor`]). A usual deviation then costs
//! little more than reading the arcs beside its path.
//!
//! Among paths of equal cost, the one whose ids come first is first: the order is total, so the answer
//! depends on the content of the graph alone.

mod corridor;
mod spur;
mod tree;

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    hash::Hash,
};

use corridor::{Corridor, FAR};
use spur::{SERVED, Spur, Task};
pub use tree::{Tree, TreeHop};

use crate::graph::{Graph, Node, Topology};

/// A node that can answer, and what serving costs there in micro-units (see
/// [`crate::metric::Weights::host_cost`]); more than [`crate::MAX_COST`] counts as that. A host that is named
/// twice counts with its smaller cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub node: Node,
    pub cost: u64,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Where paths start. It need not relay, and is paid nothing.
    pub from: Node,
    /// Where they may end. When `from` is one of them, one path is `from` alone.
    pub hosts: &'a [Host],
    /// How many paths at most.
    pub k: usize,
    /// Nodes that no path may touch.
    pub avoid_nodes: &'a [Node],
    /// Edges that no path may use, by tail and head.
    pub avoid_edges: &'a [(Node, Node)],
}

impl<'a> Query<'a> {
    /// The `k` cheapest paths from `from` to any of `hosts`.
    pub fn new(from: Node, hosts: &'a [Host], k: usize) -> Self {
        Self {
            from,
            hosts,
            k,
            avoid_nodes: &[],
            avoid_edges: &[],
        }
    }

    /// The same, around these nodes and edges.
    pub fn avoiding(self, avoid_nodes: &'a [Node], avoid_edges: &'a [(Node, Node)]) -> Self {
        Self {
            avoid_nodes,
            avoid_edges,
            ..self
        }
    }
}

/// A path: the source first, the host last, no node twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Micro-units.
    pub cost: u64,
    pub nodes: Vec<Node>,
}

/// A [`Route`] in the memory of a [`Finder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRef<'a> {
    /// Micro-units.
    pub cost: u64,
    pub nodes: &'a [Node],
}

impl RouteRef<'_> {
    /// A copy that outlives the finder's next query.
    pub fn to_route(self) -> Route {
        Route {
            cost: self.cost,
            nodes: self.nodes.to_vec(),
        }
    }
}

/// The answer to a query, cheapest first. It is shorter than asked for when there are no more paths.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    finder: &'a Finder,
}

impl<'a> Found<'a> {
    /// How many paths there are.
    pub fn len(self) -> usize {
        self.finder.accepted.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.finder.accepted.is_empty()
    }

    /// The path of this rank, 0 the cheapest.
    pub fn get(self, rank: usize) -> Option<RouteRef<'a>> {
        let path = self.finder.accepted.get(rank)?;
        Some(RouteRef {
            cost: path.weight - self.finder.toll,
            nodes: self.finder.nodes_of(path),
        })
    }

    /// All paths, cheapest first.
    pub fn iter(self) -> impl Iterator<Item = RouteRef<'a>> {
        (0..self.len()).filter_map(move |rank| self.get(rank))
    }
}

/// Into how many steps the weight of the best path is divided, to go on in.
const STEP: u64 = 32;

#[derive(Clone, Copy)]
struct Exclusion<'a> {
    nodes: &'a [Node],
    edges: &'a [(Node, Node)],
}

/// A path in the arena.
#[derive(Clone, Copy, Debug)]
struct Stored {
    start: usize,
    len: usize,
    weight: u64,
    /// The position up to which it follows an earlier path.
    leaves_at: usize,
}

/// A part of the paths not yet searched: those that follow an accepted path up to `at` and then leave every
/// accepted path. Ordered by `bound`, below which none of them costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    bound: u64,
    path: usize,
    at: usize,
    /// How far above its bound the next search of it goes.
    reach: u64,
}

/// Finds paths. It keeps its working memory: after the first queries on a graph of some size, a query
/// allocates nothing. It keeps nothing else: the answer depends on the graph and the query only.
#[derive(Debug, Default)]
pub struct Finder {
    corridor: Corridor,
    spur: Spur,
    /// Nodes of all stored paths, and the weight from the source at each.
    nodes: Vec<Node>,
    weights: Vec<u64>,
    accepted: Vec<Stored>,
    /// Found, not yet accepted, in the order of their rank.
    candidates: Vec<Stored>,
    pending: BinaryHeap<Reverse<Pending>>,
    banned: Vec<u32>,
    /// The source's toll, part of every stored weight and of no cost.
    toll: u64,
}

impl Finder {
    /// A finder with no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The paths that `query` asks for, in the order of cost and, at equal cost, of the ids of their nodes.
    ///
    /// A node that is not in the graph is no source and no host.
    pub fn routes<I: Clone + Eq + Hash + Ord>(&mut self, graph: &Graph<I>, query: &Query<'_>) -> Found<'_> {
        self.clear();
        if query.k > 0 && graph.id(query.from).is_some() {
            let order = |a: Node, b: Node| graph.id(a).cmp(&graph.id(b));
            self.toll = graph.topology.toll(query.from.0);
            Search {
                finder: self,
                topology: &graph.topology,
                nodes: graph.capacity(),
                order: &order,
                step: 1,
            }
            .run(query);
        }
        Found { finder: self }
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.weights.clear();
        self.accepted.clear();
        self.candidates.clear();
        self.pending.clear();
    }

    fn nodes_of(&self, path: &Stored) -> &[Node] {
        &self.nodes[path.start..][..path.len]
    }
}

struct Search<'a> {
    finder: &'a mut Finder,
    topology: &'a Topology,
    nodes: usize,
    order: &'a dyn Fn(Node, Node) -> Ordering,
    /// How much further than needed bounds are raised at a time: a part of the best path's weight.
    step: u64,
}

impl Search<'_> {
    fn run(mut self, query: &Query<'_>) {
        let exclusion = Exclusion {
            nodes: query.avoid_nodes,
            edges: query.avoid_edges,
        };
        let corridor = &mut self.finder.corridor;
        let Some(best) = corridor.start(self.topology, self.nodes, query.from.0, query.hosts, exclusion)
        else {
            return;
        };
        self.finder.nodes.push(query.from);
        self.finder.weights.push(0);
        let source = Stored {
            start: 0,
            len: 1,
            weight: 0,
            leaves_at: 0,
        };
        self.finder.banned.clear();
        self.deviate(source, 0, best);
        self.step = best / STEP + 1;
        while self.finder.accepted.len() < query.k {
            let candidate = self.finder.candidates.first().map_or(FAR, |path| path.weight);
            let bound = self
                .finder
                .pending
                .peek()
                .map_or(FAR, |Reverse(pending)| pending.bound);
            if candidate == FAR && bound == FAR {
                break;
            }
            // At equal cost the search goes first: it may find a path whose ids come first.
            if candidate < bound {
                self.accept(query.k);
            } else if let Some(Reverse(pending)) = self.finder.pending.pop() {
                self.open(pending, query.k, candidate);
            }
        }
    }

    /// The cheapest candidate becomes an answer, and its deviations are due.
    fn accept(&mut self, k: usize) {
        let path = self.finder.candidates.remove(0);
        self.finder.accepted.push(path);
        if self.finder.accepted.len() == k {
            return;
        }
        let rank = self.finder.accepted.len() - 1;
        for at in path.leaves_at..path.len {
            // Until a deviation is looked at, all that is known is that it costs no less than the path it
            // leaves.
            self.finder.pending.push(Reverse(Pending {
                bound: path.weight,
                path: rank,
                at,
                reach: self.step,
            }));
        }
    }

    /// Looks at a deviation: raises its bound, and searches it when it is still the first in line.
    fn open(&mut self, pending: Pending, k: usize, candidate: u64) {
        let path = self.finder.accepted[pending.path];
        self.ban(path, pending.at);
        let Finder {
            corridor,
            spur,
            nodes,
            weights,
            candidates,
            banned,
            accepted,
            pending: others,
            ..
        } = &mut *self.finder;
        let next = others
            .peek()
            .map_or(FAR, |Reverse(next)| next.bound)
            .min(candidate);
        let worst = candidates
            .get(k - accepted.len() - 1)
            .map_or(FAR - 1, |path| path.weight);
        spur.begin(self.nodes, &nodes[path.start..=path.start + pending.at]);
        let task = task(self.topology, banned, nodes, weights, path, pending.at);
        let bound = spur.lower_bound(self.topology, corridor, task, next.saturating_add(self.step));
        let bound = bound.max(pending.bound);
        if bound > worst {
            return;
        }
        if bound > next {
            others.push(Reverse(Pending { bound, ..pending }));
            return;
        }
        // A deviation may have no path at all, and its search would see the whole graph before it knew. So
        // the first one looks for a path of the least weight possible, which is usually there, and further
        // ones, when nothing cheaper turned up in between, go a little beyond.
        let limit = worst.min(bound.saturating_add(pending.reach));
        if !self.deviate(path, pending.at, limit) && limit < worst {
            let reach = (pending.reach * 2).max(self.step);
            self.finder.pending.push(Reverse(Pending {
                bound: limit + 1,
                reach,
                ..pending
            }));
        }
    }

    /// Collects where the accepted paths that share `path` up to `at` go on.
    fn ban(&mut self, path: Stored, at: usize) {
        let Finder {
            banned,
            accepted,
            nodes,
            ..
        } = &mut *self.finder;
        banned.clear();
        let prefix = &nodes[path.start..=path.start + at];
        for other in accepted.iter() {
            let other = &nodes[other.start..][..other.len];
            if other.len() > at && other[..=at] == *prefix {
                banned.push(other.get(at + 1).map_or(SERVED, |next| next.0));
            }
        }
    }

    /// Searches a deviation for a path of weight `limit` at most, and stores it as a candidate. Says whether
    /// there is one.
    fn deviate(&mut self, path: Stored, at: usize, limit: u64) -> bool {
        let Finder {
            corridor,
            spur,
            nodes,
            weights,
            candidates,
            banned,
            ..
        } = &mut *self.finder;
        spur.begin(self.nodes, &nodes[path.start..=path.start + at]);
        let task = task(self.topology, banned, nodes, weights, path, at);
        let Some(weight) = spur.search(self.topology, corridor, task, limit) else {
            return false;
        };
        let start = nodes.len();
        nodes.extend_from_within(path.start..=path.start + at);
        weights.extend_from_within(path.start..=path.start + at);
        spur.trace(self.topology, corridor, task, self.order, (nodes, weights));
        let found = Stored {
            start,
            len: nodes.len() - start,
            weight,
            leaves_at: at,
        };
        let rank = candidates.partition_point(|other| {
            let ids = |path: &Stored| nodes[path.start..][..path.len].iter();
            other
                .weight
                .cmp(&weight)
                .then_with(|| compare(ids(other), ids(&found), self.order))
                .is_lt()
        });
        candidates.insert(rank, found);
        true
    }
}

fn task<'t>(
    topology: &Topology,
    banned: &'t [u32],
    nodes: &[Node],
    weights: &[u64],
    path: Stored,
    at: usize,
) -> Task<'t> {
    let root = nodes[path.start + at].0;
    Task {
        root,
        weight: weights[path.start + at],
        banned,
        leaves: at == 0 || topology.relays(root),
    }
}

/// Lexicographic, by the callers' ids.
fn compare<'n>(
    a: impl Iterator<Item = &'n Node>,
    mut b: impl Iterator<Item = &'n Node>,
    order: &dyn Fn(Node, Node) -> Ordering,
) -> Ordering {
    for &node in a {
        match b.next() {
            None => return Ordering::Greater,
            Some(&other) if node == other => {}
            Some(&other) => return order(node, other),
        }
    }
    if b.next().is_some() {
        Ordering::Less
    } else {
        Ordering::Equal
    }
}
