//! Token buckets for what one peer may ask.

use tokio::time::{Duration, Instant};

/// A bucket that holds `burst` tokens and gains `per_second` a second.
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn new(per_second: u64, burst: u64, now: Instant) -> Self {
        let (per_second, burst) = (per_second.max(1) as f64, burst.max(1) as f64);
        Self {
            per_second,
            burst,
            tokens: burst,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = now;
    }

    /// Takes one token if there is one.
    pub fn take_one(&mut self, now: Instant) -> bool {
        self.refill(now);
        let can = self.tokens >= 1.0;
        if can {
            self.tokens -= 1.0;
        }
        can
    }

    /// Takes `count` tokens after the fact; the bucket may go below zero.
    pub fn spend(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    /// When there is at least one token again; `None` if there is one now.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.refill(now);
        (self.tokens < 1.0).then(|| {
            now + Duration::from_secs_f64((1.0 - self.tokens) / self.per_second).max(Duration::from_millis(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        assert!((0..3).all(|_| bucket.take_one(start)));
        assert!(!bucket.take_one(start));
        assert!(!bucket.take_one(start + Duration::from_millis(90)));
        assert!(bucket.take_one(start + Duration::from_millis(110)));
        assert!(!bucket.take_one(start + Duration::from_millis(110)));
    }

    #[test]
    fn debt_is_paid_back() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 100, start);
        assert_eq!(bucket.ready_at(start), None);
        bucket.spend(600);
        let ready = bucket.ready_at(start).unwrap();
        assert!((ready - start).abs_diff(Duration::from_millis(501)) < Duration::from_millis(2));
        assert_eq!(bucket.ready_at(ready + Duration::from_millis(1)), None);
    }
}
