//! Serves requests by the routes of a definition.

use std::{borrow::Cow, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body::Body as HttpBody;

use super::{request, response, stream};
use crate::{Body, BoxError, Edge, routing::RestBinding, timeout};
use prism_call::{Code, Error, Incoming, Messages, Namespace, Output, Protocol, REQUEST_ID, Reply, RequestId};
use prism_frontend::{
    mapping::{
        Action, Api, CallPlan, CallScope, EachReply, Endpoint, EndpointCase, ErrorCases, MAX_GATHERED_BYTES, NamedValues, Parameters,
        ReceivedRequest, Rendered, RequestHead, body_required,
    },
    precondition::{EntityTags, Preconditions},
    render::{Accept, Format, HEARTBEAT},
    router,
};

/// The route of a request.
pub struct Found<'a, 'p> {
    pub binding: &'a RestBinding,
    pub api: &'a Arc<Api>,
    pub route: router::RouteMatch<'a, 'p, Arc<Endpoint>>,
    /// Below the base path.
    pub path: &'p str,
}

/// A request that is being served.
struct Exchange<'a> {
    method: &'a Method,
    /// Below the base path.
    path: &'a str,
    api: &'a Arc<Api>,
    endpoint: &'a Arc<Endpoint>,
    namespace: &'a Arc<Namespace>,
    accept: Accept<'a>,
    conditions: Preconditions,
    /// The header `If-None-Match` of a request that reads.
    if_none_match: Option<HeaderMap>,
}

/// Serves one request.
pub async fn serve<B>(edge: &Arc<Edge>, found: Found<'_, '_>, method: &Method, uri: &Uri, mut headers: HeaderMap, body: B) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let Found { binding, api, route, path } = found;
    let endpoint = route.value;
    let accept_header = super::accept(&headers).map(Cow::into_owned);
    let parts = RequestHead { method, path, query: uri.query(), headers: &headers };
    let received = endpoint.parameters.read(route.template, parts);
    let namespace = match select_namespace(api, endpoint, binding, received.as_ref().ok()) {
        Ok(namespace) => namespace,
        Err(error) => return refused(api, &binding.namespace.name, (method, path), &headers, &error),
    };
    let exchange = Exchange {
        method,
        path,
        api,
        endpoint,
        namespace,
        accept: Accept::of(accept_header.as_deref()),
        conditions: Preconditions::none(method),
        if_none_match: if_none_match(method, &headers),
    };
    let mut content = Incomplete { content: request::Content::from_headers(&headers), body: Some(body) };
    let timeout = timeout::http(&headers);
    super::remove_hop_by_hop(&mut headers);
    let chosen = exchange.choose(received, &mut content).await;
    let (mut received, place, early) = match chosen {
        Ok((received, place)) => (Some(received), place, None),
        // The pipeline refuses it, so that it is counted and logged like every call.
        Err(error) => (None, endpoint.cases.len().saturating_sub(1), Some(error)),
    };
    let named = NamedValues::new(endpoint.cases.get(place).map_or(&[], |case| &case.named));
    let plan = match endpoint.cases.get(place).map(|case| &case.action) {
        Some(Action::Call(plan)) => plan,
        Some(Action::Refuse(refusal)) => {
            let error =
                early.unwrap_or_else(|| refusal.error(&CallScope { named: Some(&named), ..exchange.scope(received.as_ref(), None) }));
            return exchange.failed(&RequestId::from_headers(&headers), received.as_ref(), None, &error);
        }
        Some(Action::Answer(plan)) => {
            let id = RequestId::from_headers(&headers);
            let result = match early {
                Some(error) => Err(error),
                None => exchange.api.respond(
                    plan,
                    &CallScope { named: Some(&named), ..exchange.scope(received.as_ref(), None) },
                    &exchange.accept,
                ),
            };
            return match result {
                Ok(rendered) => exchange.finish(&id, rendered),
                Err(error) => exchange.failed(&id, received.as_ref(), None, &error),
            };
        }
        None => return exchange.failed(&RequestId::from_headers(&headers), None, None, &Error::internal("the route has no case")),
    };
    let incoming = Incoming { protocol: Protocol::Rest, method: plan.method.clone(), headers, timeout };
    let limit = namespace.limits.max_message_bytes;
    let answer = {
        let (exchange, received, named) = (&exchange, &mut received, &named);
        let read = pin!(async move {
            let received = match (early, received) {
                (None, Some(received)) => received,
                (error, _) => return Err(error.unwrap_or_else(|| Error::internal("the request is gone"))),
            };
            exchange.check_acceptable(plan)?;
            content.read(exchange.endpoint, received, limit).await?;
            plan.input(&CallScope { named: Some(named), ..exchange.scope(Some(received), None) }, limit)
        });
        edge.pipeline.call(namespace, incoming, read).await
    };
    let id = answer.request_id;
    match answer.result {
        Ok(reply) => exchange.reply(&id, received, &named, place, plan, reply).await,
        Err(error) => exchange.failed(&id, received.as_ref(), Some(&plan.errors), &error),
    }
}

