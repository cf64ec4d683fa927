//! A request that is served as several requests of another operation (`forward` with `each`). Each is admitted by itself, so that limits,
//! metrics, traces and idempotency apply to it as to a request of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    calls,
    exchange::{CallResult, Exchange},
};
use crate::{metadata, request::Serving};
use prism_call::{Admitted, Arrival, Code, Delivery, Error, Page, Protocol, REQUEST_ID, Target};
use prism_frontend::{
    mapping::{
        Action, Api, CallScope, Endpoint, ErrorCases, ForwardTarget, MAX_GATHERED_BYTES, NamedValues, ReceivedRequest, Rendered,
        RequestHead,
    },
    precondition::Preconditions,
    render::Accept,
};

/// A request whose response has at most so many bytes holds nothing until the list is delivered, so that a long list does not take all
/// permits of the namespace.
const UNHELD_BYTES: usize = 16 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves the requests one after another. Returns the list of their bodies, and what the calls hold until it is delivered.
pub async fn serve_each(
    serving: Serving<'_>,
    outer: &Exchange<'_>,
    admitted: &Admitted<'_>,
    target: &ForwardTarget<Endpoint>,
    bodies: Vec<Bytes>,
    headers: &HeaderMap,
) -> Result<(Rendered, Vec<Delivery>), Error> {
    let limits = &outer.namespace.limits;
    let asked = crate::timeout::http(headers)?.unwrap_or(limits.timeout).min(limits.max_timeout);
    let deadline = Instant::now().checked_add(asked);
    let mut headers = headers.clone();
    headers.insert(REQUEST_ID, admitted.request_id().to_header());
    admitted.context().trace.inject(&mut headers);
    let mut exchange = Exchange {
        method: &target.method,
        path: &target.path,
        api: outer.api,
        endpoint: &target.endpoint,
        namespace: outer.namespace,
        accept: Accept::of(None),
        conditions: Preconditions::none(&Method::POST),
        if_none_match: None,
        resumed: None,
    };
    exchange.conditions = exchange.preconditions(None, &headers)?;
    let (mut list, mut deliveries) = (vec![b'['], Vec::new());
    for (index, body) in bodies.into_iter().enumerate() {
        // A handler that never waits would not let other requests run.
        tokio::task::yield_now().await;
        let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let own = metadata::with_derived_key(&headers, &index.to_string());
        let (rendered, delivery) = serve_one(serving, &exchange, target, body, own, remaining).await;
        if rendered.body.len() > UNHELD_BYTES {
            deliveries.push(delivery);
        }
        if index > 0 {
            list.push(b',');
        }
        if list.len() + rendered.body.len() > MAX_GATHERED_BYTES {
            let message = format!("the answer has more than {MAX_GATHERED_BYTES} bytes; send fewer requests at a time");
            return Err(Error::new(Code::ResourceExhausted, "ANSWER_TOO_LARGE", message));
        }
        list.extend_from_slice(if rendered.body.is_empty() { b"null" } else { &rendered.body });
    }
    list.push(b']');
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]);
    Ok((Rendered { status: StatusCode::OK, headers, body: list.into() }, deliveries))
}

async fn serve_one(
    serving: Serving<'_>,
    exchange: &Exchange<'_>,
    target: &ForwardTarget<Endpoint>,
    body: Bytes,
    headers: HeaderMap,
    timeout: Option<Duration>,
) -> (Rendered, Delivery) {
    let endpoint = exchange.endpoint;
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace: exchange.namespace,
        protocol: Protocol::Rest,
        target: endpoint.only_method().map_or(Target::Page(Page::Operation), |method| Target::Rpc(method.clone())),
        headers: &headers,
        timeout: Ok(timeout),
        origin: serving.origin,
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let own = endpoint.default_errors();
            let rendered = exchange.render_error(refused.proof(), refused.request_id(), None, own, refused.error());
            return refused.finish(rendered).into_parts();
        }
    };
    match perform(exchange, &mut admitted, target, body, headers).await {
        Ok(rendered) => admitted.finish(None, rendered).into_parts(),
        Err(Failure { error, received, own }) => {
            let rendered = exchange.render_error(admitted.proof(), admitted.request_id(), received.as_ref(), own, &error);
            admitted.finish(Some(&error), rendered).into_parts()
        }
    }
}

/// An error, and what its response depends on.
struct Failure<'a> {
    error: Error,
    received: Option<ReceivedRequest<'a>>,
    own: Option<&'a ErrorCases>,
}

async fn perform<'a>(
    exchange: &Exchange<'a>,
    admitted: &mut Admitted<'_>,
    target: &'a ForwardTarget<Endpoint>,
    body: Bytes,
    headers: HeaderMap,
) -> Result<Rendered, Failure<'a>> {
    let endpoint = &target.endpoint;
    let unread = |error| Failure { error, received: None, own: endpoint.default_errors() };
    admitted.check_deadline().map_err(unread)?;
    let head = RequestHead { method: &target.method, path: &target.path, query: None, headers: &headers };
    let mut received = endpoint.parameters.read(admitted.proof(), &target.template, head).map_err(unread)?;
    set_body(endpoint, &mut received, body).map_err(unread)?;
    let case = endpoint.choose(&exchange.scope(admitted.proof(), Some(&received), None)).map_err(unread)?;
    let (error, own) = match &case.action {
        Action::Forward(_) => (Error::internal("the operation forwards requests itself"), None),
        Action::Refuse(refusal) => {
            let named = NamedValues::new(&case.named);
            (refusal.error(&CallScope { named: Some(&named), ..exchange.scope(admitted.proof(), Some(&received), None) }), None)
        }
        Action::Answer(plan) => {
            let named = NamedValues::new(&case.named);
            let scope = CallScope { named: Some(&named), ..exchange.scope(admitted.proof(), Some(&received), None) };
            match exchange.api.respond(plan, &scope, &exchange.accept) {
                Ok(rendered) => return Ok(rendered),
                Err(error) => (error, None),
            }
        }
        Action::Call(plan) => {
            let mut metadata = headers.clone();
            metadata::remove_hop_by_hop(&mut metadata);
            let result: Result<CallResult, Error> = calls::run(exchange, admitted, (case, plan), &received, metadata).await;
            let rendered = match result {
                Ok(result) => exchange.render(admitted, &received, case, plan, result).await,
                Err(error) => Err(error),
            };
            match rendered {
                Ok(rendered) => return Ok(rendered),
                Err(error) => (error, Some(&plan.errors)),
            }
        }
    };
    Err(Failure { error, received: Some(received), own })
}

/// Sets the body of a forwarded request, which is JSON.
pub fn set_body(endpoint: &Endpoint, received: &mut ReceivedRequest<'_>, body: Bytes) -> Result<(), Error> {
    const JSON: &str = "application/json";
    received.content_type = JSON.into();
    endpoint.set_body(received, Some(JSON), body)
}

/// Returns the operation that serves forwarded requests.
pub fn target<'a>(api: &'a Api, name: &str) -> Result<&'a ForwardTarget<Endpoint>, Error> {
    api.targets.get(name).ok_or_else(|| Error::internal(format!("there is no operation {name}")))
}
