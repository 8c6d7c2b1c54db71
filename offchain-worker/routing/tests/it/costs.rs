use llmesh_routing::{Finder, Query, Tree, TreeHop};
use proptest::prelude::*;

use crate::plain::{Plain, ids, networks};

fn agrees(plain: &Plain, seed: u64, step: usize) -> Result<(), TestCaseError> {
    let graph = plain.graph(seed);
    let hosts = plain.hosts(&graph);
    let (nodes, edges) = plain.avoided(&graph);
    let mut finder = Finder::new();
    for from in (0..plain.relays.len() as u32).step_by(step) {
        let query = Query::new(graph.node(&from).unwrap(), &hosts, 1).avoiding(&nodes, &edges);
        let found = finder
            .routes(&graph, &query)
            .get(0)
            .map(|route| ids(&graph, route));
        prop_assert_eq!(found.as_ref().map(|route| route.0), plain.best(from));
        if let Some((cost, path)) = found {
            prop_assert_eq!(plain.cost_of(&path), Some(cost));
            prop_assert_eq!(path[0], from);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn are_those_of_bellman_and_ford(plain in networks(12, 3, 1_000_000), seed: u64) {
        agrees(&plain, seed, 1)?;
    }

    #[test]
    fn are_those_of_bellman_and_ford_with_ties(plain in networks(16, 4, 3), seed: u64) {
        agrees(&plain, seed, 1)?;
    }

    #[test]
    fn a_tree_knows_the_best_cost_and_a_path_of_it_from_everywhere(
        mut plain in networks(16, 3, 6),
        seed: u64,
    ) {
        plain.avoid_nodes.clear();
        plain.avoid_edges.clear();
        let graph = plain.graph(seed);
        let mut tree = Tree::new();
        tree.fill(&graph, &plain.hosts(&graph));
        for (node, &id) in graph.nodes() {
            prop_assert_eq!(tree.cost(node), plain.best(id));
            let path = tree.path(node);
            prop_assert_eq!(path.is_some(), tree.cost(node).is_some());
            if let Some(path) = path {
                let path: Vec<u32> = path.iter().map(|&node| *graph.id(node).unwrap()).collect();
                prop_assert_eq!(plain.cost_of(&path), tree.cost(node));
                prop_assert_eq!(path.len() == 1, tree.own(node) == Some(TreeHop::Serve));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn are_those_of_bellman_and_ford_on_larger_networks(plain in networks(120, 4, 50), seed: u64) {
        agrees(&plain, seed, 10)?;
    }
}