/// Returns the namespace of a request.
fn select_namespace<'a>(
    api: &Api,
    endpoint: &Endpoint,
    binding: &'a RestBinding,
    received: Option<&ReceivedRequest<'_>>,
) -> Result<&'a Arc<Namespace>, Error> {
    let (Some(parameter), Some(received)) = (&api.namespace, received) else { return Ok(&binding.namespace) };
    let place = endpoint.parameters.list.iter().position(|known| known.name == *parameter);
    let given = place.and_then(|place| received.given.get(place)?.as_ref()?.text());
    let name = given.unwrap_or_default();
    binding
        .select_namespace(name)
        .ok_or_else(|| Error::new(Code::NotFound, "NAMESPACE_NOT_FOUND", format!("there is no namespace {name} here")))
}

/// Returns the header `If-None-Match` of a request that reads. All headers are forwarded with the call.
fn if_none_match(method: &Method, headers: &HeaderMap) -> Option<HeaderMap> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if !reads || !headers.contains_key(header::IF_NONE_MATCH) {
        return None;
    }
    Some(headers.get_all(header::IF_NONE_MATCH).iter().map(|value| (header::IF_NONE_MATCH, value.clone())).collect())
}

/// Returns the refusal of a request without an operation.
pub fn refused(api: &Api, namespace: &str, (method, path): (&Method, &str), headers: &HeaderMap, error: &Error) -> Response<Body> {
    let id = RequestId::from_headers(headers);
    let received = ReceivedRequest::bare(method, path);
    let scope = api.scope(Parameters::none(), Some(&received), namespace, Some(&id));
    let rendered = api.errors.render(error, None, &scope);
    finish(&id, rendered, error.headers_and_trailers(), false)
}

/// A body that has not been read yet.
struct Incomplete<B> {
    content: request::Content,
    body: Option<B>,
}

impl<B> Incomplete<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Reads the body if the operation has one and it was not read before.
    async fn read(&mut self, endpoint: &Endpoint, received: &mut ReceivedRequest<'_>, limit: usize) -> Result<(), Error> {
        if endpoint.body.is_none() {
            return Ok(());
        }
        let Some(body) = self.body.take() else { return Ok(()) };
        let bytes = self.content.collect(body, limit).await?;
        if bytes.is_empty() && matches!(self.content.media_type(), Ok(None)) {
            // A request without a body has no media type to check.
            let required = endpoint.body.as_ref().is_some_and(|body| body.required);
            let reading = endpoint.reading(None)?;
            return match reading {
                Some(prism_frontend::mapping::BodyFormat::Bytes) => endpoint.set_body(received, reading, bytes),
                _ if required => Err(body_required()),
                _ => Ok(()),
            };
        }
        let reading = endpoint.reading(self.content.media_type()?)?;
        endpoint.set_body(received, reading, bytes)
    }
}

