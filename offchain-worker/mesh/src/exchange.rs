//! Peer exchange: what two nodes tell each other about others, over a discovery link.
//!
//! ```text
//! request  = SCALE(version: u8 = 1, limit: u8, record: Option<Vec<u8>>)   the asker's own record comes along
//! response = SCALE(version: u8 = 1, records: Vec<Vec<u8>>)                records of peers the answerer has met
//! ```
//! Records are signed by those they speak for. Only peers that this node has reached itself are passed on, a random few
//! of them, spread over networks and regions.

use crate::{
    PeerId,
    book::Book,
    diversity::spread,
    record::{self, PeerRecord, RecordError},
};
use bytes::Bytes;
use codec::{Decode, Encode};
use rand::Rng;

/// Most records in one answer.
pub const MAX_RECORDS: usize = 32;
/// Largest message in bytes.
pub const MAX_BYTES: usize = MAX_RECORDS * (record::MAX_BYTES + 4) + 16;
/// Peers met longer ago are not passed on, in seconds.
const FRESH: u64 = 24 * 3600;
const VERSION: u8 = 1;

#[derive(Encode, Decode)]
struct Request {
    version: u8,
    limit: u8,
    record: Option<Vec<u8>>,
}

#[derive(Encode, Decode)]
struct Response {
    version: u8,
    records: Vec<Vec<u8>>,
}

/// A request that asks for `limit` records and brings one's own.
pub fn ask(limit: u8, own: Option<&PeerRecord>) -> Bytes {
    let request = Request {
        version: VERSION,
        limit,
        record: own.map(|record| record.bytes.to_vec()),
    };
    request.encode().into()
}

/// Reads a request by `from`: how many records it wants, and its own.
///
/// # Errors
/// [`RecordError`]; a record of another peer is refused.
pub fn read_ask(
    bytes: &[u8],
    genesis: &[u8; 32],
    from: &PeerId,
) -> Result<(usize, Option<PeerRecord>), RecordError> {
    if bytes.len() > record::MAX_BYTES + 16 {
        return Err(RecordError::TooLarge);
    }
    let request: Request = decode_all(bytes)?;
    if request.version != VERSION {
        return Err(RecordError::Version);
    }
    let record = request
        .record
        .map(|bytes| PeerRecord::decode_for(&bytes, genesis, from))
        .transpose()?;
    Ok((usize::from(request.limit).min(MAX_RECORDS), record))
}

/// Makes an answer for `asker` out of the book; the answerer's own record comes first.
pub fn answer(
    book: &Book,
    own: Option<&PeerRecord>,
    asker: &PeerId,
    limit: usize,
    region: impl Fn(&PeerId) -> Option<String>,
    now: u64,
    rng: &mut impl Rng,
) -> Bytes {
    let candidates = book.candidates(
        |peer| {
            peer == asker
                || !book.get(peer).is_some_and(|known| {
                    known.record.is_some()
                        && known.verified > 0
                        && known.failures == 0
                        && now.saturating_sub(known.verified) <= FRESH
                })
        },
        region,
        // The pause after a dial concerns dialling only.
        u64::MAX,
    );
    let limit = limit.min(MAX_RECORDS);
    let own = own.filter(|_| limit > 0);
    let picked = spread(candidates, &[], limit - usize::from(own.is_some()), rng);
    let others = picked
        .iter()
        .filter_map(|candidate| book.get(&candidate.peer)?.record.as_ref());
    let records = own
        .into_iter()
        .chain(others)
        .map(|record| record.bytes.to_vec())
        .collect();
    let response = Response {
        version: VERSION,
        records,
    };
    response.encode().into()
}

/// Reads an answer to a request for `limit` records: the good records, and how many were not good. More records than
/// asked for make the whole answer bad.
///
/// # Errors
/// [`RecordError`] when the answer as a whole is not what was asked for.
pub fn read_answer(
    bytes: &[u8],
    genesis: &[u8; 32],
    limit: usize,
) -> Result<(Vec<PeerRecord>, usize), RecordError> {
    if bytes.len() > MAX_BYTES {
        return Err(RecordError::TooLarge);
    }
    let response: Response = decode_all(bytes)?;
    if response.version != VERSION {
        return Err(RecordError::Version);
    }
    if response.records.len() > limit.min(MAX_RECORDS) {
        return Err(RecordError::Malformed);
    }
    let mut good = Vec::new();
    let mut bad = 0;
    for bytes in &response.records {
        match PeerRecord::decode(bytes, genesis) {
            Ok(record) => good.push(record),
            Err(_) => bad += 1,
        }
    }
    Ok((good, bad))
}

