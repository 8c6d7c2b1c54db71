use std::collections::BTreeMap;

use llmesh_routing::{Finder, Graph, Host, MAX_COST, Query};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Change {
    Node(u8, Option<u64>),
    RemoveNode(u8),
    Edge(u8, u8, u64),
    RemoveEdge(u8, u8),
    Compact,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let id = 0u8..24;
    let change = prop_oneof![
        4 => (id.clone(), proptest::option::weighted(0.8, 0u64..9))
            .prop_map(|(id, relay)| Change::Node(id, relay)),
        1 => id.clone().prop_map(Change::RemoveNode),
        12 => (id.clone(), id.clone(), 0u64..9).prop_map(|(from, to, cost)| Change::Edge(from, to, cost)),
        3 => (id.clone(), id).prop_map(|(from, to)| Change::RemoveEdge(from, to)),
        1 => Just(Change::Compact),
    ];
    proptest::collection::vec(change, 1..400)
}

#[derive(Default)]
struct Content {
    nodes: BTreeMap<u8, Option<u64>>,
    edges: BTreeMap<(u8, u8), u64>,
}

impl Content {
    fn apply(&mut self, graph: &mut Graph<u8>, change: &Change) {
        match *change {
            Change::Node(id, relay) => {
                graph.set_node(id, relay).unwrap();
                self.nodes.insert(id, relay);
            }
            Change::RemoveNode(id) => {
                assert_eq!(graph.remove_node(&id), self.nodes.remove(&id).is_some());
                self.edges.retain(|&(from, to), _| from != id && to != id);
            }
            Change::Edge(from, to, cost) => {
                let possible = from != to && self.nodes.contains_key(&from) && self.nodes.contains_key(&to);
                assert_eq!(graph.set_edge(&from, &to, cost).is_ok(), possible);
                if possible {
                    self.edges.insert((from, to), cost.clamp(1, MAX_COST));
                }
            }
            Change::RemoveEdge(from, to) => {
                assert_eq!(
                    graph.remove_edge(&from, &to),
                    self.edges.remove(&(from, to)).is_some()
                );
            }
            Change::Compact => graph.compact(),
        }
    }

    fn rebuilt(&self) -> Graph<u8> {
        let mut graph = Graph::new();
        for (&id, &relay) in &self.nodes {
            graph.set_node(id, relay).unwrap();
        }
        for (&(from, to), &cost) in &self.edges {
            graph.set_edge(&from, &to, cost).unwrap();
        }
        graph
    }
}

fn content(graph: &Graph<u8>) -> (BTreeMap<u8, Option<u64>>, BTreeMap<(u8, u8), u64>) {
    let nodes = graph.nodes().map(|(node, &id)| (id, graph.relay(node))).collect();
    let edges = graph.nodes().flat_map(|(node, &id)| {
        graph
            .edges_from(node)
            .map(move |(head, cost)| ((id, *graph.id(head).unwrap()), cost))
    });
    (nodes, edges.collect())
}

type Routes = Vec<(u64, Vec<u8>)>;

fn routes(graph: &Graph<u8>, finder: &mut Finder, from: u8, hosts: &[u8]) -> Routes {
    let Some(from) = graph.node(&from) else {
        return Vec::new();
    };
    let hosts: Vec<Host> = hosts
        .iter()
        .filter_map(|id| {
            Some(Host {
                node: graph.node(id)?,
                cost: u64::from(*id),
            })
        })
        .collect();
    let found = finder.routes(graph, &Query::new(from, &hosts, 4));
    found
        .iter()
        .map(|route| {
            (
                route.cost,
                route.nodes.iter().map(|&node| *graph.id(node).unwrap()).collect(),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_changed_graph_equals_a_rebuilt_one(
        changes in changes(),
        hosts in proptest::collection::vec(0u8..24, 1..4),
    ) {
        let (mut graph, mut expected) = (Graph::new(), Content::default());
        let mut finder = Finder::new();
        for change in &changes {
            expected.apply(&mut graph, change);
        }
        prop_assert_eq!(content(&graph), (expected.nodes.clone(), expected.edges.clone()));
        prop_assert_eq!((graph.len(), graph.edge_count()), (expected.nodes.len(), expected.edges.len()));
        let rebuilt = expected.rebuilt();
        for from in (0..24).step_by(5) {
            prop_assert_eq!(
                routes(&graph, &mut finder, from, &hosts),
                routes(&rebuilt, &mut Finder::new(), from, &hosts)
            );
        }
    }

    #[test]
    fn a_path_of_unchanged_nodes_still_costs_the_same(
        changes in changes(),
        later in changes(),
        host in 0u8..24,
    ) {
        let (mut graph, mut expected) = (Graph::new(), Content::default());
        for change in &changes {
            expected.apply(&mut graph, change);
        }
        let version = graph.version();
        let (Some(from), Some(host)) = (graph.node(&0), graph.node(&host)) else { return Ok(()) };
        let hosts = [Host { node: host, cost: 1 }];
        let mut finder = Finder::new();
        let found: Vec<_> = finder
            .routes(&graph, &Query::new(from, &hosts, 3))
            .iter()
            .map(|route| route.to_route())
            .collect();
        for change in later.iter().take(8) {
            expected.apply(&mut graph, change);
            for route in &found {
                if route.nodes.iter().any(|&node| graph.changed_at(node) > version) {
                    continue;
                }
                let edges: Option<u64> =
                    route.nodes.windows(2).map(|edge| graph.edge(edge[0], edge[1])).sum();
                let inner = &route.nodes[1..route.nodes.len().max(2) - 1];
                let tolls: Option<u64> = inner.iter().map(|&node| graph.relay(node)).sum();
                prop_assert_eq!(edges.zip(tolls).map(|(edges, tolls)| edges + tolls + 1), Some(route.cost));
            }
        }
    }
}

#[test]
fn a_long_life_does_not_grow_the_graph() {
    let mut graph = Graph::new();
    for id in 0..200u32 {
        graph.set_node(id, Some(1)).unwrap();
    }
    for round in 0..200u32 {
        for id in 0..200u32 {
            for step in 1..=8 {
                graph
                    .set_edge(&id, &((id + step * (1 + round % 7)) % 200), 5)
                    .unwrap();
            }
        }
        for id in (round % 3..200).step_by(3) {
            graph.remove_node(&id);
            graph.set_node(id, Some(1)).unwrap();
        }
    }
    assert_eq!(
        (graph.len(), graph.capacity()),
        (200, 200),
        "numbers are used again"
    );
}
