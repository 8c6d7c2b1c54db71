//! The mesh as routing sees it: nodes under an id of the caller's choice, directed edges with a cost, and
//! what a node asks for passing a request on.
//!
//! Inside, nodes are dense numbers ([`Node`]) and arcs lie packed in one arena, as in a compressed sparse row
//! matrix. A change touches only the node or edge that changed and its neighbours; nothing is rebuilt.

use std::{collections::HashMap, error::Error, fmt, hash::Hash};

use crate::adjacency::{Arc, Arcs, CLOSED, MAX_NODES};

/// The greatest cost of one edge, of passing on, or of serving, in micro-units (about 549 s of expected
/// delay). Greater values count as this one: as bad as can be said, and no sum of a path can overflow.
pub const MAX_COST: u64 = (1 << 39) - 1;

/// The number of nodes a graph can hold.
pub const NODE_LIMIT: usize = MAX_NODES;

/// A node of one [`Graph`]: a dense number. It stays the node's as long as the node is in the graph; after
/// its removal the number may be given to another node, which [`Graph::changed_at`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u32);

impl Node {
    /// The dense number, below [`Graph::capacity`]: to index tables of one's own.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why the graph did not take a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphError {
    /// An end of the edge is not in the graph.
    UnknownNode,
    /// Both ends of the edge are the same node.
    Loop,
    /// [`NODE_LIMIT`] nodes are in the graph.
    Full,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownNode => "an end of the edge is not in the graph",
            Self::Loop => "an edge has to join two different nodes",
            Self::Full => "the graph holds as many nodes as it can",
        })
    }
}

impl Error for GraphError {}

/// The part of the graph that searches read: dense numbers only.
///
/// A stored weight is the edge's cost plus what its tail asks for passing on. So searches have arc weights
/// alone, and take the share of the very first node off again at the end. Arcs of a tail that does not relay
/// carry the bare cost on the forward side, where a search can see who the tail is, and [`CLOSED`] on the
/// backward side.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    pub forward: Arcs,
    pub backward: Arcs,
    /// What passing on costs at each node; [`CLOSED`] where it does not relay.
    relay: Vec<u64>,
}

impl Topology {
    #[inline]
    pub fn relays(&self, node: u32) -> bool {
        self.relay[node as usize] != CLOSED
    }

    /// The part of a weight that is the tail's, 0 where it does not relay.
    #[inline]
    pub fn toll(&self, node: u32) -> u64 {
        match self.relay[node as usize] {
            CLOSED => 0,
            toll => toll,
        }
    }

    fn backward_weight(&self, tail: u32, cost: u64) -> u64 {
        if self.relays(tail) {
            cost + self.toll(tail)
        } else {
            CLOSED
        }
    }
}

/// A directed graph with costs on its edges and nodes. `I` is the id that the rest of the program uses, such
/// as a peer id or an account; its order decides between paths of equal cost.
///
/// All costs are whole micro-units (see [`crate::metric`]). Whatever order changes arrive in, equal content
/// gives equal paths.
#[derive(Debug)]
pub struct Graph<I> {
    pub(crate) topology: Topology,
    ids: Vec<Option<I>>,
    index: HashMap<I, u32>,
    free: Vec<u32>,
    changed: Vec<u64>,
    version: u64,
    edges: usize,
}

impl<I> Default for Graph<I> {
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            ids: Vec::new(),
            index: HashMap::new(),
            free: Vec::new(),
            changed: Vec::new(),
            version: 0,
            edges: 0,
        }
    }
}

impl<I: Clone + Eq + Hash + Ord> Graph<I> {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph with room for so many nodes and edges.
    pub fn with_capacity(nodes: usize, edges: usize) -> Self {
        let mut graph = Self::default();
        graph.ids.reserve(nodes);
        graph.index.reserve(nodes);
        graph.changed.reserve(nodes);
        graph.topology.relay.reserve(nodes);
        graph.topology.forward.reserve(nodes, edges);
        graph.topology.backward.reserve(nodes, edges);
        graph
    }

    /// Adds a node or changes what it asks for passing on, in micro-units: O(degree). `None`: it does not
    /// relay, and is only ever the first or the last node of a path.
    ///
    /// # Errors
    /// [`GraphError::Full`] when it is new and there is no room.
    pub fn set_node(&mut self, id: I, relay: Option<u64>) -> Result<Node, GraphError> {
        let relay = relay.map_or(CLOSED, |cost| cost.min(MAX_COST));
        if let Some(&node) = self.index.get(&id) {
            self.set_relay(node, relay);
            return Ok(Node(node));
        }
        let node = match self.free.pop() {
            Some(node) => node,
            None if self.ids.len() < MAX_NODES => {
                self.ids.push(None);
                self.changed.push(0);
                self.topology.relay.push(CLOSED);
                self.topology.forward.add_node();
                self.topology.backward.add_node();
                (self.ids.len() - 1) as u32
            }
            None => return Err(GraphError::Full),
        };
        self.ids[node as usize] = Some(id.clone());
        self.index.insert(id, node);
        self.topology.relay[node as usize] = relay;
        self.version += 1;
        self.touch(node);
        Ok(Node(node))
    }

