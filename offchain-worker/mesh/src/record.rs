//! Signed peer records: where a peer says it can be reached.
//!
//! ```text
//! record    = SCALE(body: Vec<u8>, signature: [u8; 64])
//! body      = SCALE(version: u8 = 1, peer: Vec<u8>, sequence: u64, addresses: Vec<Vec<u8>>, region: Vec<u8>, relay: bool)
//! signature = ed25519 of the peer's key over "llmesh/peer-record/v1" ++ genesis (32 bytes) ++ body
//! ```
//! The key is in the peer id itself, so a record proves itself. It is a hint: the chain says who is a host, the
//! handshake says who is at the other end; a record only says where to knock. A record with a higher sequence number
//! replaces one with a lower.

use crate::{PeerId, address};
use bytes::Bytes;
use codec::{Decode, Encode};
use libp2p::{
    Multiaddr,
    identity::{Keypair, PublicKey},
};

/// Most addresses in a record.
pub const MAX_ADDRESSES: usize = 12;
/// Longest region in bytes.
pub const MAX_REGION: usize = 32;
/// Largest record in bytes.
pub const MAX_BYTES: usize = 4096;
const MAX_PEER: usize = 64;
const DOMAIN: &[u8] = b"llmesh/peer-record/v1";
const VERSION: u8 = 1;

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// More bytes than a record may have.
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not the format, or more in it than allowed.
    #[error("malformed")]
    Malformed,
    /// A version this code does not know.
    #[error("unknown version")]
    Version,
    /// The peer id does not carry a key that could have signed.
    #[error("the peer id carries no ed25519 key")]
    Key,
    /// Not signed by the key of the peer it speaks for, or for another chain.
    #[error("not signed by that peer for this chain")]
    Signature,
    /// For a peer other than the one asked for.
    #[error("for another peer")]
    OtherPeer,
}

#[derive(Encode, Decode)]
struct Body {
    version: u8,
    peer: Vec<u8>,
    sequence: u64,
    addresses: Vec<Vec<u8>>,
    region: Vec<u8>,
    relay: bool,
}

#[derive(Encode, Decode)]
struct Envelope {
    body: Vec<u8>,
    signature: [u8; 64],
}

/// A record whose signature has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerRecord {
    /// Whose record.
    pub peer: PeerId,
    /// The higher, the newer. Nodes use milliseconds since 1970.
    pub sequence: u64,
    /// Where the peer says it is: direct addresses without `/p2p/`, relayed ones in full.
    pub addresses: Vec<Multiaddr>,
    /// Where in the world.
    pub region: String,
    /// Whether it offers to relay.
    pub relay: bool,
    /// The record as it was signed.
    pub bytes: Bytes,
}

fn signed_text(genesis: &[u8; 32], body: &[u8]) -> Vec<u8> {
    [DOMAIN, genesis, body].concat()
}

/// The key inside a peer id.
pub(crate) fn key_of(peer: &PeerId) -> Option<PublicKey> {
    let multihash = peer.as_ref();
    if multihash.code() != 0 {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    key.clone().try_into_ed25519().ok()?;
    Some(key)
}

impl PeerRecord {
    /// Makes and signs a record of the key's own peer. What is too much is cut: addresses beyond
    /// [`MAX_ADDRESSES`], characters of the region beyond [`MAX_REGION`] bytes.
    ///
    /// # Errors
    /// [`RecordError::Key`] when the key is not ed25519.
    pub fn sign(
        key: &Keypair,
        genesis: &[u8; 32],
        sequence: u64,
        addresses: &[Multiaddr],
        region: &str,
        relay: bool,
    ) -> Result<Self, RecordError> {
        let peer = key.public().to_peer_id();
        let addresses: Vec<Multiaddr> = addresses
            .iter()
            .filter(|address| address.len() <= address::MAX_BYTES)
            .take(MAX_ADDRESSES)
            .cloned()
            .collect();
        let region = crate::config::region(region);
        let body = Body {
            version: VERSION,
            peer: peer.to_bytes(),
            sequence,
            addresses: addresses.iter().map(|address| address.to_vec()).collect(),
            region: region.clone().into_bytes(),
            relay,
        }
        .encode();
        let signature = key
            .sign(&signed_text(genesis, &body))
            .ok()
            .and_then(|signature| signature.try_into().ok())
            .ok_or(RecordError::Key)?;
        let bytes = Envelope { body, signature }.encode().into();
        Ok(Self {
            peer,
            sequence,
            addresses,
            region,
            relay,
            bytes,
        })
    }

    /// Reads and checks a record. Sizes are checked before anything is decoded, the signature before any address
    /// is looked at. Addresses that this code can not read are left out.
    ///
    /// # Errors
    /// [`RecordError`], one for each thing that can be wrong.
    pub fn decode(bytes: &[u8], genesis: &[u8; 32]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_BYTES {
            return Err(RecordError::TooLarge);
        }
        let envelope: Envelope = decode_all(bytes)?;
        let body: Body = decode_all(&envelope.body)?;
        if body.version != VERSION {
            return Err(RecordError::Version);
        }
        let bounded = body.peer.len() <= MAX_PEER
            && body.addresses.len() <= MAX_ADDRESSES
            && body
                .addresses
                .iter()
                .all(|address| address.len() <= address::MAX_BYTES)
            && body.region.len() <= MAX_REGION;
        if !bounded {
            return Err(RecordError::Malformed);
        }
        let peer = PeerId::from_bytes(&body.peer).map_err(|_| RecordError::Malformed)?;
        let key = key_of(&peer).ok_or(RecordError::Key)?;
        if !key.verify(&signed_text(genesis, &envelope.body), &envelope.signature) {
            return Err(RecordError::Signature);
        }
        let addresses = body
            .addresses
            .into_iter()
            .filter_map(|address| Multiaddr::try_from(address).ok())
            .collect();
        let region = String::from_utf8(body.region).map_err(|_| RecordError::Malformed)?;
        Ok(Self {
            peer,
            sequence: body.sequence,
            addresses,
            region,
            relay: body.relay,
            bytes: Bytes::copy_from_slice(bytes),
        })
    }

    /// As [`PeerRecord::decode`], for a record that must speak for `peer`.
    ///
    /// # Errors
    /// [`RecordError::OtherPeer`] in addition.
    pub fn decode_for(bytes: &[u8], genesis: &[u8; 32], peer: &PeerId) -> Result<Self, RecordError> {
        let record = Self::decode(bytes, genesis)?;
        if record.peer != *peer {
            return Err(RecordError::OtherPeer);
        }
        Ok(record)
    }
}

fn decode_all<T: Decode>(mut bytes: &[u8]) -> Result<T, RecordError> {
    let value = T::decode(&mut bytes).map_err(|_| RecordError::Malformed)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(RecordError::Malformed)
    }
}

