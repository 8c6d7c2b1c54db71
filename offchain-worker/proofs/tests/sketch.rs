//! Sketches against their definition in floating-point arithmetic, and how well they tell probes apart.

use llmesh_primitives::{ElementType, ElementType::*, Sketch};
use llmesh_proofs::sketch::{DOMAIN, LARGEST, PROJECTIONS, close, sketch};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::{
    Perbill,
    traits::{BlakeTwo256, Hash},
};

const SEED: H256 = H256([0x5e; 32]);

fn seed(n: u64) -> H256 {
    BlakeTwo256::hash(&n.to_le_bytes())
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn of(seed: H256, values: &[f32]) -> Sketch {
    sketch(seed, [(F32, f32s(values).as_slice())])
}

/// The one element on the grid: as the length, and with the sign of the first sum.
fn grid(element_type: ElementType, bytes: &[u8]) -> i64 {
    let one = sketch(SEED, [(element_type, bytes)]);
    let ones = of(SEED, &[1.0]);
    let length = one.0[PROJECTIONS];
    for (sum, sign) in one.0.iter().zip(&ones.0).take(PROJECTIONS) {
        assert_eq!(sum * sign.signum(), one.0[0] * ones.0[0].signum());
        assert_eq!(sum.abs(), length);
    }
    one.0[0] * ones.0[0].signum()
}

/// What the grid should be, for a number that f64 holds exactly.
fn on_grid(value: f64) -> i64 {
    if value.is_nan() {
        return LARGEST;
    }
    (value * (1u64 << 20) as f64)
        .round_ties_even()
        .clamp(-(LARGEST as f64), LARGEST as f64) as i64
}

/// The definition, with arithmetic that can not overflow, for elements on the grid.
fn defined(seed: H256, elements: &[i64]) -> Sketch {
    let mut sums = [0i128; 16];
    for (e, value) in elements.iter().enumerate() {
        let block = (e as u64 / 16).to_le_bytes();
        let hash = BlakeTwo256::hash(&[DOMAIN.as_slice(), seed.as_bytes(), &block].concat());
        let at = e % 16 * 2;
        let bits = u16::from_le_bytes([hash[at], hash[at + 1]]);
        for (j, sum) in sums.iter_mut().enumerate().take(PROJECTIONS) {
            *sum += if bits >> j & 1 == 1 { -1 } else { 1 } * i128::from(*value);
        }
        sums[PROJECTIONS] += i128::from(*value).pow(2);
    }
    sums[PROJECTIONS] = sums[PROJECTIONS].isqrt();
    Sketch(sums.map(|sum| sum as i64))
}

#[test]
fn exact_values() {
    let probe = f32s(&[1.0, -2.5, 0.125, 1e-7, 0.333_333_34]);
    let integers: Vec<u8> = (0..40u8).collect();
    let sketch = sketch(
        H256([0x11; 32]),
        [(F32, probe.as_slice()), (I8, integers.as_slice())],
    );
    assert_eq!(sketch, Sketch(EXACT), "{:?}", sketch.0);
    assert_eq!(of(SEED, &[]), Sketch([0; 16]));
}

const EXACT: [i64; 16] = [
    8694443, 107959637, -332442283, -88823125, 109095595, -165980843, 143349077, -219196075, -6597291,
    21015211, 84191915, 57365845, -16034475, -222254421, 256944811, 150306618,
];

#[test]
fn special_values() {
    let f = |v: f32| grid(F32, &v.to_le_bytes());
    let d = |v: f64| grid(F64, &v.to_le_bytes());
    let step = 2f64.powi(-20);
    for (value, expected) in [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 1 << 20),
        (-1.0, -(1 << 20)),
        (f64::MIN_POSITIVE, 0),
        (5e-324, 0),
        // Half a step rounds to even, a little more rounds up.
        (0.5 * step, 0),
        (-0.5 * step, 0),
        (0.500_000_1 * step, 1),
        (1.5 * step, 2),
        (-1.5 * step, -2),
        (2.5 * step, 2),
        (3.5 * step, 4),
        (1_048_576.0, LARGEST),
        (-1_048_576.0, -LARGEST),
        (1_048_575.999, 1_099_511_626_727),
        (1e300, LARGEST),
        (-1e300, -LARGEST),
        (f64::INFINITY, LARGEST),
        (f64::NEG_INFINITY, -LARGEST),
        (f64::NAN, LARGEST),
        (-f64::NAN, LARGEST),
    ] {
        assert_eq!(d(value), expected, "{value:e}");
    }
    assert_eq!(f(f32::MIN_POSITIVE), 0);
    assert_eq!(f(f32::from_bits(1)), 0);
    assert_eq!(f(f32::MAX), LARGEST);
    assert_eq!(f(-f32::MAX), -LARGEST);
    assert_eq!(f(f32::INFINITY), LARGEST);
    assert_eq!(f(f32::NEG_INFINITY), -LARGEST);
    // Every pattern that is not a number, whatever its sign.
    for bits in [0x7f80_0001u32, 0x7fc0_0000, 0xffff_ffff, 0xff80_0001] {
        assert_eq!(grid(F32, &bits.to_le_bytes()), LARGEST);
    }
}

