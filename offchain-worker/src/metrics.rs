//! Prometheus metrics.

use crate::{
    net::{Report, Reporter},
    status::{Fault, State, Status},
};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};
use std::sync::{Arc, OnceLock};

/// How a job ended for this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The result is in a block.
    Delivered,
    /// Handed back.
    Declined,
    /// Neither in time.
    Lost,
}

#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    jobs: IntCounterVec,
    inference: Histogram,
    state: IntGaugeVec,
    faults: IntGaugeVec,
    in_flight: IntGaugeVec,
    best_block: IntGauge,
    net: Arc<OnceLock<Net>>,
}

/// A worker's part in the mesh; there once it joined.
struct Net {
    reporter: Reporter,
    metrics: NetMetrics,
}

/// What is read off a [`Report`] when metrics are asked for.
struct NetMetrics {
    peers: IntGaugeVec,
    known: IntGaugeVec,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    queue: IntGaugeVec,
    earned: IntCounter,
    unsettled: IntGauge,
    busy: prometheus::Counter,
    events: IntCounterVec,
    links: IntGaugeVec,
    link_bytes: IntGaugeVec,
    saved: IntGauge,
    audits: IntCounterVec,
    audit_busy: prometheus::Counter,
    evidence: IntGaugeVec,
}

impl NetMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |name, help, label| IntGaugeVec::new(Opts::new(name, help), &[label]);
        let counters = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            peers: gauges(
                "llmesh_mesh_peers",
                "Connected peers by how they are connected",
                "connection",
            )?,
            known: gauges("llmesh_mesh_known", "What is known of the mesh's links", "what")?,
            requests: counters(
                "llmesh_mesh_requests_total",
                "Requests of the mesh by what this worker did for them",
                "part",
            )?,
            refusals: counters(
                "llmesh_mesh_refusals_total",
                "Requests of the mesh that were refused here, by reason",
                "reason",
            )?,
            queue: gauges("llmesh_mesh_queue", "Requests of the mesh at this host", "stage")?,
            earned: IntCounter::new(
                "llmesh_mesh_earned_megaplanck_total",
                "Millions of planck earned by answers since the start",
            )?,
            unsettled: IntGauge::new(
                "llmesh_mesh_unsettled_megaplanck",
                "Millions of planck in vouchers that are not claimed",
            )?,
            busy: prometheus::Counter::new(
                "llmesh_mesh_inference_seconds_total",
                "Time spent computing answers for the mesh",
            )?,
            events: counters("llmesh_mesh_events_total", "What happened in the mesh", "event")?,
            links: gauges("llmesh_mesh_links", "Open links by kind", "kind")?,
            link_bytes: gauges("llmesh_mesh_link_bytes", "Bytes over the open links", "direction")?,
            audits: counters(
                "llmesh_audit_steps_total",
                "Steps of audits, as host and as verifier",
                "step",
            )?,
            audit_busy: prometheus::Counter::new(
                "llmesh_audit_inference_seconds_total",
                "Time spent computing as a verifier",
            )?,
            evidence: gauges(
                "llmesh_audit_evidence_bytes",
                "Evidence kept for audits, and the most that may be",
                "what",
            )?,
            saved: IntGauge::new(
                "llmesh_mesh_compression_saved_bytes",
                "Bytes that compression saved on the open links",
            )?,
        };
        let all: [Box<dyn Collector>; 15] = [
            Box::new(metrics.peers.clone()),
            Box::new(metrics.known.clone()),
            Box::new(metrics.requests.clone()),
            Box::new(metrics.refusals.clone()),
            Box::new(metrics.queue.clone()),
            Box::new(metrics.earned.clone()),
            Box::new(metrics.unsettled.clone()),
            Box::new(metrics.busy.clone()),
            Box::new(metrics.events.clone()),
            Box::new(metrics.links.clone()),
            Box::new(metrics.link_bytes.clone()),
            Box::new(metrics.saved.clone()),
            Box::new(metrics.audits.clone()),
            Box::new(metrics.audit_busy.clone()),
            Box::new(metrics.evidence.clone()),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    fn set(&self, report: &Report) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        // In millions of planck: a gauge is 64 bits wide, and 2^63 planck are only nine million MESH.
        let millions = |planck: u128| u64::try_from(planck / 1_000_000).unwrap_or(u64::MAX);
        for (label, count) in [
            ("direct", report.peers.saturating_sub(report.relayed)),
            ("relayed", report.relayed),
        ] {
            self.peers.with_label_values(&[label]).set(number(count));
        }
        for (label, count) in [("workers", report.known_peers), ("links", report.known_links)] {
            self.known.with_label_values(&[label]).set(number(count));
        }
        for (label, count) in [
            ("served", report.served),
            ("forwarded", report.forwarded),
            ("asked", report.asked),
            ("unanswered", report.unanswered),
        ] {
            raise(&self.requests.with_label_values(&[label]), count);
        }
        for (step, count) in report.audits {
            raise(&self.audits.with_label_values(&[step]), count);
        }
        let audit_busy = report.audit_us as f64 / 1e6;
        self.audit_busy
            .inc_by((audit_busy - self.audit_busy.get()).max(0.0));
        for (what, bytes) in [("kept", report.evidence.0), ("most", report.evidence.1)] {
            self.evidence
                .with_label_values(&[what])
                .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        for (reason, count) in &report.refusals {
            raise(&self.refusals.with_label_values(&[reason]), *count);
        }
        for (label, count) in [("waiting", report.waiting), ("computing", report.running)] {
            self.queue.with_label_values(&[label]).set(number(count));
        }
        raise(&self.earned, millions(report.earned));
        self.unsettled
            .set(i64::try_from(millions(report.unsettled)).unwrap_or(i64::MAX));
        let busy = report.busy_us as f64 / 1e6;
        self.busy.inc_by((busy - self.busy.get()).max(0.0));
        for (event, count) in report.mesh.all() {
            raise(&self.events.with_label_values(&[event]), count);
        }
        self.links.reset();
        let (mut read, mut written, mut saved) = (0u64, 0u64, 0u64);
        for (kind, stats) in &report.links {
            self.links.with_label_values(&[kind.name()]).inc();
            read = read.saturating_add(stats.bytes_in);
            written = written.saturating_add(stats.bytes_out);
            saved = saved.saturating_add(stats.compression_saved);
        }
        for (label, bytes) in [("in", read), ("out", written)] {
            self.link_bytes
                .with_label_values(&[label])
                .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        self.saved.set(i64::try_from(saved).unwrap_or(i64::MAX));
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            jobs: IntCounterVec::new(
                Opts::new(
                    "llmesh_worker_jobs_total",
                    "Jobs by how they ended for this worker",
                ),
                &["outcome"],
            )?,
            inference: Histogram::with_opts(
                HistogramOpts::new("llmesh_worker_inference_seconds", "Time that one inference took")
                    .buckets(vec![
                        0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0,
                    ]),
            )?,
            state: IntGaugeVec::new(
                Opts::new(
                    "llmesh_worker_state",
                    "1 for the state that the worker is in, 0 for the others",
                ),
                &["state"],
            )?,
            faults: IntGaugeVec::new(
                Opts::new(
                    "llmesh_worker_fault",
                    "1 for each fault that keeps the worker from serving",
                ),
                &["fault"],
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("llmesh_worker_jobs", "Jobs by what is being done about them"),
                &["stage"],
            )?,
            best_block: IntGauge::new("llmesh_worker_best_block", "The best block that was seen")?,
            net: Arc::default(),
            registry,
        };
        let all: [Box<dyn Collector>; 6] = [
            Box::new(metrics.jobs.clone()),
            Box::new(metrics.inference.clone()),
            Box::new(metrics.state.clone()),
            Box::new(metrics.faults.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.best_block.clone()),
        ];
        for collector in all {
            metrics.registry.register(collector)?;
        }
        // Counters that were never counted are there from the start.
        for ended in ["delivered", "declined", "lost"] {
            metrics.jobs.with_label_values(&[ended]);
        }
        Ok(metrics)
    }

    pub fn ended(&self, ended: Ended) {
        let outcome = match ended {
            Ended::Delivered => "delivered",
            Ended::Declined => "declined",
            Ended::Lost => "lost",
        };
        self.jobs.with_label_values(&[outcome]).inc();
    }

    pub fn inference(&self, seconds: f64) {
        self.inference.observe(seconds);
    }

    pub fn status(&self, status: &Status) {
        for state in State::ALL {
            self.state
                .with_label_values(&[state.name()])
                .set(i64::from(state == status.state));
        }
        for code in Fault::CODES {
            let present = status.faults.iter().any(|f| f.code() == code);
            self.faults.with_label_values(&[code]).set(i64::from(present));
        }
        for (stage, count) in [
            ("waiting", status.waiting),
            ("computing", status.computing),
            ("sending", status.sending),
        ] {
            self.in_flight
                .with_label_values(&[stage])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.best_block.set(status.best_block.unwrap_or_default().into());
    }

    /// Shows the mesh too from now on.
    pub fn show_net(&self, reporter: Reporter) {
        match NetMetrics::new(&self.registry) {
            Ok(metrics) => drop(self.net.set(Net { reporter, metrics })),
            Err(error) => tracing::error!(%error, "there are no metrics of the mesh"),
        }
    }

    /// The worker's part in the mesh as JSON; `None` while it takes none.
    pub fn net_json(&self) -> Option<serde_json::Value> {
        let report = self.net.get()?.reporter.report();
        let fetches: Vec<_> = report
            .fetches
            .iter()
            .map(|f| serde_json::json!({"model": f.name, "done": f.done, "total": f.total, "trouble": f.trouble}))
            .collect();
        Some(serde_json::json!({
            "peer_id": report.peer_id,
            "addresses": report.addresses,
            "peers": report.peers,
            "relayed": report.relayed,
            "reachability": report.reachability,
            "relays": report.relays,
            "known": {"workers": report.known_peers, "links": report.known_links},
            "waiting": report.waiting,
            "computing": report.running,
            "served": report.served,
            "forwarded": report.forwarded,
            "asked": report.asked,
            "unanswered": report.unanswered,
            "refusals": report.refusals,
            "earned": report.earned.to_string(),
            "unsettled": report.unsettled.to_string(),
            "audits": report.audits.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "evidence": {"bytes": report.evidence.0, "most": report.evidence.1},
            "fetches": fetches,
        }))
    }

    pub fn render(&self) -> String {
        if let Some(net) = self.net.get() {
            net.metrics.set(&net.reporter.report());
        }
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.ended(Ended::Delivered);
        metrics.inference(0.02);
        let mut status = Status::starting("a".into());
        status.faults = vec![Fault::NoOffer];
        status.state = State::AtFault;
        metrics.status(&status);
        let text = metrics.render();
        for line in [
            "llmesh_worker_jobs_total{outcome=\"delivered\"} 1",
            "llmesh_worker_jobs_total{outcome=\"lost\"} 0",
            "llmesh_worker_inference_seconds_count 1",
            "llmesh_worker_state{state=\"at-fault\"} 1",
            "llmesh_worker_state{state=\"idle\"} 0",
            "llmesh_worker_fault{fault=\"no-offer\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
