//! Connect ("Connect Protocol Reference", connectrpc.com/docs/protocol): RPCs over plain HTTP, with messages in JSON or protobuf.
//!
//! A unary RPC is one HTTP request with one response, whose status is that of the call. A stream consists of frames in both directions; its
//! last frame has the error and the trailers.

mod error;
mod query;
mod stream;
mod unary;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap};

use http::{HeaderMap, Method as HttpMethod, header, request::Parts};

use super::{
    body::Body,
    codec::{Codec, RpcMessages},
    protocol::WireProtocol,
    request::{ClientRequest, RequestBody, Response, Serving},
    routing::{Place, RpcTable, Rpcs},
    timeout,
};
use prism_call::{Admitted, Arrival, Code, Error, ListenerTarget, Method, Protocol, RequestId, SealedBody, Target};
use prism_frontend::message_types::MessageTypes;
use query::Query;

/// Tells Connect requests from others with the same media type. Clients may omit it.
const PROTOCOL_VERSION: &str = "connect-protocol-version";

const UNARY_TYPES: &str = "application/json, application/proto";
const STREAM_TYPES: &str = "application/connect+json, application/connect+proto";

/// A Connect request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// One message in the body.
    Unary(Codec),
    /// One message in the query of a `GET` request.
    Get,
    /// Messages in frames.
    Stream(Codec),
}

/// The namespaces that are served over Connect.
#[derive(Default)]
pub struct ConnectTable {
    rpcs: RpcTable,
    /// By the path of the RPC.
    messages: HashMap<String, RpcMessages>,
}

/// A call that is admitted.
struct ConnectCall<'a> {
    admitted: Admitted<'a>,
    method: &'a std::sync::Arc<Method>,
    messages: RpcMessages,
    headers: HeaderMap,
    body: SealedBody<RequestBody>,
    /// Maximum bytes of a message.
    limit: usize,
}

impl WireProtocol for Connect {
    const NAMES: &'static [&'static str] = &["connect"];
    const MEDIA_TYPES: &'static str = "application/json, application/proto, application/connect+json, application/connect+proto";
    type Content = &'static MessageTypes;
    type Table = ConnectTable;

    fn bind(table: &mut ConnectTable, place: Place, types: &'static MessageTypes) {
        for method in &*place.namespace.methods {
            if !table.messages.contains_key(&method.path)
                && let Some(messages) = RpcMessages::find(types, method)
            {
                table.messages.insert(method.path.clone(), messages);
            }
        }
        table.rpcs.add(place);
    }

    fn recognize(table: &ConnectTable, rpcs: &Rpcs, request: &Parts) -> Option<Self> {
        let form = Self::from_request(&request.method, &request.headers)?;
        let method = rpcs.find(request.uri.path())?;
        table.messages.contains_key(&method.path).then_some(form)
    }

    async fn serve(self, table: &ConnectTable, serving: Serving<'_>, request: ClientRequest) -> Response {
        let ClientRequest { parts, body } = request;
        let (method, namespace) = match table.rpcs.find(&serving.served.bindings.rpcs, &parts.uri, &parts.headers) {
            Ok(found) => found,
            Err(error) => return self.refuse(serving, &parts, &error),
        };
        let is_stream = method.client_streaming || method.server_streaming;
        let supported = if is_stream { STREAM_TYPES } else { UNARY_TYPES };
        let allowed = if method.read_only && !is_stream { "GET, POST" } else { "POST" };
        let query = (self == Self::Get).then(|| Query::parse(parts.uri.query().unwrap_or_default()));
        let is_allowed = match self {
            Self::Get => method.read_only && !is_stream,
            Self::Unary(_) | Self::Stream(_) => parts.method == HttpMethod::POST,
        };
        if !is_allowed {
            return serving.refuse_method(&parts, allowed);
        }
        let is_supported = match (&query, self) {
            (Some(query), _) => query.has_known_encoding(),
            (None, Self::Stream(_)) => is_stream,
            (None, _) => !is_stream,
        };
        let Some(messages) = table.messages.get(&method.path).copied().filter(|_| is_supported) else {
            return serving.refuse_media_type(&parts, supported);
        };
        let arrival = Arrival {
            peer: &serving.connection.peer,
            namespace,
            protocol: Protocol::Connect,
            target: Target::Rpc(method.clone()),
            headers: &parts.headers,
            timeout: timeout::connect(&parts.headers),
            origin: serving.origin,
        };
        let admitted = match serving.pipeline.admit(arrival).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                let response = self.failed(refused.request_id(), refused.error());
                return refused.finish(response);
            }
        };
        let limit = namespace.limits.max_message_bytes;
        let call = ConnectCall { admitted, method, messages, headers: parts.headers, body, limit };
        if let Err(error) = check_version(&call.headers) {
            let response = self.failed(call.admitted.request_id(), &error);
            return call.admitted.finish(Some(&error), response);
        }
        let content = match self {
            Self::Stream(codec) => return stream::serve(call, codec).await,
            Self::Unary(codec) => unary::Content::Body(codec),
            Self::Get => unary::Content::Query(query.unwrap_or_default()),
        };
        unary::serve(call, content).await
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
        match self {
            Self::Stream(codec) => stream::failed(codec, request_id, error),
            Self::Unary(_) | Self::Get => unary::failed(request_id, error),
        }
    }
}

impl Connect {
    fn from_request(method: &HttpMethod, headers: &HeaderMap) -> Option<Self> {
        match headers.get(header::CONTENT_TYPE) {
            _ if method == HttpMethod::GET => Some(Self::Get),
            Some(content_type) => Self::from_content_type(content_type.as_bytes()),
            None => None,
        }
    }

    /// Returns the form of a request by its content type. Parameters, such as a character set, are ignored.
    fn from_content_type(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|byte| *byte == b';').next()?.trim_ascii().to_ascii_lowercase();
        let subtype = essence.strip_prefix(b"application/")?;
        match subtype.strip_prefix(b"connect+") {
            Some(codec) => Codec::from_name(codec).map(Self::Stream),
            None => Codec::from_name(subtype).map(Self::Unary),
        }
    }

    /// Refuses a call whose namespace is not known.
    fn refuse(self, serving: Serving<'_>, parts: &Parts, error: &Error) -> Response {
        let request = serving.answer_as(ListenerTarget::NoRoute, parts);
        let response = self.failed(request.request_id(), error);
        request.finish(Some(error), response)
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(PROTOCOL_VERSION) {
        Some(version) if version.as_bytes() != b"1" => Err(unknown_version(PROTOCOL_VERSION, "1")),
        _ => Ok(()),
    }
}

fn unknown_version(parameter: &'static str, known: &'static str) -> Error {
    invalid(parameter, format!("must be {known}, the only version of the protocol"))
}

/// The error of a header or a query parameter of the protocol.
fn invalid(parameter: &'static str, description: impl Into<Cow<'static, str>>) -> Error {
    let description = description.into();
    Error::new(Code::InvalidArgument, "INVALID_REQUEST", format!("{parameter}: {description}"))
        .with_violation(parameter, description.into_owned())
}