#[test]
fn integers_and_booleans() {
    let step = 1i64 << 20;
    assert_eq!(grid(Bool, &[0]), 0);
    assert_eq!(grid(Bool, &[1]), step);
    assert_eq!(grid(U8, &[255]), 255 * step);
    assert_eq!(grid(I8, &[255]), -step);
    assert_eq!(grid(I8, &[128]), -128 * step);
    assert_eq!(grid(U16, &[255, 255]), 65_535 * step);
    assert_eq!(grid(I16, &[0, 128]), -32_768 * step);
    assert_eq!(grid(U32, &u32::MAX.to_le_bytes()), LARGEST);
    assert_eq!(grid(U32, &1_048_575u32.to_le_bytes()), 1_048_575 * step);
    assert_eq!(grid(I32, &(-5i32).to_le_bytes()), -5 * step);
    assert_eq!(grid(I32, &i32::MIN.to_le_bytes()), -LARGEST);
    assert_eq!(grid(U64, &u64::MAX.to_le_bytes()), LARGEST);
    assert_eq!(grid(U64, &7u64.to_le_bytes()), 7 * step);
    assert_eq!(grid(I64, &i64::MIN.to_le_bytes()), -LARGEST);
    assert_eq!(grid(I64, &(-7i64).to_le_bytes()), -7 * step);
}

/// All of the two short kinds, by their value as f64.
#[test]
fn every_half_and_every_bfloat16() {
    for bits in 0..=u16::MAX {
        let bytes = bits.to_le_bytes();
        let single = f32::from_bits(u32::from(bits) << 16);
        assert_eq!(grid(BF16, &bytes), on_grid(single.into()), "bfloat16 {bits:#06x}");
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let size = match exponent {
            0 => fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
        };
        let value = if bits >> 15 == 1 { -size } else { size };
        assert_eq!(grid(F16, &bytes), on_grid(value), "half {bits:#06x}");
    }
}

