//! What a request asks for, in metrics and logs.

use std::sync::Arc;

use super::Method;

/// What a request to a namespace asks for.
#[derive(Clone, Debug)]
pub enum Target {
    /// An RPC.
    Rpc(Arc<Method>),
    /// Something that the gateway answers without a call, or whose RPC is not known yet.
    Page(Page),
}

/// What the gateway answers for a namespace without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The OpenAPI document, or a file of the page that shows it.
    Document,
    /// An operation of a definition: a constant answer, or a refusal before its RPC is chosen.
    Operation,
    /// A request of GraphQL: its document, or a file of the page for it. The RPCs that it calls are counted by themselves.
    Graphql,
    /// A request of MCP, whose body is not read yet. If it calls a tool, it becomes the call of an RPC.
    Mcp,
    /// A ticket for a stream of events.
    Ticket,
}

impl Page {
    /// All pages, each at the index of its discriminant.
    pub const ALL: [Self; 5] = [Self::Document, Self::Operation, Self::Graphql, Self::Mcp, Self::Ticket];

    const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Operation => "operation",
            Self::Graphql => "graphql",
            Self::Mcp => "mcp",
            Self::Ticket => "ticket",
        }
    }
}

impl Target {
    /// Returns the name in metrics and logs: an RPC, or a word in lower case.
    pub fn name(&self) -> &str {
        match self {
            Self::Rpc(method) => &method.label,
            Self::Page(page) => page.name(),
        }
    }

    /// Returns the RPC, if it is known.
    pub(super) fn rpc(&self) -> Option<&Arc<Method>> {
        match self {
            Self::Rpc(method) => Some(method),
            Self::Page(_) => None,
        }
    }

    /// Tells whether it may change data.
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Rpc(method) if !method.read_only)
    }

    /// Tells whether messages are streamed.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Rpc(method) if method.client_streaming || method.server_streaming)
    }
}

/// What a listener answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTarget {
    /// A request that no namespace takes.
    NoRoute,
    /// A request that violates HTTP, or that this listener does not take from anybody.
    Refused,
    /// The question of a browser whether a page may call (CORS).
    Preflight,
    /// The question which methods a path has (`OPTIONS`).
    Options,
    /// `grpc.health.v1.Health`
    Health,
    /// `grpc.reflection.v1.ServerReflection`
    Reflection,
    /// A page for browsers that the listener has itself.
    Demo,
    /// The handshake of a WebSocket connection. Its calls are counted by themselves.
    WebSocket,
}

impl ListenerTarget {
    /// Returns the name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Refused => "refused",
            Self::Preflight => "preflight",
            Self::Options => "options",
            Self::Health => "health",
            Self::Reflection => "reflection",
            Self::Demo => "demo",
            Self::WebSocket => "websocket",
        }
    }
}