impl Exchange<'_> {
    fn scope<'s>(&'s self, received: Option<&'s ReceivedRequest<'s>>, request_id: Option<&'s RequestId>) -> CallScope<'s> {
        self.api.scope(&self.endpoint.parameters, received, &self.namespace.name, request_id)
    }

    /// Chooses the case of the route. Reads the body first if the choice depends on it.
    async fn choose<'r, B>(
        &self,
        received: Result<ReceivedRequest<'r>, Error>,
        body: &mut Incomplete<B>,
    ) -> Result<(ReceivedRequest<'r>, usize), Error>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut received = received?;
        if self.endpoint.chooses_by_body() {
            let limits = &self.namespace.limits;
            let read = body.read(self.endpoint, &mut received, limits.max_message_bytes);
            tokio::time::timeout(limits.timeout, read).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()))?;
        }
        let place = match self.endpoint.cases.as_slice() {
            [EndpointCase { when: None, .. }] => 0,
            cases => {
                let case = self.endpoint.choose(&self.scope(Some(&received), None))?;
                cases.iter().position(|other| std::ptr::eq(other, case)).unwrap_or_default()
            }
        };
        Ok((received, place))
    }

    async fn reply(
        &self,
        id: &RequestId,
        received: Option<ReceivedRequest<'_>>,
        named: &NamedValues<'_>,
        place: usize,
        plan: &CallPlan,
        reply: Reply,
    ) -> Response<Body> {
        let errors = (&self.api.errors, Some(&plan.errors));
        let scope = CallScope { named: Some(named), errors, ..self.scope(received.as_ref(), Some(id)) };
        let rendered = match reply.output {
            Output::One(message) => {
                let scope = CallScope { reply: Some((plan.output, &message)), shared: Some(&message), ..scope };
                self.api.respond(&plan.response, &scope, &self.accept)
            }
            Output::Stream(messages) if plan.gathers => {
                let gather = gather(messages, self.api.max_gathered);
                match tokio::time::timeout(self.namespace.limits.timeout, gather).await.unwrap_or_else(|_| Err(Error::deadline_exceeded()))
                {
                    Ok(messages) => {
                        let scope = CallScope { replies: Some((plan.output, &messages)), ..scope };
                        self.api.respond(&plan.response, &scope, &self.accept)
                    }
                    Err(error) => Err(error),
                }
            }
            Output::Stream(messages) => {
                let Some(received) = received else { return self.failed(id, None, None, &Error::internal("the request is gone")) };
                return self.stream(id, received, place, messages, reply.headers, reply.trailers).await;
            }
        };
        match rendered {
            Ok(rendered) => {
                let mut rendered = self.conditional(rendered);
                response::append_metadata(&mut rendered.headers, reply.headers);
                if let Some(trailers) = reply.trailers.get() {
                    response::append_metadata(&mut rendered.headers, trailers.clone());
                }
                finish(id, rendered, (&HeaderMap::new(), &HeaderMap::new()), self.conditions.head)
            }
            Err(error) => self.failed(id, received.as_ref(), Some(&plan.errors), &error),
        }
    }

    /// Returns the response, without a body for `HEAD`.
    fn finish(&self, id: &RequestId, rendered: Rendered) -> Response<Body> {
        finish(id, self.conditional(rendered), (&HeaderMap::new(), &HeaderMap::new()), self.conditions.head)
    }

    /// Returns the format of a stream, or `None` if the client accepts none.
    fn format(&self) -> Option<Format> {
        if self.accept.any() {
            return Some(Format::Lines);
        }
        let offers: [&[&str]; 3] = [Format::LINE_TYPES, &["text/event-stream"], &["application/json"]];
        self.accept.best(offers.into_iter()).map(|place| [Format::Lines, Format::Events, Format::List][place])
    }

    /// Refuses a request whose `Accept` allows no format of the response.
    fn check_acceptable(&self, plan: &CallPlan) -> Result<(), Error> {
        if !self.api.strict_accept {
            return Ok(());
        }
        if !plan.method.server_streaming || plan.gathers {
            return plan.response.acceptable(&self.accept);
        }
        self.format().map(drop).ok_or_else(|| {
            let message =
                "this operation answers with application/x-ndjson or text/event-stream or application/json; `Accept` allows none of it";
            Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
        })
    }

    /// Changes the response to 304 if the client has the current version.
    fn conditional(&self, mut rendered: Rendered) -> Rendered {
        let known =
            self.if_none_match.as_ref().zip(rendered.headers.get(header::ETAG)).is_some_and(|(known, tag)| EntityTags::known(known, tag));
        if known && rendered.status == StatusCode::OK {
            rendered.status = StatusCode::NOT_MODIFIED;
            rendered.headers.remove(header::CONTENT_TYPE);
            rendered.body = Bytes::new();
        }
        rendered
    }

    async fn stream(
        &self,
        id: &RequestId,
        received: ReceivedRequest<'_>,
        case: usize,
        messages: Messages<Bytes>,
        headers: HeaderMap,
        trailers: prism_call::Trailers,
    ) -> Response<Body> {
        let rendering = EachReply {
            api: self.api.clone(),
            endpoint: self.endpoint.clone(),
            case,
            received: received.into_owned(),
            namespace: self.namespace.name.clone(),
            request_id: id.clone(),
        };
        let format = self.format().unwrap_or(Format::Lines);
        let stream = stream::Stream { rendering: Arc::new(rendering), format, messages, trailers, resumed: false, heartbeat: HEARTBEAT };
        stream.respond(&self.conditions, id, headers).await
    }

    fn failed(&self, id: &RequestId, received: Option<&ReceivedRequest<'_>>, own: Option<&ErrorCases>, error: &Error) -> Response<Body> {
        let bare = ReceivedRequest::bare(self.method, self.path);
        let scope = self.scope(received.or(Some(&bare)), Some(id));
        let rendered = self.api.errors.render(error, own, &scope);
        finish(id, rendered, error.headers_and_trailers(), self.conditions.head)
    }
}

/// Collects all messages of a stream. Fails if there are too many.
async fn gather(mut messages: Messages<Bytes>, max_messages: usize) -> Result<Vec<Bytes>, Error> {
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(message) = messages.next().await {
        let message = message?;
        bytes += message.len();
        if gathered.len() == max_messages || bytes > MAX_GATHERED_BYTES {
            let message =
                format!("the answer has more than {max_messages} items, or more than {MAX_GATHERED_BYTES} bytes; ask for less of it");
            return Err(Error::new(Code::ResourceExhausted, "ANSWER_TOO_LARGE", message));
        }
        gathered.push(message);
    }
    Ok(gathered)
}

/// Returns the response, with the metadata of an error.
fn finish(id: &RequestId, rendered: Rendered, (leading, trailing): (&HeaderMap, &HeaderMap), head: bool) -> Response<Body> {
    let Rendered { status, headers, body } = rendered;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.to_header());
    response::append_metadata(headers, leading.clone());
    response::append_metadata(headers, trailing.clone());
    if head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    } else if !body.is_empty() {
        *response.body_mut() = Body::full(body);
    }
    response
}
