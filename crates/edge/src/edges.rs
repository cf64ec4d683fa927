//! The table of wire protocols. A protocol is a folder and a line here; all other code of listeners names none.

use std::sync::Arc;

use http::request::Parts;

use super::{
    Body,
    connect::Connect,
    documents::Documentation,
    graphql::{Graphql, GraphqlTable},
    grpc::{Grpc, GrpcWeb},
    mcp::Mcp,
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    rest::Rest,
    routing::{Place, Rpcs},
    websocket::{Websocket, WebsocketTable},
};
use prism_call::{Error, Namespace, RequestId};

/// The facts of a protocol that other crates use.
pub struct EdgeInfo {
    /// Names of its frontends in the configuration.
    pub names: &'static [&'static str],
    /// Media types of requests for RPCs.
    media_types: &'static str,
}

macro_rules! edges {
    ($($(#[$doc:meta])* $table:ident: $variant:ident,)*) => {
        /// All protocols.
        pub const EDGES: &[EdgeInfo] =
            &[$(EdgeInfo { names: <$variant as WireProtocol>::NAMES, media_types: <$variant as WireProtocol>::MEDIA_TYPES },)*];

        /// What a binding serves, by its protocol.
        #[derive(Clone)]
        pub enum Frontend { $($(#[$doc])* $variant(<$variant as WireProtocol>::Content),)* }

        /// The bindings of each protocol.
        #[derive(Default)]
        struct Tables { $($table: <$variant as WireProtocol>::Table,)* }

        /// A request whose protocol is known.
        #[derive(Clone, Copy)]
        pub enum Recognized { $($variant($variant),)* }

        impl Tables {
            fn bind(&mut self, place: Place, frontend: Frontend) {
                match frontend { $(Frontend::$variant(content) => <$variant>::bind(&mut self.$table, place, content),)* }
            }

            fn recognize(&self, rpcs: &Rpcs, request: &Parts) -> Option<Recognized> {
                $(if let Some(found) = <$variant>::recognize(&self.$table, rpcs, request) { return Some(Recognized::$variant(found)); })*
                None
            }
        }

        impl Recognized {
            /// Serves the request.
            pub async fn serve(self, serving: Serving<'_>, request: ClientRequest) -> Response {
                let tables = &serving.served.bindings.tables;
                match self { $(Self::$variant(found) => found.serve(&tables.$table, serving, request).await,)* }
            }

            /// Returns the response to a failed request.
            pub fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
                match self { $(Self::$variant(found) => found.failed(request_id, error),)* }
            }
        }
    };
}

// The first protocol that recognizes a request serves it.
edges! {
    /// gRPC.
    grpc: Grpc,
    /// gRPC-Web, binary and text.
    grpc_web: GrpcWeb,
    /// Connect. The types of the messages, for JSON.
    connect: Connect,
    /// WebSocket. The types of the messages, for JSON.
    websocket: Websocket,
    /// GraphQL. The settings and the schema.
    graphql: Graphql,
    /// MCP. The settings and the tools.
    mcp: Mcp,
    /// HTTP routes, from the annotations of a service or from a definition.
    rest: Rest,
}

/// One frontend of one namespace on one listener.
pub struct Binding {
    /// The host of the requests; `None`: any host.
    pub host: Option<String>,
    /// Starts with `/` and does not end with it. Empty: the root.
    pub base_path: String,
    /// The namespace of the calls.
    pub namespace: Arc<Namespace>,
    /// The protocol, and what it serves.
    pub frontend: Frontend,
    /// The documentation of the HTTP routes, if it is enabled.
    pub documentation: Option<Arc<Documentation>>,
}

/// All bindings of one listener.
#[derive(Default)]
pub struct Bindings {
    pub(super) rpcs: Rpcs,
    tables: Tables,
}

impl Bindings {
    /// Builds the tables of these bindings.
    pub fn new(bindings: Vec<Binding>) -> Self {
        let mut all = Self::default();
        for Binding { host, base_path, namespace, frontend, documentation } in bindings {
            all.rpcs.add(&namespace);
            let host = host.map(|host| host.to_ascii_lowercase());
            all.tables.bind(Place { host, base_path, namespace, documentation }, frontend);
        }
        all
    }

    /// Returns the protocol of a request, or `None` for a request to the path of an RPC that is of no protocol.
    pub(super) fn recognize(&self, request: &Parts) -> Option<Recognized> {
        self.tables.recognize(&self.rpcs, request)
    }

    /// Returns the namespaces that are served over WebSocket, for calls on connections that were made in an earlier generation.
    pub(super) fn websocket(&self) -> &WebsocketTable {
        &self.tables.websocket
    }

    /// Returns the GraphQL endpoints, for operations on connections that were made in an earlier generation.
    pub(super) fn graphql(&self) -> &GraphqlTable {
        &self.tables.graphql
    }

    /// Returns the full names of all gRPC services of the listener, which reflection lists.
    pub fn services(&self) -> Vec<String> {
        self.tables.grpc.services()
    }
}

/// Refuses a request to the path of an RPC whose media type is of no protocol.
pub fn refuse(serving: Serving<'_>, request: &Parts) -> Response {
    let media_types: Vec<&str> = EDGES.iter().map(|edge| edge.media_types).filter(|types| !types.is_empty()).collect();
    serving.refuse_media_type(request, &media_types.join(", "))
}
