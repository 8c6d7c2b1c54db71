//! The DHT: the routing table, what others store here, and this node's own questions and announcements.

use super::{ANNOUNCE_PAUSE, ANNOUNCING, Announcement, Answer, Lookup, Node, Query, answer};
use crate::{
    MeshError, Multiaddr, Offence, PeerId, address,
    behaviour::{self, BUCKET},
    discovery,
    diversity::{Entry, TableCaps},
    record::{self, MAX_ADDRESSES},
};
use libp2p::kad::{self, QueryId, store::RecordStore};
use std::time::{Duration, Instant};

impl Node {
    pub(super) fn look_up(&mut self, peer: PeerId, reply: Answer<Vec<Multiaddr>>) {
        if self.queries.len() + 2 > self.shared.limits.dht_queries {
            return answer(reply, Vec::new());
        }
        let id = self.next_lookup;
        self.next_lookup += 1;
        let kad = &mut self.swarm.behaviour_mut().kad;
        let record = kad.get_record(record::dht_key(&peer).into());
        let closest = kad.get_closest_peers(peer);
        self.queries.insert(record, Query::Record(id));
        self.queries.insert(closest, Query::Closest(id));
        self.lookups.insert(
            id,
            Lookup {
                peer,
                reply: Some(reply),
                queries: vec![record, closest],
                hearsay: Vec::new(),
            },
        );
    }

    pub(super) fn provide(&mut self, key: [u8; 32], reply: Answer<Result<(), MeshError>>) {
        if !self.provided.contains(&key) && self.provided.len() >= self.shared.limits.provided {
            return answer(reply, Err(MeshError::Limit("keys provided")));
        }
        let nobody = self.table.is_empty();
        let busy = self.queries.len() >= self.shared.limits.dht_queries;
        self.provided.insert(key);
        if nobody || busy {
            // Noted; told when there is somebody to tell.
            let held = self.hold(key);
            if busy {
                self.announcements.push_back(Announcement::Content(key));
            }
            return answer(reply, held);
        }
        match self
            .swarm
            .behaviour_mut()
            .kad
            .start_providing(kad::RecordKey::new(&key))
        {
            Ok(query) => {
                self.queries.insert(query, Query::Provide(reply));
            }
            Err(_) => {
                self.provided.remove(&key);
                answer(reply, Err(MeshError::Limit("keys provided")));
            }
        }
    }

    /// Stores a record of this node's own as provider, without telling anybody.
    pub(super) fn hold(&mut self, key: [u8; 32]) -> Result<(), MeshError> {
        let record = kad::ProviderRecord::new(kad::RecordKey::new(&key), self.shared.me, Vec::new());
        let held = self.swarm.behaviour_mut().kad.store_mut().add_provider(record);
        if held.is_err() {
            self.provided.remove(&key);
        }
        held.map_err(|_| MeshError::Limit("keys provided"))
    }

