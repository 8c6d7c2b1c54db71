//! How peers behaved, as far as this node saw it. Decays, so that nobody is kept out for ever; nothing here is
//! evidence for others.

use crate::PeerId;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// What a peer did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Offence {
    /// Bytes that no honest implementation sends.
    Protocol,
    /// A record that is forged, for another key, or malformed.
    BadRecord,
    /// A chunk that does not hash to what was asked for.
    WrongBytes,
    /// An answer that is provably not what was asked for.
    WrongAnswer,
    /// Promised and not delivered: no answer, an empty chunk, a provider without the content.
    Unanswered,
    /// More than it is allowed.
    Flood,
    /// Gossip that the application refused.
    BadGossip,
}

impl Offence {
    /// Points it costs. At [`LIMIT`] a peer is put out.
    fn cost(self) -> f64 {
        match self {
            // Two within minutes are enough.
            Offence::WrongBytes => 60.0,
            Offence::WrongAnswer => 40.0,
            Offence::Protocol | Offence::BadRecord => 25.0,
            Offence::BadGossip => 10.0,
            Offence::Unanswered => 5.0,
            Offence::Flood => 2.0,
        }
    }
}

/// At so many points a peer is put out.
pub const LIMIT: f64 = 100.0;
/// After this time half of the points are forgotten.
pub const HALF_LIFE: Duration = Duration::from_secs(600);
/// Below this an entry is dropped.
const NOTHING: f64 = 0.5;

/// Points of peers. Bounded: when full, the peer with the fewest points is forgotten.
#[derive(Debug)]
pub struct Scores {
    points: HashMap<PeerId, (f64, Instant)>,
    capacity: usize,
}

fn decayed(points: f64, since: Duration) -> f64 {
    points * 0.5f64.powf(since.as_secs_f64() / HALF_LIFE.as_secs_f64())
}

impl Scores {
    /// Nobody has points yet.
    pub fn new(capacity: usize) -> Self {
        Self {
            points: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    /// Points of a peer now; zero is good.
    pub fn points(&self, peer: &PeerId, now: Instant) -> f64 {
        self.points.get(peer).map_or(0.0, |(points, at)| {
            decayed(*points, now.saturating_duration_since(*at))
        })
    }

    /// Notes an offence. True when the peer is to be put out; its points then start again at half.
    pub fn report(&mut self, peer: PeerId, offence: Offence, now: Instant) -> bool {
        let points = self.points(&peer, now) + offence.cost();
        let out = points >= LIMIT;
        if !self.points.contains_key(&peer) && self.points.len() >= self.capacity {
            self.prune(now);
            if self.points.len() >= self.capacity {
                let least = self
                    .points
                    .iter()
                    .map(|(peer, (points, at))| (*peer, decayed(*points, now.saturating_duration_since(*at))))
                    .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
                if let Some((least, _)) = least {
                    self.points.remove(&least);
                }
            }
        }
        self.points
            .insert(peer, (if out { LIMIT / 2.0 } else { points }, now));
        out
    }

    /// Forgets those who have next to no points.
    pub fn prune(&mut self, now: Instant) {
        self.points
            .retain(|_, (points, at)| decayed(*points, now.saturating_duration_since(*at)) > NOTHING);
    }

    /// Peers with points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether nobody has points.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_bytes_put_a_peer_out_and_time_forgives() {
        let now = Instant::now();
        let mut scores = Scores::new(8);
        let peer = PeerId::random();
        assert!(!scores.report(peer, Offence::WrongBytes, now));
        let now = now + Duration::from_secs(120);
        assert!(scores.report(peer, Offence::WrongBytes, now));
        assert!(
            scores.report(peer, Offence::WrongBytes, now),
            "again, sooner than the first time"
        );
        let later = now + HALF_LIFE * 12;
        assert!(scores.points(&peer, later) < 0.1);
        assert!(!scores.report(peer, Offence::WrongBytes, later));
    }

    #[test]
    fn single_failures_are_forgiven() {
        let mut now = Instant::now();
        let mut scores = Scores::new(8);
        let peer = PeerId::random();
        for _ in 0..1_000 {
            assert!(!scores.report(peer, Offence::Unanswered, now));
            now += Duration::from_secs(60);
        }
    }

    #[test]
    fn bounded_and_the_worst_stay() {
        let now = Instant::now();
        let mut scores = Scores::new(16);
        let bad = PeerId::random();
        scores.report(bad, Offence::WrongBytes, now);
        for _ in 0..1_000 {
            scores.report(PeerId::random(), Offence::Flood, now);
            assert!(scores.len() <= 16);
        }
        assert!(scores.points(&bad, now) > 59.0);
        scores.prune(now + HALF_LIFE * 20);
        assert!(scores.is_empty());
    }
}
