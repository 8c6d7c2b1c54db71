use std::collections::BTreeMap;

use llmesh_routing::Balancer;
use proptest::prelude::*;

fn deal(balancer: &mut Balancer<u8>, picks: u64) -> BTreeMap<u8, u64> {
    let mut dealt = BTreeMap::new();
    for _ in 0..picks {
        if let Some(&id) = balancer.pick() {
            *dealt.entry(id).or_default() += 1;
        }
    }
    dealt
}

fn filled(weights: &BTreeMap<u8, u32>) -> Balancer<u8> {
    let mut balancer = Balancer::new();
    for (&id, &weight) in weights {
        balancer.set(id, weight);
    }
    balancer
}

fn weights() -> impl Strategy<Value = BTreeMap<u8, u32>> {
    proptest::collection::btree_map(0u8..20, 1u32..50, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_cycle_deals_exactly_by_weight(weights in weights(), cycles in 1u64..4) {
        let mut balancer = filled(&weights);
        let total: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
        for _ in 0..cycles {
            let dealt = deal(&mut balancer, total);
            let expected = weights.iter().map(|(&id, &weight)| (id, u64::from(weight)));
            prop_assert_eq!(dealt, expected.collect::<BTreeMap<_, _>>());
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(weights in weights(), picks in 1usize..200) {
        let mut one = filled(&weights);
        let mut other = Balancer::new();
        for (&id, &weight) in weights.iter().rev() {
            other.set(id, weight + 1);
            other.set(id, weight);
        }
        for _ in 0..picks {
            prop_assert_eq!(one.pick(), other.pick());
        }
    }

    // However weights change on the way, what follows is at once in the new proportions, up to a few turns.
    #[test]
    fn changes_take_effect_at_once(
        before in weights(),
        changes in proptest::collection::vec((0u8..20, 0u32..500, 0u64..100), 1..20),
        removed in 0u8..20,
    ) {
        let mut balancer = filled(&before);
        let mut now = before;
        for (id, weight, picks) in changes {
            balancer.set(id, weight);
            now.insert(id, weight);
            deal(&mut balancer, picks);
        }
        prop_assert_eq!(balancer.remove(&removed), now.remove(&removed).is_some());
        let total: u64 = now.values().map(|&weight| u64::from(weight)).sum();
        let dealt = deal(&mut balancer, total);
        for (id, &weight) in &now {
            let got = dealt.get(id).copied().unwrap_or(0);
            prop_assert!(got.abs_diff(weight.into()) <= 3, "{} got {} turns of {}", id, got, weight);
        }
    }

    #[test]
    fn turns_are_spread(weights in weights()) {
        let mut balancer = filled(&weights);
        let total: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
        let mut dealt: BTreeMap<u8, u64> = BTreeMap::new();
        for pick in 1..=total {
            *dealt.entry(*balancer.pick().unwrap()).or_default() += 1;
            for (id, &weight) in &weights {
                let got = dealt.get(id).copied().unwrap_or(0);
                prop_assert!((got * total).abs_diff(u64::from(weight) * pick) <= 3 * total);
            }
        }
    }

    #[test]
    fn only_the_eligible_are_picked(weights in weights(), allowed: u32, picks in 1usize..100) {
        let mut balancer = filled(&weights);
        for _ in 0..picks {
            let picked = balancer.pick_among(|id| allowed >> id & 1 == 1).copied();
            prop_assert_eq!(picked.is_some(), weights.keys().any(|id| allowed >> id & 1 == 1));
            prop_assert!(picked.is_none_or(|id| allowed >> id & 1 == 1));
        }
    }
}