    /// Removes a node and all of its edges: O(degree). Says whether it was there.
    pub fn remove_node(&mut self, id: &I) -> bool {
        let Some(node) = self.index.remove(id) else {
            return false;
        };
        self.version += 1;
        let topology = &mut self.topology;
        for at in 0..topology.forward.of(node).len() as u32 {
            let head = topology.forward.of(node)[at as usize].node();
            let mirror = topology.forward.mirror(node, at);
            if let Some((tail, moved)) = topology.backward.swap_remove(head, mirror) {
                topology.forward.set_mirror(tail, moved, mirror);
            }
        }
        for at in 0..topology.backward.of(node).len() as u32 {
            let tail = topology.backward.of(node)[at as usize].node();
            let mirror = topology.backward.mirror(node, at);
            if let Some((head, moved)) = topology.forward.swap_remove(tail, mirror) {
                topology.backward.set_mirror(head, moved, mirror);
            }
            self.changed[tail as usize] = self.version;
        }
        self.edges -= topology.forward.of(node).len() + topology.backward.of(node).len();
        topology.forward.clear(node);
        topology.backward.clear(node);
        topology.relay[node as usize] = CLOSED;
        self.ids[node as usize] = None;
        self.free.push(node);
        self.touch(node);
        true
    }

    /// Adds the edge `from -> to` or changes its cost: O(degree). Costs are held to 1 ..= [`MAX_COST`]
    /// micro-units: nothing is free, so that a detour never is.
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`] or [`GraphError::Loop`].
    pub fn set_edge(&mut self, from: &I, to: &I, cost: u64) -> Result<(), GraphError> {
        let (from, to) = self.ends(from, to)?;
        if from == to {
            return Err(GraphError::Loop);
        }
        let cost = cost.clamp(1, MAX_COST);
        let topology = &mut self.topology;
        let forward = cost + topology.toll(from);
        let backward = topology.backward_weight(from, cost);
        if let Some(at) = topology.forward.find(from, to) {
            if topology.forward.of(from)[at as usize].weight() == forward {
                return Ok(());
            }
            let mirror = topology.forward.mirror(from, at);
            topology.forward.set(from, at, forward);
            topology.backward.set(to, mirror, backward);
        } else {
            let at = topology.forward.push(from, Arc::new(to, forward), 0);
            let mirror = topology.backward.push(to, Arc::new(from, backward), at);
            topology.forward.set_mirror(from, at, mirror);
            self.edges += 1;
        }
        self.version += 1;
        self.touch(from);
        Ok(())
    }

    /// Removes the edge `from -> to`: O(degree). Says whether it was there.
    pub fn remove_edge(&mut self, from: &I, to: &I) -> bool {
        let Ok((from, to)) = self.ends(from, to) else {
            return false;
        };
        let topology = &mut self.topology;
        let Some(at) = topology.forward.find(from, to) else {
            return false;
        };
        let mirror = topology.forward.mirror(from, at);
        if let Some((head, moved)) = topology.forward.swap_remove(from, at) {
            topology.backward.set_mirror(head, moved, at);
        }
        if let Some((tail, moved)) = topology.backward.swap_remove(to, mirror) {
            topology.forward.set_mirror(tail, moved, mirror);
        }
        self.edges -= 1;
        self.version += 1;
        self.touch(from);
        true
    }

    /// Lays all arcs out anew, in order and without gaps: O(nodes + edges). Worth it once, after the first
    /// filling; later changes keep the waste bounded by themselves. Paths do not depend on it.
    pub fn compact(&mut self) {
        self.topology.forward.compact();
        self.topology.backward.compact();
    }

    /// The node with this id.
    pub fn node(&self, id: &I) -> Option<Node> {
        self.index.get(id).copied().map(Node)
    }

    /// The id of a node, when it is in the graph.
    pub fn id(&self, node: Node) -> Option<&I> {
        self.ids.get(node.index())?.as_ref()
    }

    /// The cost of the edge `from -> to` alone, in micro-units.
    pub fn edge(&self, from: Node, to: Node) -> Option<u64> {
        let topology = &self.topology;
        self.id(from)?;
        let at = topology.forward.find(from.0, to.0)?;
        Some(topology.forward.of(from.0)[at as usize].weight() - topology.toll(from.0))
    }

    /// What a node asks for passing on, in micro-units; `None` where it does not relay or is not in the
    /// graph.
    pub fn relay(&self, node: Node) -> Option<u64> {
        self.id(node)?;
        self.topology.relays(node.0).then(|| self.topology.toll(node.0))
    }

    /// The nodes in the graph, by number.
    pub fn nodes(&self) -> impl Iterator<Item = (Node, &I)> {
        self.ids
            .iter()
            .zip(0..)
            .filter_map(|(id, node)| Some((Node(node), id.as_ref()?)))
    }

    /// The edges that leave a node, with their costs in micro-units, in no particular order.
    pub fn edges_from(&self, node: Node) -> impl Iterator<Item = (Node, u64)> {
        let known = if self.id(node).is_some() {
            self.topology.forward.of(node.0)
        } else {
            &[]
        };
        let toll = if known.is_empty() {
            0
        } else {
            self.topology.toll(node.0)
        };
        known
            .iter()
            .map(move |arc| (Node(arc.node()), arc.weight() - toll))
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The number of edges.
    pub fn edge_count(&self) -> usize {
        self.edges
    }

    /// Above every [`Node::index`] in use.
    pub fn capacity(&self) -> usize {
        self.ids.len()
    }

    /// Goes up with every change that makes a difference.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version at which this node, or an edge that leaves it, last changed, came or went. A path none of
    /// whose nodes changed since it was found still exists and still costs the same.
    pub fn changed_at(&self, node: Node) -> u64 {
        self.changed.get(node.index()).copied().unwrap_or(u64::MAX)
    }

    fn ends(&self, from: &I, to: &I) -> Result<(u32, u32), GraphError> {
        match (self.index.get(from), self.index.get(to)) {
            (Some(&from), Some(&to)) => Ok((from, to)),
            _ => Err(GraphError::UnknownNode),
        }
    }

    fn touch(&mut self, node: u32) {
        self.changed[node as usize] = self.version;
    }

    fn set_relay(&mut self, node: u32, relay: u64) {
        let topology = &mut self.topology;
        if topology.relay[node as usize] == relay {
            return;
        }
        let old = topology.toll(node);
        topology.relay[node as usize] = relay;
        let new = topology.toll(node);
        for at in 0..topology.forward.of(node).len() as u32 {
            let arc = topology.forward.of(node)[at as usize];
            let cost = arc.weight() - old;
            let backward = topology.backward_weight(node, cost);
            let mirror = topology.forward.mirror(node, at);
            topology.forward.set(node, at, cost + new);
            topology.backward.set(arc.node(), mirror, backward);
        }
        self.version += 1;
        self.touch(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triangle() -> Graph<&'static str> {
        let mut graph = Graph::new();
        for id in ["a", "b", "c"] {
            graph.set_node(id, Some(10)).unwrap();
        }
        graph.set_edge(&"a", &"b", 1).unwrap();
        graph.set_edge(&"b", &"c", 2).unwrap();
        graph.set_edge(&"a", &"c", 7).unwrap();
        graph
    }

    #[test]
    fn costs_are_what_was_set_whatever_the_relay_asks() {
        let mut graph = triangle();
        let (a, b) = (graph.node(&"a").unwrap(), graph.node(&"b").unwrap());
        for relay in [None, Some(3), Some(u64::MAX), None, Some(0)] {
            graph.set_node("a", relay).unwrap();
            assert_eq!(graph.relay(a), relay.map(|cost| cost.min(MAX_COST)));
            assert_eq!(graph.edge(a, b), Some(1));
        }
        graph.set_edge(&"a", &"b", 0).unwrap();
        assert_eq!(graph.edge(a, b), Some(1), "nothing is free");
        graph.set_edge(&"a", &"b", u64::MAX).unwrap();
        assert_eq!(graph.edge(a, b), Some(MAX_COST));
    }

    #[test]
    fn refuses_what_it_can_not_hold() {
        let mut graph = triangle();
        assert_eq!(graph.set_edge(&"a", &"a", 1), Err(GraphError::Loop));
        assert_eq!(graph.set_edge(&"a", &"z", 1), Err(GraphError::UnknownNode));
        assert!(!graph.remove_edge(&"c", &"a"));
        assert!(!graph.remove_node(&"z"));
        assert_eq!(graph.edge_count(), 3);
    }

    #[test]
    fn only_real_changes_make_a_new_version() {
        let mut graph = triangle();
        let before = graph.version();
        graph.set_node("a", Some(10)).unwrap();
        graph.set_edge(&"a", &"b", 1).unwrap();
        assert_eq!(graph.version(), before);

        graph.set_edge(&"a", &"b", 2).unwrap();
        let (a, b, c) = ("a", "b", "c");
        let [a, b, c] = [a, b, c].map(|id| graph.node(&id).unwrap());
        assert_eq!(graph.version(), before + 1);
        assert_eq!(graph.changed_at(a), before + 1);
        assert!(graph.changed_at(b) <= before);

        graph.remove_node(&"c");
        assert_eq!(graph.changed_at(a), graph.version());
        assert_eq!(graph.changed_at(b), graph.version());
        assert_eq!(graph.id(c), None);
        assert_eq!(graph.edge_count(), 1);
        assert_eq!(graph.set_node("d", None), Ok(c), "the number is free again");
        assert_eq!(graph.changed_at(c), graph.version());
        assert_eq!(graph.edges_from(c).count(), 0);
    }
}
