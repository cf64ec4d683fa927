//! The call: every protocol produces one, and every handler receives one.

mod access;
mod admission;
mod code;
mod context;
mod delivery;
mod error;
pub mod idempotency;
mod log;
mod message;
mod method;
mod metrics;
mod namespace;
mod observe;
pub mod panic;
mod peer;
mod permit;
mod pipeline;
mod principal;
pub mod proto;
mod span;
mod stream_message;
mod tasks;
mod ticket;
mod target;
mod trace;

use async_trait::async_trait;

pub use access::{AccessControl, Authenticate, Authenticated, Authentication, Authorization, Authorizing, Share};
pub use admission::{Admitted, Arrival, Finished, ListenerRequest, Proof, Refused, SealedBody, Streaming};
pub use code::Code;
pub use context::hexadecimal;
pub use context::{Context, REQUEST_ID, RequestId};
pub use delivery::{Backlog, Delivery, ListenerBacklog, UnsentLimits};
pub use error::{DOMAIN, Error, FieldViolation};
pub use idempotency::{Claim, ClaimResult, IDEMPOTENCY_KEY, Idempotency, KeyedCall, Outcome, ReplyStore};
pub use log::AccessLog;
pub use message::{EncodedMessage, Input, Messages, Output, Reply, Trailers, message_too_large};
pub use method::{Method, interface_of};
pub use metrics::{
    CacheMeters, CacheRead, ConnectionMeters, ConnectionSource, ConnectionStats, FanOutMeters, Metrics, OutboxMeters, ReloadMeters,
    SharedEncoding,
};
pub use namespace::{CallLimits, Namespace};
pub use observe::ObservedStream;
pub use peer::{API_KEY, CertificateNames, CertificateTrust, Credentials, Origin, Peer, TlsPeer};
pub use pipeline::Pipeline;
pub use principal::{AuthenticationMethod, Principal};
pub use span::Tracer;
pub use stream_message::StreamMessage;
pub use target::{ListenerTarget, Page, Target};
pub use tasks::BackgroundTasks;
pub use ticket::{IssuedTicket, TICKET_PREFIX};
pub use trace::TraceContext;

/// The wire protocol of a call, for logs and metrics only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, binary or text.
    GrpcWeb,
    /// Connect, with JSON or protobuf.
    Connect,
    /// REST with JSON.
    Rest,
    /// WebSocket, with JSON or protobuf.
    WebSocket,
    /// GraphQL. A field is a call.
    Graphql,
    /// MCP. A call of a tool is a call.
    Mcp,
    /// A call of Prism itself or of its command line.
    Internal,
}

impl Protocol {
    /// All protocols, each at the index of its discriminant.
    pub const ALL: [Self; 8] =
        [Self::Grpc, Self::GrpcWeb, Self::Connect, Self::Rest, Self::WebSocket, Self::Graphql, Self::Mcp, Self::Internal];

    /// Returns the name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc_web",
            Self::Connect => "connect",
            Self::Rest => "rest",
            Self::WebSocket => "websocket",
            Self::Graphql => "graphql",
            Self::Mcp => "mcp",
            Self::Internal => "internal",
        }
    }
}

/// The target of a call: an in-process pattern, or the same service in another process.
///
/// A handler does not depend on the protocol of the call.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles the call. Dropping the future, or the stream in its reply, cancels the work.
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error>;

    /// Stops background work and flushes what is not stored yet. It is called once, after the last call has ended.
    async fn close(&self) {}
}
