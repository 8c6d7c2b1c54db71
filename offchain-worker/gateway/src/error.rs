//! Why a request was not done, the same on both faces.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What went wrong, in a form that programs can tell apart.
///
/// Every reason has one number. Divided by ten it is the HTTP status; as it is, it is the JSON-RPC error code (only
/// [`Reason::InvalidRequest`] has the code that JSON-RPC itself prescribes, -32602).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The request is not of the form that the method takes.
    InvalidRequest,
    /// A tensor is missing, unknown, of another type or shape, or its data do not fit.
    InvalidTensors,
    /// The caller has no token, or a wrong one.
    Unauthorized,
    /// The node has no channel or no money left in it.
    NoFunds,
    /// No host does it for the caller's highest price.
    PriceTooHigh,
    /// The request came from a place that is not let in (`Host`, `Origin`).
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// No model of this name is published.
    UnknownModel,
    /// The model has no such version, or it takes no more work.
    UnknownVersion,
    /// The path takes another HTTP method.
    MethodNotAllowed,
    /// The caller sent the request too slowly.
    SlowRequest,
    /// The request or its answer exceeds a limit.
    TooLarge,
    /// The path and query are too long.
    UriTooLong,
    /// The content type or encoding is not supported.
    UnsupportedMedia,
    /// The model failed on this input.
    ModelFailed,
    /// The caller sends more requests than it may.
    RateLimited,
    /// A fault of this node.
    Internal,
    /// The asked hosts failed or answered wrongly.
    HostFailed,
    /// The node has too much to do.
    Overloaded,
    /// No live host has the model, or none has room.
    NoHost,
    /// The node is not ready yet.
    NotReady,
    /// The node stops.
    Stopping,
    /// The time for the request ran out.
    Deadline,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 23] = [
        Self::InvalidRequest,
        Self::InvalidTensors,
        Self::Unauthorized,
        Self::NoFunds,
        Self::PriceTooHigh,
        Self::Forbidden,
        Self::NotFound,
        Self::UnknownModel,
        Self::UnknownVersion,
        Self::MethodNotAllowed,
        Self::SlowRequest,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMedia,
        Self::ModelFailed,
        Self::RateLimited,
        Self::Internal,
        Self::HostFailed,
        Self::Overloaded,
        Self::NoHost,
        Self::NotReady,
        Self::Stopping,
        Self::Deadline,
    ];

    /// HTTP status times ten plus a digit that tells reasons of one status apart.
    pub const fn number(self) -> u16 {
        match self {
            Self::InvalidRequest => 4000,
            Self::InvalidTensors => 4001,
            Self::Unauthorized => 4010,
            Self::NoFunds => 4020,
            Self::PriceTooHigh => 4021,
            Self::Forbidden => 4030,
            Self::NotFound => 4040,
            Self::UnknownModel => 4041,
            Self::UnknownVersion => 4042,
            Self::MethodNotAllowed => 4050,
            Self::SlowRequest => 4080,
            Self::TooLarge => 4130,
            Self::UriTooLong => 4140,
            Self::UnsupportedMedia => 4150,
            Self::ModelFailed => 4220,
            Self::RateLimited => 4290,
            Self::Internal => 5000,
            Self::HostFailed => 5020,
            Self::Overloaded => 5030,
            Self::NoHost => 5031,
            Self::NotReady => 5032,
            Self::Stopping => 5033,
            Self::Deadline => 5040,
        }
    }

    /// The HTTP status.
    pub const fn http_status(self) -> u16 {
        self.number() / 10
    }

    /// The JSON-RPC error code.
    pub const fn rpc_code(self) -> i32 {
        match self {
            Self::InvalidRequest => -32602,
            other => other.number() as i32,
        }
    }

    /// The name in `data.reason` and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalidRequest",
            Self::InvalidTensors => "invalidTensors",
            Self::Unauthorized => "unauthorized",
            Self::NoFunds => "noFunds",
            Self::PriceTooHigh => "priceTooHigh",
            Self::Forbidden => "forbidden",
            Self::NotFound => "notFound",
            Self::UnknownModel => "unknownModel",
            Self::UnknownVersion => "unknownVersion",
            Self::MethodNotAllowed => "methodNotAllowed",
            Self::SlowRequest => "slowRequest",
            Self::TooLarge => "tooLarge",
            Self::UriTooLong => "uriTooLong",
            Self::UnsupportedMedia => "unsupportedMedia",
            Self::ModelFailed => "modelFailed",
            Self::RateLimited => "rateLimited",
            Self::Internal => "internal",
            Self::HostFailed => "hostFailed",
            Self::Overloaded => "overloaded",
            Self::NoHost => "noHost",
            Self::NotReady => "notReady",
            Self::Stopping => "stopping",
            Self::Deadline => "deadline",
        }
    }

    /// How long to wait before the same request has a chance; `None` when it never has.
    const fn default_retry(self) -> Option<Duration> {
        match self {
            Self::SlowRequest | Self::HostFailed | Self::Deadline => Some(Duration::ZERO),
            Self::RateLimited | Self::Overloaded => Some(Duration::from_secs(1)),
            Self::NoHost | Self::NotReady | Self::Stopping => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a request was not done. The message goes to the caller: no secrets in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GatewayError {
    pub reason: Reason,
    /// One sentence for a person.
    pub message: String,
    /// When to try again; `None`: the same request never succeeds.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// An error with the retry that fits its reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: reason.default_retry(),
        }
    }

    /// The same with another time to wait before a retry.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same with the word that a retry is of no use.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.retry_after = None;
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidRequest, message)
    }

    pub(crate) fn tensors(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidTensors, message)
    }

    /// What a JSON-RPC error carries beside code and message.
    pub fn data(&self) -> ErrorData {
        ErrorData {
            reason: self.reason,
            retry: self.retry_after.is_some(),
            retry_after_ms: self
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The `data` of a JSON-RPC error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorData {
    pub reason: Reason,
    /// Whether the same request can succeed later.
    pub retry: bool,
    /// How long to wait before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_names_are_unique_and_fit_http() {
        let numbers: BTreeSet<u16> = Reason::ALL.iter().map(|r| r.number()).collect();
        let names: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(
            (numbers.len(), names.len()),
            (Reason::ALL.len(), Reason::ALL.len())
        );
        for reason in Reason::ALL {
            assert!(hyper::StatusCode::from_u16(reason.http_status()).is_ok());
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.name()));
        }
    }
}
