//! Gossip: who listens to what, and what is let through.

use crate::{
    MeshError, PeerId, Topic,
    config::{Limits, Names},
};
use bytes::Bytes;
use libp2p::{
    gossipsub::{
        self, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams,
        PeerScoreThresholds, TopicHash, TopicScoreParams, TopicSubscriptionFilter, ValidationMode, Version,
    },
    identity::Keypair,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, mpsc};

/// A message of a topic. Its author signed it and has standing on chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GossipMessage {
    /// Who wrote it (not who passed it on).
    pub from: PeerId,
    /// The topic.
    pub topic: Topic,
    /// What it says.
    pub data: Bytes,
}

/// What an application says about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GossipVerdict {
    /// Deliver it and pass it on.
    Accept,
    /// Neither, and hold it against nobody.
    Ignore,
    /// Neither, and hold it against who sent it here and who wrote it.
    Reject,
}

/// Judges messages of a topic before they are delivered or passed on. Runs inside the mesh's loop: quick, no waiting.
pub type Validator = Arc<dyn Fn(&GossipMessage) -> GossipVerdict + Send + Sync>;

/// Accepts topics of this chain only.
#[derive(Clone)]
pub(crate) struct OwnTopics(Arc<Names>);

impl TopicSubscriptionFilter for OwnTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        self.0.topic_of(topic.as_str()).is_some()
    }
}

pub(crate) type Behaviour = gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<OwnTopics>>;

/// Messages are known by author, topic and content: the same again within the cache's time is a repeat, whatever its
/// sequence number.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut hash = blake3::Hasher::new();
    for part in [
        &message.source.map(PeerId::to_bytes).unwrap_or_default(),
        message.topic.as_str().as_bytes(),
        &message.data,
    ] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    MessageId::new(&hash.finalize().as_bytes()[..20])
}

pub(crate) fn behaviour(
    keypair: &Keypair,
    names: Arc<Names>,
    limits: &Limits,
    local: bool,
) -> Result<Behaviour, MeshError> {
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id(names.gossip_protocol.clone(), Version::V1_1)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_millis(700))
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(limits.gossip_bytes + 4096)
        .flood_publish(false)
        .build()
        .map_err(|_| MeshError::Config("gossip"))?;
    let filter = MaxCountSubscriptionFilter {
        filter: OwnTopics(names),
        max_subscribed_topics: limits.topics,
        max_subscriptions_per_request: limits.topics,
    };
    let mut behaviour = gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Signed(keypair.clone()),
        config,
        filter,
    )
    .map_err(|_| MeshError::Config("gossip"))?;
    let params = PeerScoreParams {
        // Standing and offences come in here; see `application_score`.
        app_specific_weight: 1.0,
        // On one machine everybody has the same address.
        ip_colocation_factor_weight: if local { 0.0 } else { -5.0 },
        ip_colocation_factor_threshold: 8.0,
        ..PeerScoreParams::default()
    };
    behaviour
        .with_peer_score(params, PeerScoreThresholds::default())
        .map_err(|_| MeshError::Config("gossip scores"))?;
    Ok(behaviour)
}

/// Scores of one topic. Topics here may be silent for minutes: nobody is punished for not delivering.
pub(crate) fn topic_params() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 0.5,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 600.0,
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_decay: 0.99,
        first_message_deliveries_cap: 20.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    }
}

/// What a peer counts for by standing and behaviour.
pub(crate) fn application_score(standing: bool, points: f64) -> f64 {
    (if standing { 20.0 } else { 0.0 }) - points
}

#[derive(Default)]
struct Listeners {
    senders: Vec<mpsc::Sender<GossipMessage>>,
    validators: Vec<Validator>,
}

/// Who listens. Shared by the handles and the loop.
pub(crate) struct Subscriptions {
    topics: Mutex<HashMap<Topic, Listeners>>,
    /// Rung when topics were added.
    pub changed: Notify,
    max_topics: usize,
    queue: usize,
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}

