//! Small random networks, and the plain ways to their shortest paths.

use llmesh_routing::{Graph, Host, Node, RouteRef};
use proptest::prelude::*;

use crate::support::Chance;

/// A network, a source and hosts, as lists.
#[derive(Clone, Debug)]
pub struct Plain {
    pub relays: Vec<Option<u64>>,
    /// Tail, head, cost: no pair twice, no loops.
    pub edges: Vec<(u32, u32, u64)>,
    /// With the cost of serving.
    pub hosts: Vec<(u32, u64)>,
    pub from: u32,
    pub avoid_nodes: Vec<u32>,
    pub avoid_edges: Vec<(u32, u32)>,
}

/// Cost, then ids: the order of answers.
pub type PlainRoute = (u64, Vec<u32>);

impl Plain {
    /// The graph, with nodes and edges put in in some order.
    pub fn graph(&self, seed: u64) -> Graph<u32> {
        let mut chance = Chance(seed);
        let mut nodes: Vec<u32> = (0..self.relays.len() as u32).collect();
        let mut edges = self.edges.clone();
        chance.shuffle(&mut nodes);
        chance.shuffle(&mut edges);
        let mut graph = Graph::new();
        for id in nodes {
            graph.set_node(id, self.relays[id as usize]).unwrap();
        }
        for (from, to, cost) in edges {
            graph.set_edge(&from, &to, cost).unwrap();
        }
        graph
    }

    pub fn hosts(&self, graph: &Graph<u32>) -> Vec<Host> {
        self.hosts
            .iter()
            .filter_map(|&(id, cost)| {
                Some(Host {
                    node: graph.node(&id)?,
                    cost,
                })
            })
            .collect()
    }

    pub fn avoided(&self, graph: &Graph<u32>) -> (Vec<Node>, Vec<(Node, Node)>) {
        let node = |id: &u32| graph.node(id).unwrap();
        let nodes = self.avoid_nodes.iter().map(node).collect();
        (
            nodes,
            self.avoid_edges
                .iter()
                .map(|(tail, head)| (node(tail), node(head)))
                .collect(),
        )
    }

    fn edge_open(&self, tail: u32, head: u32) -> bool {
        !self.avoid_nodes.contains(&tail)
            && !self.avoid_nodes.contains(&head)
            && !self.avoid_edges.contains(&(tail, head))
    }

    /// Bellman and Ford: the cost from `from` to the best host.
    pub fn best(&self, from: u32) -> Option<u64> {
        if self.avoid_nodes.contains(&from) {
            return None;
        }
        let mut reach = vec![None; self.relays.len()];
        reach[from as usize] = Some(0);
        for _ in 0..self.relays.len() {
            for &(tail, head, cost) in &self.edges {
                let toll = if tail == from {
                    Some(0)
                } else {
                    self.relays[tail as usize]
                };
                if let (Some(so_far), Some(toll), true) =
                    (reach[tail as usize], toll, self.edge_open(tail, head))
                {
                    let total: u64 = so_far + toll + cost;
                    if reach[head as usize].is_none_or(|known| total < known) {
                        reach[head as usize] = Some(total);
                    }
                }
            }
        }
        let hosts = self
            .hosts
            .iter()
            .filter(|host| !self.avoid_nodes.contains(&host.0));
        hosts
            .filter_map(|&(id, cost)| Some(reach[id as usize]? + cost))
            .min()
    }

    /// Every simple path to a host, in order.
    pub fn all(&self) -> Vec<PlainRoute> {
        let mut found = Vec::new();
        if !self.avoid_nodes.contains(&self.from) {
            self.walk(&mut vec![self.from], 0, &mut found);
        }
        found.sort();
        found
    }

    fn walk(&self, path: &mut Vec<u32>, cost: u64, found: &mut Vec<PlainRoute>) {
        let node = *path.last().unwrap();
        if let Some(serving) = self
            .hosts
            .iter()
            .filter(|host| host.0 == node)
            .map(|host| host.1)
            .min()
        {
            found.push((cost + serving, path.clone()));
        }
        let toll = if path.len() == 1 {
            Some(0)
        } else {
            self.relays[node as usize]
        };
        let Some(toll) = toll else { return };
        for &(tail, head, edge) in &self.edges {
            if tail == node && !path.contains(&head) && self.edge_open(tail, head) {
                path.push(head);
                self.walk(path, cost + toll + edge, found);
                path.pop();
            }
        }
    }

    /// The cost of a path, when it is one.
    pub fn cost_of(&self, path: &[u32]) -> Option<u64> {
        let (first, last) = (path.first()?, path.last()?);
        let mut cost = self
            .hosts
            .iter()
            .filter(|host| host.0 == *last)
            .map(|host| host.1)
            .min()?;
        for edge in path.windows(2) {
            let found = self
                .edges
                .iter()
                .find(|&&(tail, head, _)| [tail, head] == *edge)?;
            cost += found.2;
            if !self.edge_open(edge[0], edge[1]) {
                return None;
            }
        }
        for id in path.iter().skip(1).take(path.len().saturating_sub(2)) {
            cost += self.relays[*id as usize]?;
        }
        (!self.avoid_nodes.contains(first)).then_some(cost)
    }

    /// For libraries that know arc weights only: what a node asks is added to the arcs that leave it, nothing
    /// enters the source, and what does not relay has no arcs out.
    pub fn arcs(&self) -> Vec<(u32, u32, u64)> {
        let toll = |tail: u32| {
            if tail == self.from {
                Some(0)
            } else {
                self.relays[tail as usize]
            }
        };
        let edges = self
            .edges
            .iter()
            .filter(|edge| edge.1 != self.from && self.edge_open(edge.0, edge.1));
        edges
            .filter_map(|&(tail, head, cost)| Some((tail, head, cost + toll(tail)?)))
            .collect()
    }
}

pub fn ids(graph: &Graph<u32>, route: RouteRef<'_>) -> PlainRoute {
    (
        route.cost,
        route.nodes.iter().map(|&node| *graph.id(node).unwrap()).collect(),
    )
}

/// Networks of 2 to `size` nodes, about `degree` edges from each, costs up to `cost`: a small one makes many
/// ties.
pub fn networks(size: u32, degree: usize, cost: u64) -> impl Strategy<Value = Plain> {
    (2..=size)
        .prop_flat_map(move |size| {
            let edges = proptest::collection::vec((0..size, 0..size, 1..=cost), 1..=size as usize * degree);
            let relays = proptest::collection::vec(proptest::option::weighted(0.8, 0..=cost), size as usize);
            let hosts = proptest::collection::vec((0..size, 0..=cost), 1..=4);
            let avoid_nodes = proptest::collection::vec(0..size, 0..=2);
            let avoid_edges = proptest::collection::vec((0..size, 0..size), 0..=3);
            (relays, edges, hosts, 0..size, avoid_nodes, avoid_edges)
        })
        .prop_map(|(relays, mut edges, hosts, from, avoid_nodes, avoid_edges)| {
            edges.retain(|edge| edge.0 != edge.1);
            edges.sort_unstable();
            edges.dedup_by_key(|edge| (edge.0, edge.1));
            Plain {
                relays,
                edges,
                hosts,
                from,
                avoid_nodes,
                avoid_edges,
            }
        })
}
