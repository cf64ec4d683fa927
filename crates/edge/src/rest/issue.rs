//! Issues tickets for event streams: the answer to a `POST` to the path of a stream.

use std::time::UNIX_EPOCH;

use http::{
    HeaderValue, Method, Response as HttpResponse,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use prost_types::Timestamp;
use serde_json::json;

use super::{
    find::{self, RouteTarget},
    mapped, response,
};
use crate::{
    Body,
    request::{ClientRequest, Response, Serving},
    routing::HttpTable,
    timeout,
};
use prism_call::{Arrival, Code, Error, IssuedTicket, ListenerTarget, Page, Protocol, REQUEST_ID, RequestId, Target};
use prism_frontend::time::write_timestamp;

/// What a client asks for that wants a ticket.
const MEDIA_TYPE: &str = "application/vnd.prism.ticket+json";
/// Tells whether a request asks for a ticket.
pub fn is_wanted(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.headers.get(ACCEPT).is_some_and(|types| types == MEDIA_TYPE)
}

/// Issues a ticket for the stream that `GET` of the same path is.
pub async fn issue(table: &HttpTable, serving: Serving<'_>, request: ClientRequest) -> Response {
    let parts = request.parts;
    let uri = parts.uri.clone();
    let (namespace, path, is_stream) = match find::find(table, &Method::GET, &uri, &parts.headers) {
        Ok(RouteTarget::Annotated { binding, found, path }) => (&binding.namespace, path, found.value.method.server_streaming),
        Ok(RouteTarget::Mapped { binding, api, found, path }) => {
            match mapped::select_namespace(api, found.value, binding, found.template, path) {
                Ok(namespace) => (namespace, path, found.value.only_method().is_some_and(|method| method.server_streaming)),
                Err(error) => {
                    let request = serving.answer_as(ListenerTarget::NoRoute, &parts);
                    let response = response::failed(request.request_id(), &error);
                    return request.finish(Some(&error), response);
                }
            }
        }
        Err(refusal) => return refusal.respond(serving, &parts),
    };
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace,
        protocol: Protocol::Rest,
        target: Target::Page(Page::Ticket),
        headers: &parts.headers,
        timeout: timeout::http(&parts.headers),
        origin: serving.origin,
    };
    let admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = response::failed(refused.request_id(), refused.error());
            return refused.finish(response);
        }
    };
    let issued = if is_stream { namespace.issue_ticket(admitted.context(), path) } else { Err(no_stream()) };
    match issued {
        Ok(issued) => {
            let response = respond(admitted.request_id(), &issued);
            admitted.finish(None, response)
        }
        Err(error) => {
            let response = response::failed(admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
    }
}

fn respond(request_id: &RequestId, issued: &IssuedTicket) -> HttpResponse<Body> {
    let since = issued.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut expire_time = String::new();
    write_timestamp(Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: 0 }, &mut expire_time);
    let body = json!({"ticket": issued.ticket, "expireTime": expire_time}).to_string();
    let mut response = HttpResponse::new(Body::full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REQUEST_ID, request_id.to_header());
    response
}

fn no_stream() -> Error {
    Error::new(Code::InvalidArgument, "NO_EVENT_STREAM", "tickets are for streams of events, and `GET` of this path is none")
}
