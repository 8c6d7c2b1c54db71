//! Gossip as it comes and goes.

use super::Node;
use crate::{GossipMessage, GossipVerdict, MeshError, Offence, PeerId, Topic, gossip};
use bytes::Bytes;
use libp2p::gossipsub;
use std::{collections::HashSet, time::Instant};

impl Node {
    pub(super) fn publish(&mut self, topic: &Topic, data: &Bytes) -> Result<(), MeshError> {
        let ident = self.shared.names.topic(topic);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        match gossip.publish(ident.hash(), data.to_vec()) {
            Ok(_) => {
                self.shared.counting.gossip_out.add();
                Ok(())
            }
            Err(error) => Err(MeshError::Publish(match error {
                gossipsub::PublishError::Duplicate => "published before",
                gossipsub::PublishError::NoPeersSubscribedToTopic => "nobody listens",
                gossipsub::PublishError::MessageTooLarge => "the message is too large",
                gossipsub::PublishError::AllQueuesFull(_) => "every connection is busy",
                gossipsub::PublishError::SigningError(_) | gossipsub::PublishError::TransformFailed(_) => {
                    "it could not be signed"
                }
            })),
        }
    }

    pub(super) fn follow_topics(&mut self) {
        let wanted: HashSet<Topic> = self.shared.subscriptions.topics().into_iter().collect();
        let new: Vec<Topic> = wanted.difference(&self.topics).cloned().collect();
        let gone: Vec<Topic> = self.topics.difference(&wanted).cloned().collect();
        for topic in new {
            let ident = self.shared.names.topic(&topic);
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            if let Err(error) = gossip.set_topic_params(ident.clone(), gossip::topic_params()) {
                tracing::warn!(%topic, error, "no scores for the topic");
            }
            match gossip.subscribe(&ident) {
                Ok(_) => {
                    self.topics.insert(topic);
                }
                Err(error) => tracing::warn!(%topic, %error, "not subscribed"),
            }
        }
        for topic in gone {
            let ident = self.shared.names.topic(&topic);
            self.swarm.behaviour_mut().gossip.unsubscribe(&ident);
            self.topics.remove(&topic);
        }
        self.dirty = true;
    }

    pub(super) fn on_gossip(&mut self, from: PeerId, id: &gossipsub::MessageId, message: gossipsub::Message) {
        let verdict = self.judge_gossip(from, message);
        let acceptance = match verdict {
            GossipVerdict::Accept => gossipsub::MessageAcceptance::Accept,
            GossipVerdict::Ignore => gossipsub::MessageAcceptance::Ignore,
            GossipVerdict::Reject => gossipsub::MessageAcceptance::Reject,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(id, &from, acceptance);
    }

    pub(super) fn judge_gossip(&mut self, from: PeerId, message: gossipsub::Message) -> GossipVerdict {
        let counting = &self.shared.counting;
        let (Some(author), Some(topic)) =
            (message.source, self.shared.names.topic_of(message.topic.as_str()))
        else {
            counting.gossip_bad.add();
            return GossipVerdict::Reject;
        };
        if message.data.len() > self.shared.limits.gossip_bytes {
            counting.gossip_bad.add();
            return GossipVerdict::Reject;
        }
        // Who passes on what has no standing may know a newer block: that is not held against it.
        let banned = self.swarm.behaviour().guard.bans.holds(&author, Instant::now());
        if banned || !self.shared.standing(&author) || !self.shared.rates.gossip.allow(&author, 1) {
            tracing::debug!(%author, %from, %topic, banned, "gossip ignored");
            counting.gossip_ignored.add();
            return GossipVerdict::Ignore;
        }
        let message = GossipMessage {
            from: author,
            topic,
            data: message.data.into(),
        };
        let verdict = self.shared.subscriptions.judge(&message);
        match verdict {
            GossipVerdict::Accept => {
                counting.gossip_in.add();
                for _ in 0..self.shared.subscriptions.deliver(&message) {
                    counting.gossip_dropped.add();
                }
            }
            GossipVerdict::Ignore => counting.gossip_ignored.add(),
            GossipVerdict::Reject => {
                counting.gossip_bad.add();
                self.on_report(author, Offence::BadGossip);
                if from != author {
                    self.on_report(from, Offence::BadGossip);
                }
            }
        }
        verdict
    }
}