const KEY_PREFIX: &[u8] = b"/llmesh/peer/";

/// Where the DHT keeps a peer's record.
pub(crate) fn dht_key(peer: &PeerId) -> Vec<u8> {
    [KEY_PREFIX, &peer.to_bytes()].concat()
}

/// Whose record belongs under a key of the DHT.
pub(crate) fn peer_of_dht_key(key: &[u8]) -> Option<PeerId> {
    let peer = key.strip_prefix(KEY_PREFIX)?;
    if peer.len() > MAX_PEER {
        return None;
    }
    PeerId::from_bytes(peer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAIN: [u8; 32] = [7; 32];

    fn sample(key: &Keypair, sequence: u64) -> PeerRecord {
        let addresses: Vec<Multiaddr> = vec![
            "/ip4/8.8.8.8/tcp/30400".parse().unwrap(),
            "/ip4/8.8.8.8/udp/30400/quic-v1".parse().unwrap(),
        ];
        PeerRecord::sign(key, &CHAIN, sequence, &addresses, "eu-west", true).unwrap()
    }

    #[test]
    fn there_and_back() {
        let key = Keypair::generate_ed25519();
        let record = sample(&key, 5);
        assert_eq!(PeerRecord::decode(&record.bytes, &CHAIN), Ok(record.clone()));
        assert_eq!(
            PeerRecord::decode_for(&record.bytes, &CHAIN, &key.public().to_peer_id()),
            Ok(record.clone())
        );
        assert_eq!(peer_of_dht_key(&dht_key(&record.peer)), Some(record.peer));
    }

    #[test]
    fn a_record_speaks_for_its_own_key_and_chain_only() {
        let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let record = sample(&key, 5);
        assert_eq!(
            PeerRecord::decode(&record.bytes, &[8; 32]),
            Err(RecordError::Signature)
        );
        assert_eq!(
            PeerRecord::decode_for(&record.bytes, &CHAIN, &other.public().to_peer_id()),
            Err(RecordError::OtherPeer)
        );
        // The body of one, signed by another.
        let body = Envelope::decode(&mut record.bytes.as_ref()).unwrap().body;
        let forged = Envelope {
            signature: other
                .sign(&signed_text(&CHAIN, &body))
                .unwrap()
                .try_into()
                .unwrap(),
            body,
        };
        assert_eq!(
            PeerRecord::decode(&forged.encode(), &CHAIN),
            Err(RecordError::Signature)
        );
    }

    #[test]
    fn too_much_is_refused() {
        let key = Keypair::generate_ed25519();
        assert_eq!(
            PeerRecord::decode(&vec![0; MAX_BYTES + 1], &CHAIN),
            Err(RecordError::TooLarge)
        );
        let peer = key.public().to_peer_id();
        let sign = |body: Body| {
            let body = body.encode();
            Envelope {
                signature: key.sign(&signed_text(&CHAIN, &body)).unwrap().try_into().unwrap(),
                body,
            }
            .encode()
        };
        let plain = || Body {
            version: VERSION,
            peer: peer.to_bytes(),
            sequence: 1,
            addresses: vec![],
            region: vec![],
            relay: false,
        };
        let many = Body {
            addresses: vec![vec![]; MAX_ADDRESSES + 1],
            ..plain()
        };
        let region = Body {
            region: vec![b'a'; MAX_REGION + 1],
            ..plain()
        };
        let version = Body {
            version: 2,
            ..plain()
        };
        let mut trailing = sign(plain());
        trailing.push(0);
        assert_eq!(
            PeerRecord::decode(&sign(many), &CHAIN),
            Err(RecordError::Malformed)
        );
        assert_eq!(
            PeerRecord::decode(&sign(region), &CHAIN),
            Err(RecordError::Malformed)
        );
        assert_eq!(
            PeerRecord::decode(&sign(version), &CHAIN),
            Err(RecordError::Version)
        );
        assert_eq!(PeerRecord::decode(&trailing, &CHAIN), Err(RecordError::Malformed));
    }

    #[test]
    fn peers_without_a_key_in_their_id_have_no_records() {
        assert!(key_of(&PeerId::random()).is_none());
        assert!(key_of(&Keypair::generate_ed25519().public().to_peer_id()).is_some());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(PeerRecord::decode(&bytes, &CHAIN).is_err());
            let _ = peer_of_dht_key(&bytes);
        }

        #[test]
        fn no_byte_can_be_changed(at in any::<prop::sample::Index>(), with in 1u8..) {
            let key = Keypair::generate_ed25519();
            let mut bytes = sample(&key, 5).bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            prop_assert!(PeerRecord::decode(&bytes, &CHAIN).is_err());
        }
    }
}
