//! The same questions to networkx and igraph.

use llmesh_routing::{Finder, Query};
use proptest::{strategy::ValueTree, test_runner::TestRunner};

use crate::{
    plain::{ids, networks},
    reference::Reference,
};

/// Shapes of the networks: most nodes, edges from each, greatest cost, how many.
const SHAPES: [(u32, usize, u64, usize); 4] = [
    (8, 3, 4, 800),
    (14, 3, 1_000, 800),
    (30, 4, 1_000_000_000, 400),
    (60, 5, 20, 100),
];

#[test]
fn costs_are_those_of_networkx_and_igraph() {
    let mut reference = match Reference::start() {
        Ok(reference) => reference,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let mut runner = TestRunner::deterministic();
    let mut finder = Finder::new();
    for (size, degree, cost, count) in SHAPES {
        let strategy = networks(size, degree, cost);
        for seed in 0..count {
            use proptest::strategy::Strategy;
            let plain = strategy.new_tree(&mut runner).expect("a network").current();
            if plain.avoid_nodes.contains(&plain.from) {
                continue;
            }
            let graph = plain.graph(seed as u64);
            let (nodes, edges) = plain.avoided(&graph);
            let hosts = plain.hosts(&graph);
            let query = Query::new(graph.node(&plain.from).unwrap(), &hosts, 4).avoiding(&nodes, &edges);
            let found: Vec<u64> = finder
                .routes(&graph, &query)
                .iter()
                .map(|route| ids(&graph, route).0)
                .collect();

            let mut open: Vec<(u32, u64)> = plain.hosts.clone();
            open.retain(|host| !plain.avoid_nodes.contains(&host.0));
            open.sort_unstable();
            open.dedup_by_key(|host| host.0);
            reference.graph(plain.relays.len(), &plain.arcs());
            for engine in ["networkx", "igraph"] {
                let answer = reference.routes(engine, plain.from, &open, 4);
                assert_eq!(found, answer.costs, "{engine}: {plain:?}");
            }
        }
    }
}
