use crate::draw::{AgendaKey, weight};
use codec::Encode;
use llmesh_primitives::Priority;
use proptest::prelude::*;
use sp_runtime::Perbill;

proptest! {
    #[test]
    fn agenda_keys_sort_by_priority_then_age(a: u64, b: u64, x in 0usize..3, y in 0usize..3) {
        let tiers = [Priority::Urgent, Priority::High, Priority::Normal];
        let (left, right) = (AgendaKey::new(tiers[x], a), AgendaKey::new(tiers[y], b));
        prop_assert_eq!(left.encode().cmp(&right.encode()), (x, a).cmp(&(y, b)));
        prop_assert_eq!(left.job(), a);
    }
}

#[test]
fn weight_is_stake_times_reputation_times_room() {
    assert_eq!(weight(6, Perbill::from_percent(50), 3), 6 * 500_000_000 * 3);
    assert_eq!(weight(u128::MAX, Perbill::one(), 2), u128::MAX);
    assert_eq!(weight(0, Perbill::one(), 2), 0);
    assert_eq!(weight(5, Perbill::one(), 0), 0);
}
