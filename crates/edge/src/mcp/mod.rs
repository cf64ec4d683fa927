//! MCP, the Model Context Protocol, over streamable HTTP (modelcontextprotocol.io/specification) at `mcp` below the base path of a namespace.
//! `prism_mcp` has the tools and the messages; this module has the transport, and makes the calls. There are no sessions, so any gateway
//! answers any request.
//!
//! A request is admitted before its body is read. A call of a tool then continues as a call of its RPC, with the same admission. Each further
//! message of a batch is admitted by itself.

mod frontend;
mod http;
mod listen;
mod methods;
mod progress;
mod resources;
mod response;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use ::http::{HeaderMap, Response as HttpResponse, Uri, request::Parts};

use super::{
    Body, coding,
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    routing::{Hosts, Place, Rpcs},
};
use prism_call::{Error, ListenerTarget, Namespace, RequestId};

pub use frontend::McpFrontend;

/// The last segment of the path of an endpoint.
const ENDPOINT: &str = "/mcp";

/// A request to an MCP endpoint.
#[derive(Clone, Copy)]
pub struct Mcp;

/// The endpoint of a namespace.
pub struct McpEndpoint {
    namespace: Arc<Namespace>,
    frontend: Arc<McpFrontend>,
}

/// The endpoints of a listener.
#[derive(Default)]
pub struct McpTable {
    hosts: Hosts<HashMap<String, McpEndpoint>>,
}

impl McpTable {
    fn find(&self, uri: &Uri, headers: &HeaderMap) -> Option<&McpEndpoint> {
        let base = uri.path().strip_suffix(ENDPOINT)?;
        self.hosts.candidates(uri, headers).find_map(|endpoints| endpoints.get(base))
    }
}

impl WireProtocol for Mcp {
    const NAMES: &'static [&'static str] = &["mcp"];
    const MEDIA_TYPES: &'static str = "";
    type Content = Arc<McpFrontend>;
    type Table = McpTable;

    fn bind(table: &mut McpTable, place: Place, frontend: Arc<McpFrontend>) {
        let Place { host, base_path, namespace, .. } = place;
        table.hosts.entry(host).entry(base_path).or_insert(McpEndpoint { namespace, frontend });
    }

    fn recognize(table: &McpTable, _: &Rpcs, request: &Parts) -> Option<Self> {
        table.find(&request.uri, &request.headers).map(|_| Self)
    }

    async fn serve(self, table: &McpTable, serving: Serving<'_>, mut request: ClientRequest) -> Response {
        let negotiated = coding::Negotiated::of(&request.parts.method, &mut request.parts.headers);
        let response = if let Some(endpoint) = table.find(&request.parts.uri, &request.parts.headers) {
            // Boxed: its state is large, and would be part of the state of every request of other protocols.
            Box::pin(http::serve(endpoint, serving, request)).await
        } else {
            let error = Error::internal("a request has lost its MCP endpoint");
            let refused = serving.answer_as(ListenerTarget::NoRoute, &request.parts);
            let response = self.failed(refused.request_id(), &error);
            refused.finish(Some(&error), response)
        };
        response.map(|response| negotiated.encode(response))
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> HttpResponse<Body> {
        response::refused(request_id, error)
    }
}