fn decode_all<T: Decode>(mut bytes: &[u8]) -> Result<T, RecordError> {
    let value = T::decode(&mut bytes).map_err(|_| RecordError::Malformed)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(RecordError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    const CHAIN: [u8; 32] = [7; 32];
    const NOW: u64 = 1_800_000_000;

    fn record(key: &Keypair, network: u8) -> PeerRecord {
        let address = format!("/ip4/8.8.{network}.1/tcp/1").parse().unwrap();
        PeerRecord::sign(key, &CHAIN, 1, &[address], "eu", false).unwrap()
    }

    fn at() -> libp2p::Multiaddr {
        "/ip4/8.8.1.1/tcp/1".parse().unwrap()
    }

    fn nobody(_: &PeerId) -> bool {
        false
    }

    #[test]
    fn only_peers_that_were_met_are_passed_on() {
        let mut book = Book::new(PeerId::random(), 100, false);
        let (met, heard, stale) = (
            Keypair::generate_ed25519(),
            Keypair::generate_ed25519(),
            Keypair::generate_ed25519(),
        );
        for key in [&met, &heard, &stale] {
            book.note_record(record(key, 1), nobody, NOW);
        }
        book.note_reached(met.public().to_peer_id(), &at(), nobody, NOW);
        book.note_reached(stale.public().to_peer_id(), &at(), nobody, NOW - FRESH - 1);
        book.note_heard(&heard.public().to_peer_id(), NOW);
        let asker = PeerId::random();
        let mut rng = StdRng::seed_from_u64(1);
        let bytes = answer(&book, None, &asker, 32, |_| None, NOW, &mut rng);
        let (records, bad) = read_answer(&bytes, &CHAIN, 32).unwrap();
        assert_eq!(bad, 0);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].peer, met.public().to_peer_id());
        let own = record(&heard, 1);
        let with_own = answer(&book, Some(&own), &asker, 1, |_| None, NOW, &mut rng);
        assert_eq!(read_answer(&with_own, &CHAIN, 1).unwrap().0, vec![own]);
        let to_itself = answer(
            &book,
            None,
            &met.public().to_peer_id(),
            32,
            |_| None,
            NOW,
            &mut rng,
        );
        assert!(read_answer(&to_itself, &CHAIN, 32).unwrap().0.is_empty());
    }

    #[test]
    fn answers_are_bounded_and_spread() {
        let mut book = Book::new(PeerId::random(), 1_000, false);
        for n in 0..200u8 {
            let key = Keypair::generate_ed25519();
            book.note_record(record(&key, if n < 190 { 0 } else { n }), nobody, NOW);
            let at = record(&key, if n < 190 { 0 } else { n }).addresses[0].clone();
            book.note_reached(key.public().to_peer_id(), &at, nobody, NOW);
        }
        let mut rng = StdRng::seed_from_u64(1);
        let bytes = answer(&book, None, &PeerId::random(), 255, |_| None, NOW, &mut rng);
        let (records, _) = read_answer(&bytes, &CHAIN, 255).unwrap();
        assert_eq!(records.len(), MAX_RECORDS);
        let eleven = answer(&book, None, &PeerId::random(), 11, |_| None, NOW, &mut rng);
        let (records, _) = read_answer(&eleven, &CHAIN, 11).unwrap();
        let crowd = records
            .iter()
            .filter(|record| record.addresses[0].to_string().starts_with("/ip4/8.8.0."))
            .count();
        assert_eq!(crowd, 1);
    }

    #[test]
    fn a_request_brings_the_askers_record_only() {
        let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let from = key.public().to_peer_id();
        let (limit, own) = read_ask(&ask(200, Some(&record(&key, 1))), &CHAIN, &from).unwrap();
        assert_eq!((limit, own.unwrap().peer), (MAX_RECORDS, from));
        assert_eq!(
            read_ask(&ask(5, Some(&record(&other, 1))), &CHAIN, &from),
            Err(RecordError::OtherPeer)
        );
    }

    #[test]
    fn more_than_asked_for_is_refused() {
        let records = vec![record(&Keypair::generate_ed25519(), 1).bytes.to_vec(); 9];
        let bytes = Response { version: 1, records }.encode();
        assert_eq!(read_answer(&bytes, &CHAIN, 8), Err(RecordError::Malformed));
        assert_eq!(
            read_answer(&vec![0; MAX_BYTES + 1], &CHAIN, 8),
            Err(RecordError::TooLarge)
        );
        let junk = Response {
            version: 1,
            records: vec![vec![1, 2, 3]; 3],
        };
        assert_eq!(read_answer(&junk.encode(), &CHAIN, 8), Ok((vec![], 3)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_ask(&bytes, &CHAIN, &PeerId::random());
            let _ = read_answer(&bytes, &CHAIN, 8);
        }
    }
}
