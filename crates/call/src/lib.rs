//! The call: what every protocol ends in and every handler starts from.

mod code;
mod context;
mod error;
pub mod idempotency;
mod log;
mod message;
mod method;
mod metrics;
mod namespace;
mod observe;
mod pipeline;
pub mod proto;
mod span;
mod trace;

use async_trait::async_trait;

pub use code::Code;
pub use context::hexadecimal;
pub use context::{AuthenticationMethod, Context, Principal, REQUEST_ID, RequestId};
pub use error::{DOMAIN, Error, FieldViolation};
pub use idempotency::{Claim, Claimed, Idempotency, KeyedCall, Outcome, Replays};
pub use log::AccessLog;
pub use message::{Input, Messages, Output, Reply, Trailers};
pub use method::Method;
pub use metrics::Metrics;
pub use namespace::{CallLimits, Namespace};
pub use pipeline::{Answer, Incoming, Pipeline, message_too_large};
pub use span::Tracer;
pub use trace::TraceContext;

/// The wire protocol that a call came in by, for logs and metrics only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, binary or text.
    GrpcWeb,
    /// REST with JSON.
    Rest,
    /// Prism itself, or its command line.
    Internal,
}

impl Protocol {
    /// All of them, each at the index of its number.
    pub const ALL: [Self; 4] = [Self::Grpc, Self::GrpcWeb, Self::Rest, Self::Internal];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc_web",
            Self::Rest => "rest",
            Self::Internal => "internal",
        }
    }
}

/// The target of a call: an in-process pattern, or the same service in another process.
///
/// A handler never knows which protocol the call came from.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does the call. Dropping the future, or the stream in its reply, cancels the work.
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error>;
}
