//! Points and seeds.

use llmesh_proofs::sampling::*;
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};
use std::collections::BTreeSet;

fn seed(n: u64) -> H256 {
    BlakeTwo256::hash(&n.to_le_bytes())
}

#[test]
fn the_rate_is_what_reputation_lacks_but_never_below_5_percent() {
    let percent = Perbill::from_percent;
    for (reputation, expected) in [(0, 100), (1, 99), (50, 50), (94, 6), (95, 5), (99, 5), (100, 5)] {
        assert_eq!(rate(percent(reputation)), percent(expected), "{reputation}");
    }
}

#[test]
fn the_number_of_points_is_right_on_average() {
    // Thirty receipts at 5 %: one point, and every second time another one.
    let draws = 4_000;
    let mut total = 0;
    for n in 0..draws {
        let k = points(seed(n), 30, 0..1_000_000, Perbill::from_percent(5), 16).len();
        assert!(k == 1 || k == 2, "{k}");
        total += k;
    }
    // 6,000 with a standard deviation of 32.
    assert!((5_840..=6_160).contains(&total), "{total}");
    // Less than one receipt's worth.
    let total: usize = (0..draws)
        .map(|n| points(seed(n), 1, 0..9, Perbill::from_percent(5), 16).len())
        .sum();
    // 200 with a standard deviation of 14.
    assert!((130..=270).contains(&total), "{total}");
}

#[test]
fn bounds_hold_at_the_extremes() {
    let all = Perbill::one();
    assert_eq!(points(seed(1), 3, 0..300, all, 16).len(), 3);
    assert_eq!(points(seed(1), u32::MAX, 0..u128::MAX, all, 16).len(), 16);
    assert_eq!(points(seed(1), 5, 0..300, all, 0), []);
    assert_eq!(points(seed(1), 5, 7..7, all, 16), []);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = points(seed(1), 5, 9..7, all, 16);
    assert_eq!(reversed, []);
    assert_eq!(points(seed(1), 0, 0..300, all, 16), []);
    assert_eq!(points(seed(1), 5, 0..300, Perbill::zero(), 16), []);
    // One point in each planck that there is.
    assert_eq!(points(seed(1), 5, 10..13, all, 16), [10, 11, 12]);
    let last = u128::MAX - 1;
    assert_eq!(points(seed(1), 1, last..u128::MAX, all, 16), [last]);
}

/// At a rate of 100 % every receipt of one price is drawn, not about two thirds of them.
#[test]
fn receipts_of_one_price_are_all_drawn_at_full_rate() {
    for n in 0..100 {
        let points = points(seed(n), 16, 1_000..17_000, Perbill::one(), 16);
        let drawn: BTreeSet<u128> = points.iter().map(|p| p / 1_000).collect();
        assert_eq!(drawn.len(), 16);
    }
}

/// Pearson's chi-squared test with 15 degrees of freedom: 37.7 is exceeded by chance once in a thousand times; the seeds
/// are fixed.
#[test]
fn points_are_uniform() {
    for (receipts, from) in [(1, 0u128), (3, 5_000), (16, 1 << 100)] {
        let width = 1_600u128;
        let mut bins = [0f64; 16];
        let mut total = 0f64;
        for n in 0..12_000 / u64::from(receipts) {
            for point in points(seed(n), receipts, from..from + width, Perbill::one(), 16) {
                bins[((point - from) / 100) as usize] += 1.0;
                total += 1.0;
            }
        }
        let expected = total / 16.0;
        let chi: f64 = bins.iter().map(|n| (n - expected).powi(2) / expected).sum();
        assert!(chi < 37.7, "{receipts} receipts: chi squared {chi}, {bins:?}");
    }
    // Within one of the parts as well: the place in it, not only the part.
    let mut bins = [0f64; 16];
    for n in 0..3_200 {
        let point = points(seed(n), 4, 0..6_400, Perbill::one(), 16)[2];
        assert!((3_200..4_800).contains(&point));
        bins[((point - 3_200) / 100) as usize] += 1.0;
    }
    let chi: f64 = bins.iter().map(|n| (n - 200.0).powi(2) / 200.0).sum();
    assert!(chi < 37.7, "chi squared {chi}, {bins:?}");
}

#[test]
fn seeds_of_different_things_differ() {
    let random = seed(1);
    let draw = draw_seed(random, 7);
    let audit = audit_seed(draw, 0);
    let mut all = vec![random, draw, draw_seed(random, 8), draw_seed(seed(2), 7)];
    all.extend([
        audit,
        audit_seed(draw, 1),
        audit_seed(random, 0),
        committee_seed(audit),
    ]);
    all.extend((0..=255).map(|stage| stage_seed(audit, stage)));
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

proptest! {
    #[test]
    fn points_are_in_the_range_in_order_and_as_many_as_called_for(
        luck: u64, receipts: u32, parts in 0..=1_000_000_000u32, a: u128, b: u128, most in 0u32..20,
    ) {
        let values = a.min(b)..a.max(b);
        let rate = Perbill::from_parts(parts);
        let drawn = points(seed(luck), receipts, values.clone(), rate, most);
        prop_assert!(drawn.iter().all(|point| values.contains(point)));
        prop_assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        let expected = f64::from(receipts) * f64::from(parts) / 1e9;
        prop_assert!(drawn.len() as f64 <= expected.ceil().max(0.0));
        prop_assert!(drawn.len() as u32 <= most);
        let width = (values.end - values.start) as f64;
        prop_assert!(drawn.len() as f64 >= expected.floor().min(most.into()).min(width));
        prop_assert_eq!(drawn, points(seed(luck), receipts, values, rate, most));
    }
}
