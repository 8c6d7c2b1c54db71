//! What applications call: JSON-RPC and the Open Inference Protocol over HTTP.
//!
//! One [`Server`] on one address has two faces over one [`Gateway`], which the worker implements:
//!
//! - **JSON-RPC 2.0** at `/` and `/rpc`, by HTTP or WebSocket: `mesh_infer`, `mesh_quote`, `mesh_models`,
//!   `mesh_model`, `mesh_status`, `mesh_routes`, `mesh_forward`, and the subscription `mesh_subscribeInfer`;
//! - the **Open Inference Protocol** (version 2 of KServe's REST protocol) at `/v2`, with the binary tensor extension.
//!   Its gRPC form is not served.
//!
//! Every path in is bounded: sizes before bytes are read, time, memory, connections, calls, rates. See
//! `docs/gateway.md` for the methods, paths and errors.

mod calls;
mod config;
#[cfg(test)]
mod conversion_tests;
pub mod elements;
mod error;
mod frames;
mod http;
pub mod metrics;
mod oip;
mod oip_body;
mod rpc;
mod server;
mod stream;
mod tensors;
mod text;
mod types;

pub use config::{GatewayConfig, Limits, Token};
pub use error::{ErrorData, GatewayError, Reason};
pub use metrics::MetricsSnapshot;
pub use server::{MetricsReader, Server, ServerError};
pub use types::{
    ChannelInfo, Gateway, HostQuote, InferRequest, InferResponse, MAX_HOSTS, ModelInfo, PathInfo, PriceRange,
    ProgressInfo, QuoteInfo, QuoteRequest, RouteInfo, RoutesRequest, Stage, StatusInfo, TensorInfo,
};
