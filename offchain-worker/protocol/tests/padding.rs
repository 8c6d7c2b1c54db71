//! The classes of length, and their cost.

use llmesh_protocol::{
    MAX_SEALED_BYTES,
    padding::{MIN_CLASS, class_of, is_class, unpad},
};
use proptest::prelude::*;

#[test]
fn the_classes_are_powers_of_two_and_half_as_much_again() {
    let mut classes = vec![];
    let mut at = 0;
    while let Some(class) = class_of(at) {
        assert!(is_class(class));
        classes.push(class);
        at = class + 1;
    }
    assert_eq!(classes[..8], [512, 768, 1024, 1536, 2048, 3072, 4096, 6144]);
    assert_eq!(classes.len(), 31);
    assert_eq!(classes.last(), Some(&MAX_SEALED_BYTES));
    assert_eq!(class_of(MAX_SEALED_BYTES + 1), None);
    assert_eq!(class_of(usize::MAX), None);
    assert!(!is_class(0) && !is_class(511) && !is_class(640) && !is_class(MAX_SEALED_BYTES * 2));
}

#[test]
fn only_what_was_padded_is_unpadded() {
    let padded = |message: &[u8], length: u32, zeros: usize| {
        [&length.to_le_bytes()[..], message, &vec![0; zeros]].concat()
    };
    assert_eq!(unpad(&padded(b"abc", 3, 9)), Some(&b"abc"[..]));
    assert_eq!(unpad(&padded(b"", 0, 0)), Some(&b""[..]));
    assert_eq!(
        unpad(&padded(b"abc", 2, 9)),
        None,
        "the message goes on behind its length"
    );
    assert_eq!(unpad(&padded(b"abc", 13, 9)), None, "longer than there are bytes");
    assert_eq!(unpad(&padded(b"abc", u32::MAX, 9)), None);
    for short in [&[][..], &[0], &[0, 0, 0]] {
        assert_eq!(unpad(short), None);
    }
    let mut dirty = padded(b"abc", 3, 9);
    *dirty.last_mut().unwrap() = 1;
    assert_eq!(unpad(&dirty), None);
}

/// Over lengths from 512 bytes to 16 MiB, evenly on a logarithmic scale.
#[test]
fn the_mean_cost_is_a_fifth() {
    let steps = 150_000;
    let total: f64 = (0..steps)
        .map(|i| {
            let bytes = 512.0 * 2f64.powf(15.0 * f64::from(i) / f64::from(steps));
            let bytes = bytes.ceil() as usize;
            class_of(bytes).unwrap() as f64 / bytes as f64 - 1.0
        })
        .sum();
    let mean = total / f64::from(steps);
    assert!((0.19..0.21).contains(&mean), "{mean}");
}

proptest! {
    #[test]
    fn a_class_fits_is_the_smallest_and_costs_less_than_half(bytes in 1usize..=MAX_SEALED_BYTES) {
        let class = class_of(bytes).unwrap();
        prop_assert!(class >= bytes && is_class(class));
        prop_assert!(bytes <= MIN_CLASS || 2 * class < 3 * bytes);
        prop_assert!(class == MIN_CLASS || class_of(class - 1) == Some(class));
        prop_assert!(class_of(bytes - 1).unwrap() <= class);
    }

    #[test]
    fn unpadding_survives_garbage(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Some(message) = unpad(&bytes) {
            prop_assert!(message.len() + 4 <= bytes.len());
        }
    }
}
