//! What is tried after what, when a hop fails in the middle of a request.
//!
//! A [`Plan`] is made before the request leaves: the K cheapest paths, and further ones around the relays and
//! hosts that all of them share, so that whichever single node fails, the next path is at hand when there is
//! one. A failure then costs no search: paths through what failed are struck, and the next one is the
//! cheapest left. Among paths of about equal cost it is the one that has least in common with those that
//! failed, since it often stays unknown which hop it was.

use std::hash::Hash;

use crate::{
    graph::{Graph, Node},
    paths::{Finder, Host, Query, Route},
};

/// What is known to have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A relay or a host.
    Node(Node),
    /// A connection, by tail and head.
    Edge(Node, Node),
    /// The path as a whole: no answer, and nobody knows why.
    Route,
}

/// The order in which to try `routes`, as indices: cheapest first, and among those that cost at most
/// `slack_permille` thousandths more than the cheapest left, the one that shares the fewest nodes and edges
/// with those before it.
///
/// The source is not counted, the host is. At equal overlap the order given decides, which is that of cost
/// and ids when it comes from a [`Finder`].
pub fn order(routes: &[Route], slack_permille: u32) -> Vec<usize> {
    let mut tried: Vec<&Route> = Vec::new();
    let mut left: Vec<usize> = (0..routes.len()).collect();
    let mut result = Vec::with_capacity(routes.len());
    while let Some(at) = next(left.iter().map(|&at| &routes[at]), &tried, slack_permille) {
        let at = left.remove(at);
        tried.push(&routes[at]);
        result.push(at);
    }
    result
}

/// The position of the route to try next.
fn next<'r>(
    left: impl Iterator<Item = &'r Route> + Clone,
    tried: &[&Route],
    slack_permille: u32,
) -> Option<usize> {
    let cheapest = left.clone().map(|route| route.cost).min()?;
    let slack = (u128::from(cheapest) * u128::from(slack_permille) / 1_000) as u64;
    let limit = cheapest.saturating_add(slack);
    left.enumerate()
        .filter(|(_, route)| route.cost <= limit)
        .min_by_key(|(at, route)| {
            (
                tried.iter().map(|other| overlap(route, other)).sum::<usize>(),
                route.cost,
                *at,
            )
        })
        .map(|(at, _)| at)
}

/// Nodes and edges in common, the source aside.
fn overlap(a: &Route, b: &Route) -> usize {
    let nodes = a
        .nodes
        .iter()
        .skip(1)
        .filter(|node| b.nodes.iter().skip(1).any(|other| other == *node))
        .count();
    let edges = a
        .nodes
        .windows(2)
        .filter(|edge| b.nodes.windows(2).any(|other| other == *edge))
        .count();
    nodes + edges
}

fn uses(route: &Route, failure: Failure) -> bool {
    match failure {
        Failure::Node(node) => route.nodes.contains(&node),
        Failure::Edge(tail, head) => route.nodes.windows(2).any(|edge| edge == [tail, head]),
        Failure::Route => false,
    }
}

/// The paths of one request, from the first to the last resort.
#[derive(Clone, Debug)]
pub struct Plan {
    from: Node,
    hosts: Vec<Host>,
    k: usize,
    slack_permille: u32,
    /// The current one first.
    routes: Vec<Route>,
    tried: Vec<Route>,
    failed_nodes: Vec<Node>,
    failed_edges: Vec<(Node, Node)>,
    version: u64,
}

impl Plan {
    /// Plans a request: the `query`'s paths, and a way around every node that they all share, where there is
    /// one. Costs within `slack_permille` thousandths count as equal.
    pub fn new<I: Clone + Eq + Hash + Ord>(
        graph: &Graph<I>,
        finder: &mut Finder,
        query: &Query<'_>,
        slack_permille: u32,
    ) -> Self {
        let mut plan = Self {
            from: query.from,
            hosts: query.hosts.to_vec(),
            k: query.k,
            slack_permille,
            routes: Vec::new(),
            tried: Vec::new(),
            failed_nodes: query.avoid_nodes.to_vec(),
            failed_edges: query.avoid_edges.to_vec(),
            version: 0,
        };
        plan.repair(graph, finder);
        plan
    }

