//! How the worker is, and what to do about it.

use crate::amount;
use serde::Serialize;

/// Something that keeps the worker from serving.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    NodeUnreachable { reason: String },
    WrongChain { reason: String },
    RuntimeMissing { reason: String },
    OtherWorker { job: u64 },
    DiskFull { reason: String },
    State { reason: String },
    NotBonded,
    NotRegistered,
    Chilled,
    Suspended { missed: u32 },
    NoBalance { free: u128 },
    NoOffer,
    ModelMissing { model: String },
    ModelUnusable { model: String, reason: String },
}

impl Fault {
    /// A short name that does not change, for metrics and programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NodeUnreachable { .. } => "node-unreachable",
            Self::WrongChain { .. } => "wrong-chain",
            Self::RuntimeMissing { .. } => "onnxruntime-missing",
            Self::OtherWorker { .. } => "other-worker",
            Self::DiskFull { .. } => "disk-full",
            Self::State { .. } => "state",
            Self::NotBonded => "not-bonded",
            Self::NotRegistered => "not-registered",
            Self::Chilled => "chilled",
            Self::Suspended { .. } => "suspended",
            Self::NoBalance { .. } => "no-balance",
            Self::NoOffer => "no-offer",
            Self::ModelMissing { .. } => "model-missing",
            Self::ModelUnusable { .. } => "model-unusable",
        }
    }

    /// All codes, for metrics.
    pub const CODES: [&'static str; 14] = [
        "node-unreachable",
        "wrong-chain",
        "onnxruntime-missing",
        "other-worker",
        "disk-full",
        "state",
        "not-bonded",
        "not-registered",
        "chilled",
        "suspended",
        "no-balance",
        "no-offer",
        "model-missing",
        "model-unusable",
    ];

    /// What is wrong.
    pub fn reason(&self) -> String {
        match self {
            Self::NodeUnreachable { reason }
            | Self::WrongChain { reason }
            | Self::RuntimeMissing { reason }
            | Self::DiskFull { reason }
            | Self::State { reason } => reason.clone(),
            Self::OtherWorker { job } => {
                format!(
                    "job {job} was delivered with this key, but not by this worker: another worker uses the key"
                )
            }
            Self::NotBonded => "the account has no bond".into(),
            Self::NotRegistered => "the account has no worker record".into(),
            Self::Chilled => "the host role is off: chilled, or below the minimum bond".into(),
            Self::Suspended { missed } => {
                format!("the chain passes this host over after {missed} missed deadlines")
            }
            Self::NoBalance { free } => {
                format!(
                    "only {} is free: not enough for transaction fees",
                    amount::show(*free)
                )
            }
            Self::NoOffer => "the account offers no model".into(),
            Self::ModelMissing { model } => {
                format!("the file of the offered model {model} is not in the store")
            }
            Self::ModelUnusable { model, reason } => {
                format!("the offered model {model} can not be used: {reason}")
            }
        }
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NodeUnreachable { .. } => {
                "start the node, or correct --node; the worker reconnects by itself"
            }
            Self::WrongChain { .. } => "connect to a node of the right chain, or use another --base-path",
            Self::RuntimeMissing { .. } => "run scripts/setup, or name the library with --onnxruntime",
            Self::OtherWorker { .. } => {
                "stop the other worker or give it a key of its own, then restart this one"
            }
            Self::DiskFull { .. } => "free space; the worker goes on by itself",
            Self::State { .. } => "check the disk and the permissions of --base-path",
            Self::NotBonded => "llmesh-worker stake bond 1000",
            Self::NotRegistered => "llmesh-worker register",
            Self::Chilled => "llmesh-worker register, and llmesh-worker stake extra if the bond is too small",
            Self::Suspended { .. } => "nothing: the worker asks to be let in again by itself",
            Self::NoBalance { .. } => "send some MESH to the account",
            Self::NoOffer => "llmesh-worker offer NAME",
            Self::ModelMissing { .. } => {
                "llmesh-worker model import FILE, or llmesh-worker offer NAME --withdraw"
            }
            Self::ModelUnusable { .. } => "llmesh-worker offer NAME --withdraw",
        }
    }

    /// Whether no job at all can be computed while this lasts.
    pub const fn stops_computing(&self) -> bool {
        matches!(
            self,
            Self::RuntimeMissing { .. }
                | Self::OtherWorker { .. }
                | Self::DiskFull { .. }
                | Self::State { .. }
        )
    }
}

