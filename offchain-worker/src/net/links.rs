//! Link state: measures this worker's links, tells the others, and hears what they say of theirs.

use super::{
    Shared,
    schedule::Scheduler,
    topology::{Statement, StatementError},
    unix_ms,
};
use codec::Encode;
use llmesh_mesh::{GossipMessage, GossipVerdict, Offence, Topic};
use llmesh_routing::metric::{Link, LinkEstimate};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The topic of statements.
pub(crate) const TOPIC: &str = "links";
/// A statement is made so often, and when the links changed, but not more often than [`LEAST_PAUSE`].
const EVERY: Duration = Duration::from_secs(20);
const LEAST_PAUSE: Duration = Duration::from_secs(2);
/// Own links are looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// Judges statements before they are passed on: those that can not be read, or that are malformed, are not.
pub(crate) fn judge(message: &GossipMessage) -> GossipVerdict {
    match Statement::read(&message.data) {
        Ok(_) => GossipVerdict::Accept,
        // A later release may know it.
        Err(StatementError::UnknownVersion) => GossipVerdict::Ignore,
        Err(_) => GossipVerdict::Reject,
    }
}

/// Works until the future is dropped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    scheduler: Scheduler,
    relays: bool,
    topic: Topic,
    mut heard: mpsc::Receiver<GossipMessage>,
) {
    let mut directory = shared.directory.follow();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut estimates = HashMap::new();
    let mut told: Option<(Instant, Vec<_>)> = None;
    loop {
        tokio::select! {
            _ = look.tick() => {
                let peers = measure(&shared, &mut estimates);
                shared.topology().expire(Instant::now());
                let due = match &told {
                    None => true,
                    Some((at, before)) => {
                        at.elapsed() >= EVERY || (*before != peers && at.elapsed() >= LEAST_PAUSE)
                    }
                };
                if due && !peers.is_empty() {
                    let statement = shared.topology().statement(unix_ms(), relays, scheduler.load_ppm());
                    if let Err(error) = shared.mesh.publish(topic.clone(), statement.encode().into()).await {
                        tracing::trace!(%error, "link state was not published");
                    }
                    told = Some((Instant::now(), peers));
                }
            }
            Some(message) = heard.recv() => hear(&shared, &message),
            changed = directory.changed() => {
                if changed.is_err() {
                    return;
                }
                let credit = shared.directory.snapshot().credit();
                shared.topology().set_credit(credit);
            }
        }
    }
}

/// Takes the round trips that the mesh measured. Returns who is linked to, in order.
fn measure(
    shared: &Shared,
    estimates: &mut HashMap<llmesh_mesh::PeerId, LinkEstimate>,
) -> Vec<llmesh_mesh::PeerId> {
    let status = shared.mesh.status().borrow().clone();
    let mut links = Vec::with_capacity(status.peers.len());
    estimates.retain(|peer, _| status.peers.iter().any(|p| p.peer == *peer));
    for peer in status.peers.iter().filter(|p| p.ready) {
        let estimate: &mut LinkEstimate = estimates.entry(peer.peer).or_default();
        if let Some(rtt) = peer.rtt {
            estimate.answered(u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
        }
        if let Some(link) = estimate.link() {
            links.push((peer.peer, link));
        }
    }
    let mut peers: Vec<_> = links.iter().map(|(peer, _): &(_, Link)| *peer).collect();
    peers.sort();
    shared.topology().set_own_links(links);
    peers
}

fn hear(shared: &Shared, message: &GossipMessage) {
    let merged = Statement::read(&message.data)
        .and_then(|statement| shared.topology().merge(message.from, &statement, Instant::now()));
    match merged {
        Ok(()) | Err(StatementError::Stale | StatementError::Full) => {}
        Err(error) => {
            tracing::debug!(peer = %message.from, %error, "a statement about links does not count");
            shared.mesh.report(message.from, Offence::BadGossip);
        }
    }
}
