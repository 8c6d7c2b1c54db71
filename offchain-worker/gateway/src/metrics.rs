//! What the gateway counts.

use crate::Reason;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds of the latency buckets, in seconds; one more bucket has the rest.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// By which face a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Face {
    /// JSON-RPC.
    Rpc,
    /// Open Inference Protocol.
    Http,
}

impl Face {
    /// Name for labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Http => "http",
        }
    }
}

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Infer,
    Quote,
    Models,
    Model,
    Status,
    Routes,
    Forward,
}

impl Method {
    /// Name for labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::Quote => "quote",
            Self::Models => "models",
            Self::Model => "model",
            Self::Status => "status",
            Self::Routes => "routes",
            Self::Forward => "forward",
        }
    }

    /// Whether a call spends the node's money.
    pub(crate) const fn spends(self) -> bool {
        matches!(self, Self::Infer)
    }
}

/// Counters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// Calls that reached the node behind the gateway or were refused for what they asked; the outcome is `None` for success.
    pub calls: BTreeMap<(Face, Method, Option<Reason>), u64>,
    /// Time that calls took.
    pub latency: BTreeMap<(Face, Method), Histogram>,
    /// Requests that were refused before anything was called.
    pub refused: BTreeMap<Reason, u64>,
    /// Connections now.
    pub connections: u64,
    /// WebSocket connections among them.
    pub websockets: u64,
    /// Connections that were taken, ever.
    pub connections_total: u64,
    /// Connections that were dropped because there were too many, ever.
    pub connections_refused: u64,
    /// Calls at work now.
    pub calls_running: u64,
    /// Bytes of requests that are held now.
    pub buffered_bytes: u64,
}

/// A histogram over [`LATENCY_BUCKETS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Observations in each bucket, not cumulated; the last one has no upper bound.
    pub buckets: [u64; LATENCY_BUCKETS.len() + 1],
    pub count: u64,
    pub sum_seconds: f64,
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        let index = LATENCY_BUCKETS
            .iter()
            .take_while(|bound| seconds > **bound)
            .count();
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket = bucket.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum_seconds += seconds;
    }
}

#[derive(Default)]
struct Tables {
    calls: BTreeMap<(Face, Method, Option<Reason>), u64>,
    latency: BTreeMap<(Face, Method), Histogram>,
    refused: BTreeMap<Reason, u64>,
}

/// The living counters. Keys are of closed sets, so the tables stay small.
#[derive(Default)]
pub(crate) struct Metrics {
    tables: Mutex<Tables>,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Metrics {
    pub(crate) fn called(&self, face: Face, method: Method, outcome: Option<Reason>, took: Duration) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tables.calls.entry((face, method, outcome)).or_default();
        *count = count.saturating_add(1);
        tables
            .latency
            .entry((face, method))
            .or_default()
            .observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, reason: Reason) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tables.refused.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// The counters; the gauges are the caller's to fill in.
    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        MetricsSnapshot {
            calls: tables.calls.clone(),
            latency: tables.latency.clone(),
            refused: tables.refused.clone(),
            connections_total: self.connections_total.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            ..MetricsSnapshot::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_their_buckets() {
        let metrics = Metrics::default();
        for (ms, outcome) in [(0, None), (1, None), (3, Some(Reason::NoHost)), (90_000, None)] {
            metrics.called(Face::Rpc, Method::Infer, outcome, Duration::from_millis(ms));
        }
        metrics.refused(Reason::RateLimited);
        let now = metrics.snapshot();
        assert_eq!(now.calls[&(Face::Rpc, Method::Infer, None)], 3);
        assert_eq!(now.calls[&(Face::Rpc, Method::Infer, Some(Reason::NoHost))], 1);
        assert_eq!(now.refused[&Reason::RateLimited], 1);
        let histogram = &now.latency[&(Face::Rpc, Method::Infer)];
        assert_eq!(histogram.count, 4);
        assert_eq!(
            (histogram.buckets[0], histogram.buckets[1], histogram.buckets[3]),
            (1, 1, 1)
        );
        assert_eq!(histogram.buckets[LATENCY_BUCKETS.len()], 1);
        assert!((histogram.sum_seconds - 90.004).abs() < 1e-9);
    }
}
