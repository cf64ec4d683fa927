//! GraphQL ("GraphQL over HTTP", graphql.github.io/graphql-over-http) at `graphql` below the base path of a namespace, or of a listener. `prism_graphql` has the
//! schema and its execution; this module has the transports: HTTP, events, parts, and WebSocket with the subprotocol `graphql-transport-ws`. Every field that is an
//! RPC is a call with an admission of its own.

mod caller;
mod endpoint;
mod frontend;
mod http;
mod page;
mod response;
mod results;
mod session;
mod shared_stream;
mod stored_documents;
mod streams;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use ::http::{HeaderMap, HeaderName, Response as HttpResponse, Uri, request::Parts};

use super::{
    Body, coding,
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    routing::{Hosts, Place, Rpcs},
    websocket_transport::{self, Handshake, WebSocketOffer},
};
use caller::CallSource;
use endpoint::Endpoint;
use prism_call::{Error, ListenerTarget, RequestId};
use session::{OperationSession, OperationSource};

pub use frontend::GraphqlFrontend;

/// The last segment of the path of an endpoint.
const ENDPOINT: &str = "/graphql";

/// A request to a GraphQL endpoint, or to a path below it.
#[derive(Clone, Copy)]
pub struct Graphql;

/// The endpoints of a listener.
#[derive(Default)]
pub struct GraphqlTable {
    hosts: Hosts<HashMap<String, Endpoint>>,
}

impl GraphqlTable {
    /// Finds the endpoint of a request, and the path below it.
    pub fn find<'t, 'u>(&'t self, uri: &'u Uri, headers: &HeaderMap) -> Option<(&'t Endpoint, &'u str)> {
        let path = uri.path();
        // The last one that is a whole segment.
        let at = path
            .rmatch_indices(ENDPOINT)
            .map(|(at, _)| at)
            .find(|at| matches!(path.as_bytes().get(at + ENDPOINT.len()), None | Some(b'/')))?;
        let (base, rest) = path.split_at(at);
        let endpoint = self.hosts.candidates(uri, headers).find_map(|endpoints| endpoints.get(base))?;
        Some((endpoint, &rest[ENDPOINT.len()..]))
    }
}

impl GraphqlTable {
    /// Answers the handshake of a WebSocket connection.
    fn accept(&self, serving: Serving<'_>, parts: Parts) -> Response {
        let max_message_bytes =
            self.find(&parts.uri, &parts.headers).map_or(0, |(endpoint, _)| endpoint.namespace.limits.max_message_bytes);
        let offer = WebSocketOffer { subprotocols: &[session::SUBPROTOCOL], max_message_bytes };
        let (current, calls) = (serving.current.clone(), CallSource::of(serving));
        websocket_transport::accept(serving, parts, offer, move |handshake| {
            let Handshake { uri, mut headers, .. } = handshake;
            // Those of the handshake are no metadata of calls.
            let own: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("sec-websocket-")).cloned().collect();
            for name in own {
                headers.remove(name);
            }
            OperationSession::new(OperationSource { current, calls, uri, headers })
        })
    }
}

impl WireProtocol for Graphql {
    const NAMES: &'static [&'static str] = &["graphql"];
    const MEDIA_TYPES: &'static str = "";
    type Content = Arc<GraphqlFrontend>;
    type Table = GraphqlTable;

    fn bind(table: &mut GraphqlTable, place: Place, frontend: Arc<GraphqlFrontend>) {
        let Place { host, base_path, namespace, .. } = place;
        table.hosts.entry(host).entry(base_path).or_insert(Endpoint { namespace, frontend });
    }

    fn recognize(table: &GraphqlTable, _: &Rpcs, request: &Parts) -> Option<Self> {
        table.find(&request.uri, &request.headers).map(|_| Self)
    }

    async fn serve(self, table: &GraphqlTable, serving: Serving<'_>, mut request: ClientRequest) -> Response {
        let uri = request.parts.uri.clone();
        let negotiated = coding::Negotiated::of(&request.parts.method, &mut request.parts.headers);
        if websocket_transport::is_handshake(&request.parts) {
            return table.accept(serving, request.parts);
        }
        let response = if let Some((endpoint, below)) = table.find(&uri, &request.parts.headers) {
            // Boxed: its state is large, and would be part of the state of every request of other protocols.
            Box::pin(http::serve(endpoint, below, serving, request)).await
        } else {
            let error = Error::internal("a request has lost its GraphQL endpoint");
            let refused = serving.answer_as(ListenerTarget::NoRoute, &request.parts);
            let response = self.failed(refused.request_id(), &error);
            refused.finish(Some(&error), response)
        };
        response.map(|response| negotiated.encode(response))
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> HttpResponse<Body> {
        response::failed(response::MediaType::Json, request_id, error)
    }
}
