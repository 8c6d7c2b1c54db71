//! Peer exchange as the node does it: serving it, and asking for it.

use crate::{
    Kind, Mesh, Offence, PeerId, Request, Service,
    book::Noted,
    exchange,
    link::{CODE_RATE, Call, Reject},
    mesh::Shared,
    now,
    record::{PeerRecord, RecordError},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// The request is malformed.
const CODE_MALFORMED: u16 = 1;
/// How long an exchange may take.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Records asked for at a time.
const WANTED: u8 = 16;

/// Serves peer exchange.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
}

impl Exchange {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

/// Takes a checked record into the book.
pub(crate) fn take(shared: &Shared, record: PeerRecord) -> Noted {
    let noted = shared
        .book()
        .note_record(record, |peer| shared.standing(peer), now());
    if noted == Noted::New {
        shared.counting.records_accepted.add();
    }
    noted
}

#[async_trait]
impl Service for Exchange {
    async fn serve(&self, request: Request) -> Result<Bytes, Reject> {
        let shared = &self.shared;
        if !shared.rates.exchanges.allow(&request.from, 1) {
            return Err(Reject::new(CODE_RATE, "peer exchange is for now and then"));
        }
        let read = exchange::read_ask(&request.body, &shared.config.genesis, &request.from);
        let (limit, record) = read.map_err(|error| {
            shared.counting.records_refused.add();
            Reject::new(CODE_MALFORMED, error.to_string())
        })?;
        if let Some(record) = record {
            take(shared, record);
        }
        shared.counting.exchanges_in.add();
        let own = shared.own();
        let book = shared.book();
        Ok(exchange::answer(
            &book,
            own.as_ref(),
            &request.from,
            limit,
            |peer| shared.region(peer),
            now(),
            &mut rand::rng(),
        ))
    }
}

/// Asks a peer whom it knows, and takes what it says into the book. Nothing of it is passed on before this node has
/// been connected with those peers itself.
pub(crate) async fn ask(mesh: &Mesh, peer: PeerId) {
    let shared = mesh.shared();
    let body = exchange::ask(WANTED, shared.own().as_ref());
    let Ok(answer) = mesh.call(peer, Kind::Discovery, Call::new(body, EXCHANGE)).await else {
        return;
    };
    shared.counting.exchanges_out.add();
    match exchange::read_answer(&answer, &shared.config.genesis, usize::from(WANTED)) {
        Ok((records, bad)) => {
            for record in records {
                take(shared, record);
            }
            if bad > 0 {
                shared.counting.records_refused.add();
                mesh.report(peer, Offence::BadRecord);
            }
        }
        // A newer version of the protocol is no offence.
        Err(RecordError::Version) => {}
        Err(_) => mesh.report(peer, Offence::Protocol),
    }
}