    /// The path to use now; `None` when all failed.
    pub fn current(&self) -> Option<&Route> {
        self.routes.first()
    }

    /// All paths left, the current one first, the others by cost.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Strikes what failed and returns the path to use next; no search, no look at the graph.
    /// [`Failure::Route`] is about the current path. A path that was struck does not come back, and neither
    /// does one through a failed node or edge.
    pub fn fail(&mut self, failure: Failure) -> Option<&Route> {
        match failure {
            Failure::Node(node) => self.failed_nodes.push(node),
            Failure::Edge(tail, head) => self.failed_edges.push((tail, head)),
            Failure::Route => {}
        }
        let current_failed = self
            .routes
            .first()
            .is_some_and(|route| failure == Failure::Route || uses(route, failure));
        if current_failed {
            let current = self.routes.remove(0);
            self.tried.push(current);
        }
        self.routes.retain(|route| !uses(route, failure));
        if current_failed {
            self.bring_next();
        }
        self.current()
    }

    /// Searches again, around everything that failed: the K cheapest paths that are left in the graph as it
    /// is now, and ways around what they share. Paths already tried and failed as a whole are left out.
    /// Returns the path to use next.
    ///
    /// Worth it after [`Self::fail`] returned `None`, or in the background after any failure.
    pub fn repair<I: Clone + Eq + Hash + Ord>(
        &mut self,
        graph: &Graph<I>,
        finder: &mut Finder,
    ) -> Option<&Route> {
        self.version = graph.version();
        self.routes.clear();
        self.search(graph, finder, self.k, &[]);
        self.back_up(graph, finder);
        self.bring_next();
        self.current()
    }

    /// Whether all paths still exist in `graph` at the costs they had. A cheaper one may have come up
    /// elsewhere.
    pub fn is_current<I: Clone + Eq + Hash + Ord>(&self, graph: &Graph<I>) -> bool {
        self.routes
            .iter()
            .flat_map(|route| &route.nodes)
            .all(|&node| graph.changed_at(node) <= self.version)
    }

    /// Adds paths until no node is on all of them, as far as there are such: one around all shared nodes at
    /// once, else one around all but the last of them (the host, when all paths end at the same), else one
    /// around each.
    fn back_up<I: Clone + Eq + Hash + Ord>(&mut self, graph: &Graph<I>, finder: &mut Finder) {
        let Some(first) = self.routes.first() else { return };
        let mut shared = first.nodes[1..].to_vec();
        for spared in [0, 1] {
            shared.retain(|&node| self.is_shared(node));
            if shared.len() > spared {
                self.search(graph, finder, 1, &shared[..shared.len() - spared]);
            }
        }
        for node in shared {
            if self.is_shared(node) {
                self.search(graph, finder, 1, &[node]);
            }
        }
    }

    fn is_shared(&self, node: Node) -> bool {
        self.routes.iter().all(|route| route.nodes.contains(&node))
    }

    /// Adds the `k` cheapest paths around what failed and around `apart`, without those tried.
    fn search<I: Clone + Eq + Hash + Ord>(
        &mut self,
        graph: &Graph<I>,
        finder: &mut Finder,
        k: usize,
        apart: &[Node],
    ) {
        // Every path that was tried can take a rank.
        let ranks = if k == 0 { 0 } else { k + self.tried.len() };
        let failed = self.failed_nodes.len();
        self.failed_nodes.extend_from_slice(apart);
        let query =
            Query::new(self.from, &self.hosts, ranks).avoiding(&self.failed_nodes, &self.failed_edges);
        let found = finder.routes(graph, &query);
        let fresh = found
            .iter()
            .filter(|route| !self.tried.iter().any(|tried| tried.nodes == route.nodes));
        self.routes.extend(fresh.take(k).map(|route| route.to_route()));
        self.failed_nodes.truncate(failed);
    }

