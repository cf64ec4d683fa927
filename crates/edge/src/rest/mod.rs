//! REST: HTTP routes and JSON, from the `google.api.http` rules of a pattern's service, or from a definition. `prism_frontend` defines
//! routes, binding and rendering; this module has the I/O.

mod calls;
mod documentation;
mod exchange;
mod find;
mod forwarded;
mod issue;
mod mapped;
mod raw;
mod read;
mod response;
mod stream;
mod ticket;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, pin::pin, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::{
    Body, coding, metadata,
    protocol::WireProtocol,
    request::{ClientRequest, Response, Serving},
    routing::{HttpBinding, HttpRoutes, HttpTable, Place, Rpcs},
    timeout,
};
use prism_call::{Arrival, Error, Output, Protocol, RequestId, Target};
use prism_frontend::{
    precondition::Preconditions,
    render::{Accept, Format, HEARTBEAT},
    route::Route,
    router::RouteMatch,
};
use response::UnaryResponse;

pub use response::{failed, with_own_status};

/// The cursor of the last event that a client received before its event stream ended (HTML standard, "Server-sent events").
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A request to an HTTP route. Whether there is one is known when it is served.
#[derive(Clone, Copy)]
pub struct Rest;

impl WireProtocol for Rest {
    const NAMES: &'static [&'static str] = &["rest", "definition"];
    const MEDIA_TYPES: &'static str = "";
    type Content = HttpRoutes;
    type Table = HttpTable;

    fn bind(table: &mut HttpTable, place: Place, routes: HttpRoutes) {
        table.add(place, routes);
    }

    /// Takes every request except those to the paths of RPCs.
    fn recognize(_: &HttpTable, rpcs: &Rpcs, request: &Parts) -> Option<Self> {
        rpcs.find(request.uri.path()).is_none().then_some(Self)
    }

    async fn serve(self, table: &HttpTable, serving: Serving<'_>, mut request: ClientRequest) -> Response {
        if issue::is_wanted(&request.parts) {
            // Boxed: it is rare.
            return Box::pin(issue::issue(table, serving, request)).await;
        }
        let uri = request.parts.uri.clone();
        let negotiated = coding::Negotiated::of(&request.parts.method, &mut request.parts.headers);
        let response = match find::find(table, &request.parts.method, &uri, &request.parts.headers) {
            Ok(find::RouteTarget::Annotated { binding, found, path }) => annotated(serving, binding, found, path, request).await,
            Ok(find::RouteTarget::Mapped { binding, api, found, path }) => {
                // Boxed: its state is large, and would be part of the state of every annotated call too.
                Box::pin(mapped::serve(serving, mapped::Found { binding, api, route: found, path }, request)).await
            }
            Err(refusal) => {
                let answered = if refusal.is_unknown_path() {
                    // Boxed: it is rare, and its state would be part of the state of every call.
                    Box::pin(documentation::answer(table, serving, request)).await
                } else {
                    Err(request)
                };
                answered.unwrap_or_else(|request| refusal.respond(serving, &request.parts))
            }
        };
        response.map(|response| negotiated.encode(response))
    }

    fn failed(self, request_id: &RequestId, error: &Error) -> http::Response<Body> {
        response::failed(request_id, error)
    }
}

/// Serves a request by a route from the annotations of a service.
async fn annotated(
    serving: Serving<'_>,
    binding: &HttpBinding,
    found: RouteMatch<'_, '_, Arc<Route>>,
    path: &str,
    request: ClientRequest,
) -> Response {
    let ClientRequest { parts: http::request::Parts { method, mut uri, mut headers, .. }, body } = request;
    ticket::redeem(&binding.namespace, &method, path, &mut uri, &mut headers);
    let route: &Arc<Route> = found.value;
    let conditional = route.conditional.as_ref();
    let is_field = |name: &HeaderName| route.headers.as_ref().is_some_and(|fields| fields.reads(name));
    let conditions = Preconditions::of(&method, &headers, route.is_tagged(), conditional, is_field);
    let rpc = conditions.as_ref().map_or(&route.method, |conditions| conditions.target(&route.method, conditional));
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace: &binding.namespace,
        protocol: Protocol::Rest,
        target: Target::Rpc(rpc.clone()),
        headers: &headers,
        timeout: timeout::http(&headers),
        origin: serving.origin,
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let format = route.rendering.negotiate(&Accept::of(accept(&headers).as_deref()));
            let resumes = format.is_ok_and(|format| last_event(format, &headers).is_some());
            let response = if resumes && stream::continues_after(refused.error()) {
                stream::failed_events(refused.request_id(), refused.error())
            } else {
                response::failed(refused.request_id(), refused.error())
            };
            return refused.finish(response);
        }
    };
    let accept = accept(&headers);
    let negotiated = route.rendering.negotiate(&Accept::of(accept.as_deref())).and_then(|format| Ok((format, conditions?)));
    let (format, conditions) = match negotiated {
        Ok(negotiated) => negotiated,
        Err(error) => {
            let response = response::failed(admitted.request_id(), &error);
            return admitted.finish(Some(&error), response);
        }
    };
    drop(accept);
    let rpc = conditions.target(&route.method, conditional);
    let resumed = last_event(format, &headers);
    let content = read::Content::from_headers(&headers);
    let fields = route.headers.as_ref().map(|fields| fields.encode(&headers));
    metadata::remove_hop_by_hop(&mut headers);
    let limit = binding.namespace.limits.max_message_bytes;
    let body = admitted.open(body);
    let result = {
        let read = pin!(async {
            let target = read::Target { route, template: found.template, path, query: uri.query(), fields };
            let resume = resumed.as_ref().and_then(|cursor| cursor.to_str().ok());
            conditions.apply(conditional, read::read(target, content, resume, body, limit).await?)
        });
        admitted.call(rpc, headers, read).await
    };
    match result {
        Ok(reply) => match reply.output {
            Output::One(message) => {
                let UnaryResponse { response, error } =
                    response::unary(route, format, &conditions, admitted.request_id(), &message, reply.headers, &reply.trailers);
                admitted.finish(error.as_ref(), response)
            }
            Output::Stream(messages) => {
                let request_id = admitted.request_id().clone();
                let (messages, streaming) = admitted.stream(messages);
                if route.rendering.is_raw_stream() {
                    let stream = raw::RawStream { route: route.clone(), messages, trailers: reply.trailers };
                    return streaming.finish(stream.respond(&conditions, &request_id, reply.headers).await);
                }
                let stream = stream::Stream {
                    rendering: route.clone(),
                    format,
                    messages,
                    trailers: reply.trailers,
                    resumed: resumed.is_some(),
                    heartbeat: HEARTBEAT,
                };
                streaming.finish(stream.respond(&conditions, &request_id, reply.headers).await)
            }
        },
        Err(error) if resumed.is_some() && stream::continues_after(&error) => {
            let response = stream::failed_events(admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
        Err(error) => {
            let response = response::failed_on(&conditions, admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
    }
}

/// Returns the cursor of the last event that the client of an event stream has received.
fn last_event(format: Format, headers: &HeaderMap) -> Option<HeaderValue> {
    (format == Format::Events).then(|| headers.get(LAST_EVENT_ID).cloned()).flatten()
}

/// Returns the header `Accept`. Several of them form one list (RFC 9110, section 5.3).
pub fn accept(headers: &HeaderMap) -> Option<Cow<'_, str>> {
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
