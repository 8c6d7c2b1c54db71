//! Key rings: names, rotation, storage.

mod support;

use llmesh_protocol::{KeyId, KeyRing, keys::BadKeyFile};
use proptest::prelude::*;
use support::rng;

#[test]
fn at_most_two_keys_are_alive() {
    let mut ring = KeyRing::generate(&mut rng(1));
    let first = ring.current();
    assert_eq!(first, KeyId::of(&ring.public()));
    assert_eq!(first.to_string().len(), 16);
    assert_eq!(ring.previous(), None);
    assert!(!ring.erase_expired(u64::MAX));

    let second = ring.rotate(100, 50, &mut rng(2));
    assert_ne!(first, second);
    assert_eq!((ring.current(), ring.previous()), (second, Some((first, 150))));
    let third = ring.rotate(120, u64::MAX, &mut rng(3));
    assert_eq!(
        (ring.current(), ring.previous()),
        (third, Some((second, u64::MAX)))
    );
}

#[test]
fn a_ring_is_stored_and_read_back() {
    let mut ring = KeyRing::generate(&mut rng(1));
    for _ in 0..3 {
        let bytes = ring.to_bytes();
        let restored = KeyRing::from_bytes(&bytes).unwrap();
        assert_eq!(restored.public(), ring.public());
        assert_eq!(restored.previous(), ring.previous());
        assert_eq!(restored.to_bytes(), bytes);
        ring.rotate(7, 8, &mut rng(9));
    }
}

#[test]
fn damaged_files_are_refused() {
    let mut ring = KeyRing::generate(&mut rng(1));
    ring.rotate(7, 8, &mut rng(2));
    let bytes = ring.to_bytes();
    for length in (0..bytes.len()).filter(|length| *length != 33) {
        assert_eq!(KeyRing::from_bytes(&bytes[..length]).unwrap_err(), BadKeyFile);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(KeyRing::from_bytes(&longer).is_err());
    let mut other = bytes.to_vec();
    other[0] = 2;
    assert!(KeyRing::from_bytes(&other).is_err());
    let mut wiped = vec![1];
    wiped.extend([0; 32]);
    assert!(KeyRing::from_bytes(&wiped).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_ring_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
        if let Ok(ring) = KeyRing::from_bytes(&bytes) {
            prop_assert!(*ring.to_bytes() == bytes);
        }
    }
}