    /// Moves the path to use next to the front.
    fn bring_next(&mut self) {
        let tried: Vec<&Route> = self.tried.iter().collect();
        if let Some(at) = next(self.routes.iter(), &tried, self.slack_permille) {
            self.routes[..=at].rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(cost: u64, nodes: &[u32]) -> Route {
        Route {
            cost,
            nodes: nodes.iter().map(|&node| Node(node)).collect(),
        }
    }

    #[test]
    fn of_equal_paths_the_most_different_one_is_next() {
        let routes = [
            route(1_000, &[0, 1, 2, 9]),
            route(1_001, &[0, 1, 3, 9]),
            route(1_010, &[0, 4, 5, 8]),
            route(1_500, &[0, 6, 7]),
        ];
        assert_eq!(order(&routes, 0), [0, 1, 2, 3]);
        assert_eq!(order(&routes, 20), [0, 2, 1, 3]);
        assert_eq!(
            order(&routes, 1_000),
            [0, 2, 3, 1],
            "the one that shares most is last"
        );
        assert_eq!(order(&[], 20), [0usize; 0]);
    }

    /// Two hosts (8, 9) behind relay 1, one (7) apart and dear.
    fn graph() -> (Graph<u32>, Vec<Host>) {
        let mut graph = Graph::new();
        for id in 0..10 {
            graph.set_node(id, Some(1)).unwrap();
        }
        for (from, to, cost) in [(0, 1, 10), (1, 8, 10), (1, 9, 11), (0, 2, 50), (2, 7, 50)] {
            graph.set_edge(&from, &to, cost).unwrap();
        }
        let hosts = [7, 8, 9].map(|id| Host {
            node: graph.node(&id).unwrap(),
            cost: 5,
        });
        (graph, hosts.to_vec())
    }

    #[test]
    fn a_shared_relay_has_a_way_around_it() {
        let (graph, hosts) = graph();
        let mut finder = Finder::new();
        let node = |id: u32| graph.node(&id).unwrap();
        let mut plan = Plan::new(&graph, &mut finder, &Query::new(node(0), &hosts, 2), 0);
        assert_eq!(plan.routes().len(), 3, "two cheapest and one around relay 1");
        let next = plan.fail(Failure::Node(node(1))).unwrap();
        assert_eq!(next.nodes, [node(0), node(2), node(7)]);
        assert_eq!(plan.fail(Failure::Edge(node(2), node(7))), None);
        assert_eq!(plan.repair(&graph, &mut finder), None);
    }

    #[test]
    fn what_failed_as_a_whole_does_not_come_back() {
        let (mut graph, hosts) = graph();
        let mut finder = Finder::new();
        let ids = [0, 1, 2, 7, 8, 9].map(|id| graph.node(&id).unwrap());
        let mut plan = Plan::new(&graph, &mut finder, &Query::new(ids[0], &hosts, 1), 0);
        let mut ends = vec![*plan.current().unwrap().nodes.last().unwrap()];
        while let Some(route) = plan.fail(Failure::Route) {
            ends.push(*route.nodes.last().unwrap());
        }
        while let Some(route) = plan.repair(&graph, &mut finder) {
            ends.push(*route.nodes.last().unwrap());
            plan.fail(Failure::Route);
        }
        ends.sort();
        assert_eq!(ends, [ids[3], ids[4], ids[5]], "each host once");

        assert!(plan.is_current(&graph), "no path, nothing to change");
        let plan = Plan::new(&graph, &mut finder, &Query::new(ids[0], &hosts, 1), 0);
        graph.set_edge(&1, &9, 12).unwrap();
        assert!(!plan.is_current(&graph));
    }
}
