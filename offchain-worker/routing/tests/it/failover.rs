use std::collections::HashSet;

use llmesh_routing::{Failure, Finder, Plan, Query, order};
use proptest::prelude::*;

use crate::plain::networks;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    // The promise of design and issue: with any one node gone a path is found if there is one; and without a
    // search.
    #[test]
    fn any_one_node_can_go(mut plain in networks(12, 3, 9), seed: u64, k in 1usize..4, slack in 0u32..300) {
        plain.avoid_nodes.clear();
        plain.avoid_edges.clear();
        let graph = plain.graph(seed);
        let hosts = plain.hosts(&graph);
        let mut finder = Finder::new();
        let query = Query::new(graph.node(&plain.from).unwrap(), &hosts, k);
        let plan = Plan::new(&graph, &mut finder, &query, slack);
        prop_assert_eq!(plan.current().map(|route| route.cost), plain.best(plain.from));
        for gone in (0..plain.relays.len() as u32).filter(|id| *id != plain.from) {
            let mut without = plain.clone();
            without.avoid_nodes.push(gone);
            let best = without.best(plain.from);

            let mut plan = plan.clone();
            let next = plan.fail(Failure::Node(graph.node(&gone).unwrap()));
            prop_assert_eq!(next.is_some(), best.is_some(), "without {}", gone);
            if let Some(route) = next {
                let ids: Vec<u32> = route.nodes.iter().map(|&node| *graph.id(node).unwrap()).collect();
                prop_assert_eq!(without.cost_of(&ids), Some(route.cost));
            }
            let repaired = plan.repair(&graph, &mut finder).map(|route| route.cost);
            let limit = best.map(|best| best + best * u64::from(slack) / 1_000);
            prop_assert!(best <= repaired && repaired <= limit, "repaired");
        }
    }

    #[test]
    fn failures_one_after_the_other_end_only_when_no_path_is_left(
        mut plain in networks(9, 3, 9),
        seed: u64,
        faults in proptest::collection::vec((0u32..9, 0u32..9, 0u8..3), 1..20),
    ) {
        plain.avoid_nodes.clear();
        plain.avoid_edges.clear();
        let graph = plain.graph(seed);
        let hosts = plain.hosts(&graph);
        let mut finder = Finder::new();
        let query = Query::new(graph.node(&plain.from).unwrap(), &hosts, 2);
        let mut plan = Plan::new(&graph, &mut finder, &query, 50);
        let mut tried = HashSet::new();
        for (one, other, kind) in faults {
            let (Some(node), Some(head)) = (graph.node(&one), graph.node(&other)) else { continue };
            let Some(current) = plan.current().cloned() else { break };
            let failure = match kind {
                0 if one != plain.from => {
                    plain.avoid_nodes.push(one);
                    Failure::Node(node)
                },
                1 => {
                    plain.avoid_edges.push((one, other));
                    Failure::Edge(node, head)
                },
                _ => {
                    tried.insert(current.nodes.clone());
                    Failure::Route
                },
            };
            if plan.fail(failure).is_none() {
                plan.repair(&graph, &mut finder);
            }
            let left = plain.all().into_iter().filter(|(_, path)| {
                let nodes: Vec<_> = path.iter().map(|id| graph.node(id).unwrap()).collect();
                !tried.contains(&nodes)
            });
            prop_assert_eq!(plan.current().is_some(), left.count() > 0);
            if let Some(route) = plan.current() {
                let ids: Vec<u32> = route.nodes.iter().map(|&node| *graph.id(node).unwrap()).collect();
                prop_assert_eq!(plain.cost_of(&ids), Some(route.cost));
                prop_assert!(!tried.contains(&route.nodes));
            }
        }
    }

    #[test]
    fn every_path_gets_its_turn_once_and_the_cheapest_first(
        plain in networks(10, 3, 9),
        seed: u64,
        slack in 0u32..500,
    ) {
        let graph = plain.graph(seed);
        let hosts = plain.hosts(&graph);
        let mut finder = Finder::new();
        let query = Query::new(graph.node(&plain.from).unwrap(), &hosts, 6);
        let routes: Vec<_> = finder.routes(&graph, &query).iter().map(|route| route.to_route()).collect();
        let turns = order(&routes, slack);
        prop_assert_eq!(turns.first().copied(), (!routes.is_empty()).then_some(0));
        let mut sorted = turns.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..routes.len()));
        // Whoever goes before a cheaper path is within the slack of it.
        for (rank, &at) in turns.iter().enumerate() {
            for &later in &turns[rank + 1..] {
                let limit = u128::from(routes[later].cost) * u128::from(1_000 + slack) / 1_000;
                prop_assert!(u128::from(routes[at].cost) <= limit);
            }
        }
    }
}
