use std::collections::HashSet;

use llmesh_routing::{Finder, Graph, Query};
use proptest::prelude::*;

use crate::{
    plain::{Plain, PlainRoute, ids, networks},
    support::{Chance, Mesh, Shape},
};

fn find(plain: &Plain, graph: &Graph<u32>, finder: &mut Finder, k: usize) -> Vec<PlainRoute> {
    let hosts = plain.hosts(graph);
    let (nodes, edges) = plain.avoided(graph);
    let query = Query::new(graph.node(&plain.from).unwrap(), &hosts, k).avoiding(&nodes, &edges);
    finder
        .routes(graph, &query)
        .iter()
        .map(|route| ids(graph, route))
        .collect()
}

fn is_the_head_of_all(plain: &Plain, seed: u64, k: usize) -> Result<(), TestCaseError> {
    let graph = plain.graph(seed);
    let mut all = plain.all();
    all.truncate(k);
    prop_assert_eq!(find(plain, &graph, &mut Finder::new(), k), all);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    // Not only costs: the very paths, in the very order, whatever order the graph was filled in.
    #[test]
    fn are_the_first_of_all_paths(plain in networks(7, 3, 1_000), seed: u64, k in 1usize..12) {
        is_the_head_of_all(&plain, seed, k)?;
    }

    #[test]
    fn are_the_first_of_all_paths_with_ties(plain in networks(7, 4, 2), seed: u64, k in 1usize..30) {
        is_the_head_of_all(&plain, seed, k)?;
    }

    #[test]
    fn are_all_paths_when_enough_are_asked_for(plain in networks(6, 3, 4), seed: u64) {
        is_the_head_of_all(&plain, seed, 10_000)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_finder_forgets_the_query_before(
        plains in proptest::collection::vec(networks(9, 3, 5), 2..6),
        seed: u64,
    ) {
        let mut finder = Finder::new();
        for plain in &plains {
            let graph = plain.graph(seed);
            let again = find(plain, &graph, &mut finder, 4);
            prop_assert_eq!(again, find(plain, &graph, &mut Finder::new(), 4));
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(plain in networks(60, 4, 3), one: u64, other: u64) {
        let mut finder = Finder::new();
        let first = find(&plain, &plain.graph(one), &mut finder, 5);
        prop_assert_eq!(find(&plain, &plain.graph(other), &mut finder, 5), first);
    }

    #[test]
    fn repeat_no_node_and_no_path(plain in networks(60, 4, 20), seed: u64) {
        let graph = plain.graph(seed);
        let routes = find(&plain, &graph, &mut Finder::new(), 8);
        let distinct: HashSet<&[u32]> = routes.iter().map(|route| &route.1[..]).collect();
        prop_assert_eq!(distinct.len(), routes.len());
        prop_assert!(routes.is_sorted());
        for (cost, path) in &routes {
            prop_assert_eq!(path.iter().collect::<HashSet<_>>().len(), path.len());
            prop_assert_eq!(plain.cost_of(path), Some(*cost));
        }
    }
}

#[test]
fn nothing_to_find() {
    let mut graph = Graph::new();
    let a = graph.set_node(1, Some(1)).unwrap();
    let b = graph.set_node(2, Some(1)).unwrap();
    let mut finder = Finder::new();
    let hosts = [llmesh_routing::Host { node: b, cost: 1 }];
    assert!(
        finder.routes(&graph, &Query::new(a, &hosts, 3)).is_empty(),
        "no way"
    );
    graph.set_edge(&1, &2, 5).unwrap();
    assert_eq!(finder.routes(&graph, &Query::new(a, &hosts, 3)).len(), 1);
    assert!(
        finder.routes(&graph, &Query::new(a, &hosts, 0)).is_empty(),
        "nothing asked for"
    );
    assert!(
        finder.routes(&graph, &Query::new(a, &[], 3)).is_empty(),
        "no hosts"
    );
    assert!(
        finder
            .routes(&graph, &Query::new(a, &hosts, 3).avoiding(&[a], &[]))
            .is_empty()
    );
    assert!(
        finder
            .routes(&graph, &Query::new(a, &hosts, 3).avoiding(&[b], &[]))
            .is_empty()
    );
    assert!(
        finder
            .routes(&graph, &Query::new(a, &hosts, 3).avoiding(&[], &[(a, b)]))
            .is_empty()
    );
    graph.remove_node(&1);
    assert!(
        finder.routes(&graph, &Query::new(a, &hosts, 3)).is_empty(),
        "no source"
    );
}

#[test]
fn large_meshes_agree_with_a_plain_search_around_each_arc() {
    // The second path is the best of those that avoid one edge of the first: checked with queries for one
    // path each.
    for (shape, seed) in [(Shape::Random, 1), (Shape::Regional, 2), (Shape::Local, 3)] {
        let mesh = Mesh::new(shape, 2_000, seed);
        let mut chance = Chance(seed);
        let (mut finder, mut other) = (Finder::new(), Finder::new());
        for _ in 0..10 {
            let from = mesh.relay(&mut chance);
            let hosts = mesh.as_hosts(&mesh.hosts(&mut chance, from, 1));
            let query = Query::new(mesh.node(from), &hosts, 3);
            let found = finder.routes(&mesh.graph, &query);
            let Some(first) = found.get(0) else { continue };
            let second = first
                .nodes
                .windows(2)
                .filter_map(|edge| {
                    let edges = [(edge[0], edge[1])];
                    let query = Query::new(mesh.node(from), &hosts, 1).avoiding(&[], &edges);
                    Some(other.routes(&mesh.graph, &query).get(0)?.cost)
                })
                .min();
            assert_eq!(found.get(1).map(|route| route.cost), second, "{shape:?}");
        }
    }
}
