//! REST: HTTP routes and JSON, from the `google.api.http` rules of a pattern's service, or from a definition. `prism_frontend` defines
//! routes, binding and rendering; this module has the I/O.

mod documentation;
mod find;
mod mapped;
mod request;
mod response;
mod stream;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri, header};
use http_body::Body as HttpBody;

pub use documentation::Documentation;
pub use prism_frontend::route::Routes;

use super::{Body, BoxError, Edge, routing::RestBinding, timeout};
use prism_call::{Incoming, Output, Protocol};
use prism_frontend::{
    precondition::Preconditions,
    render::{Accept, Format, HEARTBEAT},
    route::Route,
    router::RouteMatch,
};

/// The cursor of the last event that a client received before its event stream ended (HTML standard, "Server-sent events").
const LAST_EVENT_ID: &str = "last-event-id";

/// Serves one request.
pub async fn serve<B>(edge: &Arc<Edge>, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let (http::request::Parts { method, uri, headers, .. }, body) = request.into_parts();
    match find::find(&edge.bindings, &method, &uri, &headers) {
        Ok(find::Target::Annotated { binding, found, path }) => annotated(edge, binding, found, path, (&method, &uri), headers, body).await,
        Ok(find::Target::Mapped { binding, api, found, path }) => {
            // Boxed: its state is large, and would be part of the state of every annotated call too.
            Box::pin(mapped::serve(edge, mapped::Found { binding, api, route: found, path }, &method, &uri, headers, body)).await
        }
        Err(refusal) => {
            if refusal.is_unknown_path() {
                // Boxed: it is rare, and its state would be part of the state of every call.
                if let Some(answer) = Box::pin(documentation::answer(edge, &method, &uri, &headers)).await {
                    return answer;
                }
            }
            refusal.respond(&method, uri.path(), &headers)
        }
    }
}

/// Serves a request by a route from the annotations of a service.
async fn annotated<B>(
    edge: &Arc<Edge>,
    binding: &RestBinding,
    found: RouteMatch<'_, '_, Arc<Route>>,
    path: &str,
    (method, uri): (&Method, &Uri),
    mut headers: HeaderMap,
    body: B,
) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let route: Arc<Route> = found.value.clone();
    let accept = accept(&headers);
    let negotiated = route.rendering.negotiate(&Accept::of(accept.as_deref()));
    let (format, refusal) = match negotiated {
        Ok(format) => (format, None),
        Err(error) => (Format::Json, Some(error)),
    };
    let (conditions, refusal) = match Preconditions::of(&route, method, &headers) {
        Ok(conditions) => (conditions, refusal),
        Err(error) => (Preconditions::none(method), refusal.or(Some(error))),
    };
    let (rpc, rendering) = conditions.target(&route);
    let resumed = (format == Format::Events).then(|| headers.get(LAST_EVENT_ID).cloned()).flatten();
    let content = request::Content::from_headers(&headers);
    let timeout = timeout::http(&headers);
    remove_hop_by_hop(&mut headers);
    let incoming = Incoming { protocol: Protocol::Rest, method: rpc.clone(), headers, timeout };
    let limit = binding.namespace.limits.max_message_bytes;
    let answer = {
        let read = pin!(async {
            if let Some(error) = refusal {
                return Err(error);
            }
            let target = request::Target { route: &route, template: found.template, path, query: uri.query() };
            let resume = resumed.as_ref().and_then(|cursor| cursor.to_str().ok());
            conditions.apply(&route, request::read(target, content, resume, body, limit).await?)
        });
        edge.pipeline.call(&binding.namespace, incoming, read).await
    };
    match answer.result {
        Ok(reply) => match reply.output {
            Output::One(message) => {
                response::unary(rendering, format, &conditions, &answer.request_id, &message, reply.headers, &reply.trailers)
            }
            Output::Stream(messages) => {
                let stream = stream::Stream {
                    rendering: route,
                    format,
                    messages,
                    trailers: reply.trailers,
                    resumed: resumed.is_some(),
                    heartbeat: HEARTBEAT,
                };
                stream.respond(&conditions, &answer.request_id, reply.headers).await
            }
        },
        Err(error) => response::failed_on(&conditions, &answer.request_id, &error),
    }
}

/// Returns the header `Accept`. Several of them form one list (RFC 9110, section 5.3).
fn accept(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let first = values.next()?;
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let list = joined.to_mut();
        list.push(',');
        list.push_str(value);
    }
    Some(joined)
}

/// Removes headers of the connection and of the body's framing, which are not metadata of the call.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 10] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    // Most requests have at most two of them, so this is faster than a lookup for each name.
    loop {
        let found = headers.keys().find(|name| NAMES.contains(name)).cloned();
        let Some(name) = found else { return };
        headers.remove(name);
    }
}