/// The worker's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is known yet.
    Starting,
    /// Everything is in order, no job came yet.
    Ready,
    /// Everything is in order, no job at present.
    Idle,
    /// At work.
    Serving,
    /// Something keeps it from serving.
    AtFault,
    /// Finishing what it holds.
    Stopping,
    Stopped,
}

impl State {
    /// All states, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Ready,
        Self::Idle,
        Self::Serving,
        Self::AtFault,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Serving => "serving",
            Self::AtFault => "at-fault",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Everything there is to say at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    pub faults: Vec<Fault>,
    pub account: String,
    pub best_block: Option<u32>,
    pub waiting: usize,
    pub computing: usize,
    pub sending: usize,
    /// Results in a block since the worker started.
    pub delivered: u64,
    pub declined: u64,
    pub failed: u64,
}

impl Status {
    pub(crate) fn starting(account: String) -> Self {
        Self {
            state: State::Starting,
            faults: Vec::new(),
            account,
            best_block: None,
            waiting: 0,
            computing: 0,
            sending: 0,
            delivered: 0,
            declined: 0,
            failed: 0,
        }
    }

    /// Whether jobs can be taken.
    pub fn is_healthy(&self) -> bool {
        matches!(self.state, State::Ready | State::Idle | State::Serving)
    }

    /// The whole as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        #[derive(Serialize)]
        struct Shown<'a> {
            state: &'static str,
            faults: Vec<ShownFault>,
            account: &'a str,
            best_block: Option<u32>,
            waiting: usize,
            computing: usize,
            sending: usize,
            delivered: u64,
            declined: u64,
            failed: u64,
        }
        let shown = Shown {
            state: self.state.name(),
            faults: self.faults.iter().map(ShownFault::from).collect(),
            account: &self.account,
            best_block: self.best_block,
            waiting: self.waiting,
            computing: self.computing,
            sending: self.sending,
            delivered: self.delivered,
            declined: self.declined,
            failed: self.failed,
        };
        serde_json::to_value(shown).unwrap_or_default()
    }
}

/// One line for a log.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.state.name())?;
        let counts = [
            ("waiting", self.waiting),
            ("computing", self.computing),
            ("sending", self.sending),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        for fault in &self.faults {
            write!(f, "; {} (what to do: {})", fault.reason(), fault.advice())?;
        }
        Ok(())
    }
}

/// A fault as JSON shows it.
#[derive(Serialize)]
pub struct ShownFault {
    code: &'static str,
    reason: String,
    advice: &'static str,
}

impl From<&Fault> for ShownFault {
    fn from(fault: &Fault) -> Self {
        Self {
            code: fault.code(),
            reason: fault.reason(),
            advice: fault.advice(),
        }
    }
}

/// The state that follows from what is known.
pub(crate) fn state(faults: &[Fault], looked: bool, busy: bool, served: bool, stopping: bool) -> State {
    match () {
        () if stopping => State::Stopping,
        () if !faults.is_empty() => State::AtFault,
        () if !looked => State::Starting,
        () if busy => State::Serving,
        () if served => State::Idle,
        () => State::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_code_a_reason_and_advice() {
        let text = || "x".to_owned();
        let faults = [
            Fault::NodeUnreachable { reason: text() },
            Fault::WrongChain { reason: text() },
            Fault::RuntimeMissing { reason: text() },
            Fault::OtherWorker { job: 1 },
            Fault::DiskFull { reason: text() },
            Fault::State { reason: text() },
            Fault::NotBonded,
            Fault::NotRegistered,
            Fault::Chilled,
            Fault::Suspended { missed: 3 },
            Fault::NoBalance { free: 5 },
            Fault::NoOffer,
            Fault::ModelMissing { model: text() },
            Fault::ModelUnusable {
                model: text(),
                reason: text(),
            },
        ];
        assert_eq!(faults.clone().map(|f| f.code()), Fault::CODES);
        for fault in faults {
            assert!(!fault.reason().is_empty() && !fault.advice().is_empty());
        }
    }

    #[test]
    fn states_follow() {
        let fault = [Fault::NotBonded];
        assert_eq!(state(&[], false, false, false, false), State::Starting);
        assert_eq!(state(&[], true, false, false, false), State::Ready);
        assert_eq!(state(&[], true, true, false, false), State::Serving);
        assert_eq!(state(&[], true, false, true, false), State::Idle);
        assert_eq!(state(&fault, true, true, true, false), State::AtFault);
        assert_eq!(state(&fault, true, true, true, true), State::Stopping);
    }
}