impl Subscriptions {
    pub fn new(limits: &Limits) -> Self {
        Self {
            topics: Mutex::default(),
            changed: Notify::new(),
            max_topics: limits.topics,
            queue: limits.gossip_queue.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Listeners>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener. When there are too many topics, what is returned is closed already.
    pub fn add(&self, topic: Topic, validator: Option<Validator>) -> mpsc::Receiver<GossipMessage> {
        let (sender, receiver) = mpsc::channel(self.queue);
        let mut topics = self.lock();
        if !topics.contains_key(&topic) && topics.len() >= self.max_topics {
            tracing::warn!(%topic, "too many topics; not subscribed");
            return receiver;
        }
        let listeners = topics.entry(topic).or_default();
        listeners.senders.push(sender);
        listeners.validators.extend(validator);
        drop(topics);
        self.changed.notify_one();
        receiver
    }

    /// Forgets listeners that went away; the topics that still have some.
    pub fn topics(&self) -> Vec<Topic> {
        let mut topics = self.lock();
        topics.retain(|_, listeners| {
            listeners.senders.retain(|sender| !sender.is_closed());
            !listeners.senders.is_empty()
        });
        topics.keys().cloned().collect()
    }

    /// What the application's validators say: the strictest counts.
    pub fn judge(&self, message: &GossipMessage) -> GossipVerdict {
        let validators = match self.lock().get(&message.topic) {
            Some(listeners) => listeners.validators.clone(),
            None => return GossipVerdict::Ignore,
        };
        let mut verdict = GossipVerdict::Accept;
        for validator in validators {
            match validator(message) {
                GossipVerdict::Reject => return GossipVerdict::Reject,
                GossipVerdict::Ignore => verdict = GossipVerdict::Ignore,
                GossipVerdict::Accept => {}
            }
        }
        verdict
    }

    /// Hands a message to those who listen; how many were too slow for it.
    pub fn deliver(&self, message: &GossipMessage) -> u64 {
        let senders = match self.lock().get(&message.topic) {
            Some(listeners) => listeners.senders.clone(),
            None => return 0,
        };
        let full = |sender: &mpsc::Sender<GossipMessage>| {
            matches!(
                sender.try_send(message.clone()),
                Err(mpsc::error::TrySendError::Full(_))
            )
        };
        senders.iter().filter(|sender| full(sender)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &Topic) -> GossipMessage {
        GossipMessage {
            from: PeerId::random(),
            topic: topic.clone(),
            data: Bytes::from_static(b"x"),
        }
    }

    #[test]
    fn slow_listeners_lose_messages_and_nothing_else() {
        let limits = Limits {
            gossip_queue: 2,
            topics: 1,
            ..Limits::default()
        };
        let subscriptions = Subscriptions::new(&limits);
        let topic = Topic::new("a").unwrap();
        let mut quick = subscriptions.add(topic.clone(), None);
        let _slow = subscriptions.add(topic.clone(), None);
        let mut dropped = 0;
        for _ in 0..5 {
            dropped += subscriptions.deliver(&message(&topic));
            assert!(quick.try_recv().is_ok());
        }
        assert_eq!(dropped, 3);
        let mut refused = subscriptions.add(Topic::new("b").unwrap(), None);
        assert!(matches!(
            refused.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        ));
        drop(quick);
        drop(_slow);
        assert!(subscriptions.topics().is_empty());
    }

    #[test]
    fn the_strictest_validator_counts() {
        let subscriptions = Subscriptions::new(&Limits::default());
        let topic = Topic::new("a").unwrap();
        let _one = subscriptions.add(topic.clone(), Some(Arc::new(|_| GossipVerdict::Accept)));
        assert_eq!(subscriptions.judge(&message(&topic)), GossipVerdict::Accept);
        let _two = subscriptions.add(topic.clone(), Some(Arc::new(|_| GossipVerdict::Ignore)));
        assert_eq!(subscriptions.judge(&message(&topic)), GossipVerdict::Ignore);
        let _three = subscriptions.add(topic.clone(), Some(Arc::new(|_| GossipVerdict::Reject)));
        assert_eq!(subscriptions.judge(&message(&topic)), GossipVerdict::Reject);
    }

    #[test]
    fn the_id_is_of_author_topic_and_content() {
        let one = gossipsub::Message {
            source: Some(PeerId::random()),
            data: vec![1],
            sequence_number: Some(1),
            topic: TopicHash::from_raw("a"),
        };
        let again = gossipsub::Message {
            sequence_number: Some(2),
            ..one.clone()
        };
        let other = gossipsub::Message {
            source: Some(PeerId::random()),
            ..one.clone()
        };
        assert_eq!(message_id(&one), message_id(&again));
        assert_ne!(message_id(&one), message_id(&other));
    }
}
