//! Calls of all kinds over one WebSocket connection, with the subprotocols `prism.v1.json` and `prism.v1.proto`. docs/websocket.md specifies
//! them.
//!
//! A connection is made at `<base path>/websocket`. Its calls have ids, and run independently of each other, as tasks of the connection. Each is
//! admitted like a request of any other protocol, in the generation that is served when it begins.

mod call;
mod error;
mod frame;
mod open_calls;
mod session;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, HeaderName, header, request::Parts};

use super::{
    Body,
    codec::{Codec, RpcMessages},
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    rest,
    routing::{ConnectionScope, Place, RpcTable, Rpcs},
    websocket_transport::{self, Handshake, WebSocketOffer},
};
use open_calls::Gateway;
use prism_call::{Error, RequestId};
use prism_frontend::message_types::MessageTypes;
use session::Session;

/// The end of the path of a connection.
const PATH: &str = "/websocket";
const JSON: &str = "prism.v1.json";
const PROTO: &str = "prism.v1.proto";
/// Bytes of a frame beside its message.
const FRAME_OVERHEAD: usize = 64 << 10;

/// A handshake for these subprotocols.
#[derive(Clone, Copy)]
pub struct Websocket;

/// The namespaces that are served over WebSocket.
#[derive(Default)]
pub struct WebsocketTable {
    rpcs: RpcTable,
    /// By the path of the RPC.
    messages: HashMap<String, RpcMessages>,
    /// The largest limit of all namespaces.
    max_message_bytes: usize,
}

impl WebsocketTable {
    /// Maximum bytes of a frame.
    fn max_frame_bytes(&self) -> usize {
        self.max_message_bytes.saturating_add(FRAME_OVERHEAD)
    }
}

impl WireProtocol for Websocket {
    const NAMES: &'static [&'static str] = &["websocket"];
    const MEDIA_TYPES: &'static str = "";
    type Content = &'static MessageTypes;
    type Table = WebsocketTable;

    fn bind(table: &mut WebsocketTable, place: Place, types: &'static MessageTypes) {
        for method in &*place.namespace.methods {
            if !table.messages.contains_key(&method.path)
                && let Some(messages) = RpcMessages::find(types, method)
            {
                table.messages.insert(method.path.clone(), messages);
            }
        }
        table.max_message_bytes = table.max_message_bytes.max(place.namespace.limits.max_message_bytes);
        table.rpcs.add(place);
    }

    fn recognize(table: &WebsocketTable, _: &Rpcs, request: &Parts) -> Option<Self> {
        let base_path = request.uri.path().strip_suffix(PATH)?;
        let served = websocket_transport::is_handshake(request) && table.rpcs.serves(&request.uri, &request.headers, base_path);
        served.then_some(Self)
    }

    async fn serve(self, table: &WebsocketTable, serving: Serving<'_>, request: ClientRequest) -> Response {
        let offer = WebSocketOffer { subprotocols: &[JSON, PROTO], max_message_bytes: table.max_frame_bytes() };
        let (pipeline, current, peer) = (serving.pipeline.clone(), serving.current.clone(), serving.connection.peer.clone());
        let origin = serving.origin;
        let max_frame_bytes = offer.max_message_bytes;
        websocket_transport::accept(serving, request.parts, offer, move |handshake| {
            let Handshake { subprotocol, uri, headers } = handshake;
            let base_path = uri.path().strip_suffix(PATH).unwrap_or_default().to_owned();
            let own = |name: &HeaderName| headers.get(name).map(|value| (name.clone(), value.clone()));
            let credentials: HeaderMap = [header::AUTHORIZATION, prism_call::API_KEY].iter().filter_map(own).collect();
            let scope = ConnectionScope { base_path, headers: own(&header::HOST).into_iter().collect(), uri };
            let codec = if subprotocol == JSON { Codec::Json } else { Codec::Proto };
            let gateway = Gateway { pipeline, current, peer, origin, scope, codec };
            Session::new(Arc::new(gateway), credentials, max_frame_bytes)
        })
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
        rest::failed(request_id, error)
    }
}
