//! Prometheus metrics.

use crate::status::{Fault, State, Status};
use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

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

    pub fn render(&self) -> String {
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