    pub(super) fn enter_table(
        &mut self,
        peer: PeerId,
        seen_at: Option<Multiaddr>,
        addresses: Vec<Multiaddr>,
    ) {
        let direct: Vec<Multiaddr> = addresses
            .into_iter()
            .filter(|address| !address::is_relayed(address))
            .collect();
        let Some(first) = direct.first() else { return };
        let limits = &self.shared.limits;
        // The network that the peer was seen in counts, not the one it names.
        let seen_at = seen_at
            .filter(|address| !address::is_relayed(address))
            .unwrap_or_else(|| first.clone());
        let inside = address::ip(&seen_at).is_some_and(|ip| !address::is_global(ip));
        let (per_bucket, per_table) = if inside {
            limits.table_per_prefix_local
        } else {
            (limits.table_per_prefix_bucket, limits.table_per_prefix)
        };
        let caps = TableCaps {
            per_bucket,
            per_table,
            bucket: BUCKET.get(),
        };
        let prefix = address::prefix(&seen_at);
        let standing = self.shared.standing(&peer);
        let bucket = behaviour::bucket(&self.shared.me, &peer);
        let before = self.table.len();
        match self.table.judge(caps, &peer, prefix, bucket, standing) {
            Entry::Stay => return,
            Entry::Instead(victim) => self.leave_table(&victim),
            Entry::Enter => {}
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let mut entered = false;
        for address in direct {
            entered |= matches!(kad.add_address(&peer, address), kad::RoutingUpdate::Success);
        }
        if entered {
            self.table.enter(peer, prefix, bucket, standing);
            if self.table.len() > before && before < BUCKET.get() {
                // The first nodes of the DHT: what this node has to say should be said to them as well.
                let at = Instant::now();
                let soonest = self.announced_all.map_or(at, |last| last + ANNOUNCE_PAUSE);
                self.announce_all
                    .get_or_insert(soonest.max(at + Duration::from_secs(1)));
            }
        }
    }

    pub(super) fn leave_table(&mut self, peer: &PeerId) {
        self.table.leave(peer);
        self.swarm.behaviour_mut().kad.remove_peer(peer);
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request } => self.on_kad_request(request),
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_query(id, result, step.last)
            }
            kad::Event::RoutingUpdated {
                peer,
                is_new_peer: true,
                addresses,
                old_peer,
                ..
            } => {
                if let Some(old) = old_peer {
                    self.table.leave(&old);
                }
                // Entered by itself when its bucket had room: it is judged like everybody.
                if !self.table.contains(&peer) {
                    let addresses: Vec<Multiaddr> = addresses.iter().cloned().collect();
                    self.enter_table(
                        peer,
                        None,
                        address::clean(addresses, &peer, self.shared.config.local_only, MAX_ADDRESSES),
                    );
                    if !self.table.contains(&peer) {
                        self.swarm.behaviour_mut().kad.remove_peer(&peer);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_kad_request(&mut self, request: kad::InboundRequest) {
        let refused = match request {
            kad::InboundRequest::AddProvider { record: Some(record) } => {
                // The behaviour has checked that the provider is the one who sent it.
                let peer = record.provider;
                if self.shared.rates.dht_writes.allow(&peer, 1) {
                    self.swarm
                        .behaviour_mut()
                        .kad
                        .store_mut()
                        .add_provider(record)
                        .is_err()
                } else {
                    self.on_report(peer, Offence::Flood);
                    true
                }
            }
            kad::InboundRequest::PutRecord {
                source,
                record: Some(mut record),
                ..
            } => {
                if !self.shared.rates.dht_writes.allow(&source, 1) {
                    self.on_report(source, Offence::Flood);
                    true
                } else {
                    let store = self.swarm.behaviour_mut().kad.store_mut();
                    match store.check(&record) {
                        Ok(checked) => {
                            record.publisher = None;
                            let stored = store.put(record);
                            discovery::take(&self.shared, checked);
                            stored.is_err()
                        }
                        Err(error) => {
                            tracing::debug!(peer = %source, %error, "bad record for the DHT");
                            self.shared.counting.records_refused.add();
                            self.on_report(source, Offence::BadRecord);
                            true
                        }
                    }
                }
            }
            _ => false,
        };
        if refused {
            self.shared.counting.dht_refused.add();
        }
    }

    pub(super) fn on_query(&mut self, id: QueryId, result: kad::QueryResult, last: bool) {
        match result {
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                self.on_found_record(id, &found)
            }
            kad::QueryResult::GetClosestPeers(result) => {
                let peers = match result {
                    Ok(ok) => ok.peers,
                    Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                if let Some(Query::Closest(lookup)) = self.queries.get(&id)
                    && let Some(lookup) = self.lookups.get_mut(lookup)
                {
                    let named = peers.into_iter().find(|info| info.peer_id == lookup.peer);
                    lookup.hearsay = named.map(|info| info.addrs).unwrap_or_default();
                    lookup.hearsay.truncate(2 * MAX_ADDRESSES);
                }
            }
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                let enough = match self.queries.get(&id) {
                    // Full or gone: whoever asked has enough.
                    Some(Query::Providers(reply)) => {
                        providers.into_iter().any(|peer| reply.try_send(peer).is_err())
                    }
                    _ => false,
                };
                if enough && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                    query.finish();
                }
            }
            kad::QueryResult::StartProviding(result) => {
                if let Some(Query::Provide(_)) = self.queries.get(&id)
                    && let Some(Query::Provide(reply)) = self.queries.remove(&id)
                {
                    answer(
                        reply,
                        result.map(drop).map_err(|_| MeshError::Dht("no answer in time")),
                    );
                    return;
                }
            }
            _ => {}
        }
        if last {
            self.end_query(id);
        }
    }

    pub(super) fn on_found_record(&mut self, id: QueryId, found: &kad::PeerRecord) {
        let Some(Query::Record(lookup)) = self.queries.get(&id) else {
            return;
        };
        let lookup = *lookup;
        let checked = match self.swarm.behaviour_mut().kad.store_mut().check(&found.record) {
            Ok(checked) => checked,
            Err(error) => {
                self.shared.counting.records_refused.add();
                if let Some(source) = found.peer {
                    tracing::debug!(peer = %source, %error, "bad record from the DHT");
                    self.on_report(source, Offence::BadRecord);
                }
                return;
            }
        };
        let addresses = checked.addresses.clone();
        let wanted = self
            .lookups
            .get(&lookup)
            .is_some_and(|lookup| lookup.peer == checked.peer);
        discovery::take(&self.shared, checked);
        if !wanted || addresses.is_empty() {
            return;
        }
        let Some(done) = self.lookups.get_mut(&lookup) else {
            return;
        };
        if let Some(reply) = done.reply.take() {
            answer(reply, addresses);
        }
        for query in done.queries.clone() {
            if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&query) {
                query.finish();
            }
        }
    }

    pub(super) fn end_query(&mut self, id: QueryId) {
        match self.queries.remove(&id) {
            Some(Query::Record(lookup) | Query::Closest(lookup)) => {
                let Some(open) = self.lookups.get_mut(&lookup) else {
                    return;
                };
                open.queries.retain(|query| *query != id);
                if open.queries.is_empty()
                    && let Some(done) = self.lookups.remove(&lookup)
                    && let Some(reply) = done.reply
                {
                    answer(reply, done.hearsay);
                }
            }
            Some(Query::Announce) => self.announcing = self.announcing.saturating_sub(1),
            // Dropping the sender tells that there is no more.
            Some(Query::Providers(_) | Query::Provide(_)) | None => {}
        }
    }

    pub(super) fn announce(&mut self) {
        while self.announcing < ANNOUNCING && self.queries.len() < self.shared.limits.dht_queries {
            let Some(next) = self.announcements.pop_front() else {
                return;
            };
            let kad = &mut self.swarm.behaviour_mut().kad;
            let query = match next {
                Announcement::Record => {
                    let Some(own) = self.shared.own() else { continue };
                    let record = kad::Record::new(record::dht_key(&own.peer), own.bytes.to_vec());
                    kad.put_record(record, kad::Quorum::One)
                }
                Announcement::Content(key) => {
                    if !self.provided.contains(&key) {
                        continue;
                    }
                    kad.start_providing(kad::RecordKey::new(&key))
                }
            };
            match query {
                Ok(query) => {
                    self.queries.insert(query, Query::Announce);
                    self.announcing += 1;
                }
                Err(error) => tracing::debug!(%error, "not announced"),
            }
        }
    }
}