#[test]
fn order_and_seed_matter_and_leftovers_do_not() {
    let (a, b) = (f32s(&[1.0, 2.0, 3.0]), f32s(&[4.0, 5.0]));
    let both = sketch(SEED, [(F32, a.as_slice()), (F32, b.as_slice())]);
    assert_ne!(both, sketch(SEED, [(F32, b.as_slice()), (F32, a.as_slice())]));
    assert_ne!(both, sketch(seed(1), [(F32, a.as_slice()), (F32, b.as_slice())]));
    // Tensors are laid end to end: where one ends is in the model's signature.
    assert_eq!(both, of(SEED, &[1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(
        both,
        sketch(SEED, [(F32, [a, b, vec![1, 2, 3]].concat().as_slice())])
    );
}

#[test]
fn the_largest_probe_does_not_overflow() {
    // 8 Mi elements are as many halves as a message holds; each as large as can be.
    let infinite = [0x00, 0x7c].repeat(1 << 23);
    let all = sketch(SEED, [(F16, infinite.as_slice())]);
    let root = ((1u128 << 23) << 80).isqrt();
    assert_eq!(i128::from(all.0[PROJECTIONS]), root as i128);
    assert!(close(&all, &all, Perbill::zero()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_floats_are_on_the_grid(single: u32, double: u64) {
        prop_assert_eq!(grid(F32, &single.to_le_bytes()), on_grid(f32::from_bits(single).into()));
        prop_assert_eq!(grid(F64, &double.to_le_bytes()), on_grid(f64::from_bits(double)));
    }

    #[test]
    fn doubles_of_all_sizes_are_on_the_grid(value in -40f64..40.0, sign: bool) {
        let value = if sign { -1.0 } else { 1.0 } * value.exp2();
        prop_assert_eq!(grid(F64, &value.to_le_bytes()), on_grid(value));
        let single = value as f32;
        prop_assert_eq!(grid(F32, &single.to_le_bytes()), on_grid(single.into()));
    }

    #[test]
    fn any_elements_agree_with_the_definition(
        luck: u64, values in prop::collection::vec(prop_oneof![-1e3f32..1e3, any::<f32>()], 0..100), cut in 0usize..100,
    ) {
        let elements: Vec<i64> = values.iter().map(|v| on_grid((*v).into())).collect();
        let expected = defined(seed(luck), &elements);
        prop_assert_eq!(of(seed(luck), &values), expected);
        let bytes = f32s(&values);
        let (head, tail) = bytes.split_at(cut.min(values.len()) * 4);
        prop_assert_eq!(sketch(seed(luck), [(F32, head), (F32, tail)]), expected);
    }

    #[test]
    fn close_is_its_definition(
        v in prop::array::uniform16(prop_oneof![-1000i64..1000, any::<i64>()]),
        by in prop::array::uniform16(prop_oneof![Just(0i64), -3i64..=3, any::<i64>()]),
        parts in prop_oneof![Just(0u32), 0..=1_000_000_000u32, 1u32..1_000_000],
    ) {
        use sp_core::U512;
        let h: Vec<i64> = v.iter().zip(by).map(|(v, by)| v.saturating_add(by)).collect();
        let (v, h) = (Sketch(v), Sketch(h.try_into().unwrap()));
        let square = |x: i128| U512::from(x.unsigned_abs()) * U512::from(x.unsigned_abs());
        let apart = |j: usize| square(i128::from(v.0[j]) - i128::from(h.0[j]));
        let sums = (0..PROJECTIONS).map(apart).fold(U512::zero(), |a, b| a + b);
        let billion = square(1_000_000_000);
        let allowed = square(parts.into()) * square(v.0[PROJECTIONS].into()) + billion * 4;
        let expected = sums * billion <= allowed * 15 && apart(PROJECTIONS) * billion <= allowed;
        prop_assert_eq!(close(&v, &h, Perbill::from_parts(parts)), expected);
    }
}

/// 64 numbers between -1 and 1 that follow from `n`.
fn random_vector(n: u64, size: u64) -> Vec<f64> {
    (0..size)
        .map(|i| {
            let hash = BlakeTwo256::hash(&[n.to_le_bytes(), i.to_le_bytes()].concat());
            f64::from(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])) / 2f64.powi(31) - 1.0
        })
        .collect()
}

fn length(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// A vector and another one whose relative distance from it is `distance`.
fn pair(n: u64, size: u64, distance: f64) -> (Vec<f32>, Vec<f32>) {
    let (v, noise) = (random_vector(2 * n, size), random_vector(2 * n + 1, size));
    let scale = distance * length(&v) / length(&noise);
    let moved = v
        .iter()
        .zip(&noise)
        .map(|(v, e)| (10.0 * (v + scale * e)) as f32)
        .collect();
    (v.iter().map(|v| (10.0 * v) as f32).collect(), moved)
}

/// How many of `pairs` are taken for close at a tolerance of 5e-4. Single precision moves a pair by up to 6e-8.
fn taken_for_close(pairs: u64, size: u64, distance: f64) -> u64 {
    let tolerance = Perbill::from_parts(500_000);
    (0..pairs)
        .filter(|n| {
            let (v, h) = pair(*n, size, distance);
            let seed = seed(1_000_000 + n);
            close(&of(seed, &v), &of(seed, &h), tolerance)
        })
        .count() as u64
}

#[test]
fn within_half_the_tolerance_all_are_close() {
    for size in [16, 64, 256] {
        assert_eq!(taken_for_close(1_500, size, 2.5e-4), 1_500, "{size} elements");
        assert_eq!(taken_for_close(100, size, 0.0), 100);
    }
}

#[test]
fn beyond_three_times_the_tolerance_none_are_close() {
    for size in [16, 64, 256] {
        assert_eq!(taken_for_close(1_000, size, 1.5e-3), 0, "{size} elements");
    }
    // What the design's cheats differ by: 1 % weight noise, int8, 5 % weight noise.
    for distance in [1.8e-2, 2.2e-2, 9e-2] {
        assert_eq!(taken_for_close(500, 64, distance), 0, "{distance}");
    }
}

/// In between it is a matter of chance, as the chi-squared distribution with 15 degrees of freedom says: 55 % of the
/// pairs at the tolerance itself.
#[test]
fn at_the_tolerance_about_half_are_close() {
    let close = taken_for_close(1_000, 64, 5e-4);
    assert!((480..=620).contains(&close), "{close}");
}

#[test]
fn an_invented_length_makes_nothing_close() {
    let (a, b) = (of(SEED, &[1.0, 2.0, 3.0]), of(SEED, &[-3.0, 1.0, 2.0]));
    let tolerance = Perbill::from_percent(1);
    assert!(!close(&a, &b, tolerance));
    for length in [0, 1, i64::MAX, i64::MIN] {
        let mut lie = a;
        lie.0[PROJECTIONS] = length;
        assert!(!close(&lie, &b, tolerance));
        assert!(!close(&b, &lie, tolerance));
        assert!(!close(&lie, &a, tolerance));
        assert!(!close(&a, &lie, tolerance));
    }
}

#[test]
fn probes_that_are_all_but_zero_may_differ_by_a_step_or_two() {
    let tolerance = Perbill::from_parts(500_000);
    let step = 2f32.powi(-20);
    assert!(close(&of(SEED, &[0.0]), &of(SEED, &[step]), tolerance));
    assert!(close(&of(SEED, &[step]), &of(SEED, &[-step]), tolerance));
    assert!(!close(&of(SEED, &[0.0]), &of(SEED, &[3.0 * step]), tolerance));
    assert!(!close(&of(SEED, &[0.0]), &of(SEED, &[1.0]), tolerance));
}
