//! Serves requests by the routes of a definition.

use std::{borrow::Cow, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, header};
use http_body::Body as _;

use super::{read, stream};
use crate::{
    Body, metadata,
    request::{ClientRequest, RequestBody, Response, Serving},
    routing::HttpBinding,
    timeout,
};
use prism_call::{
    Admitted, Arrival, Code, Error, Input, ListenerTarget, Messages, Namespace, Output, Page, Proof, Protocol, REQUEST_ID, Reply,
    RequestId, Target,
};
use prism_frontend::{
    mapping::{
        Action, Api, CallPlan, CallScope, Endpoint, EndpointCase, ErrorCases, MAX_GATHERED_BYTES, NamedValues, Parameters, ReceivedRequest,
        Rendered, RequestHead, StreamedCall, body_required,
    },
    precondition::{EntityTags, Preconditions},
    problem,
    render::{Accept, Format, HEARTBEAT},
    router,
    template::PathTemplate,
};

/// The route of a request.
pub struct Found<'a, 'p> {
    pub binding: &'a HttpBinding,
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
    /// The cursor after which the client resumes a stream of events.
    resumed: Option<HeaderValue>,
}

/// Serves one request.
pub async fn serve(serving: Serving<'_>, found: Found<'_, '_>, request: ClientRequest) -> Response {
    let Found { binding, api, route, path } = found;
    let endpoint = route.value;
    let namespace = match select_namespace(api, endpoint, binding, route.template, path) {
        Ok(namespace) => namespace,
        Err(error) => {
            let refusal = serving.answer_as(ListenerTarget::NoRoute, &request.parts);
            let request_line = (&request.parts.method, path);
            let response = refused(api, &binding.namespace.name, request_line, refusal.proof(), refusal.request_id(), &error);
            return refusal.finish(Some(&error), response);
        }
    };
    let ClientRequest { parts: http::request::Parts { method, uri, mut headers, .. }, body } = request;
    let accept_header = super::accept(&headers).map(Cow::into_owned);
    let mut exchange = Exchange {
        method: &method,
        path,
        api,
        endpoint,
        namespace,
        accept: Accept::of(accept_header.as_deref()),
        conditions: Preconditions::none(&method),
        if_none_match: if_none_match(&method, &headers),
        resumed: None,
    };
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace,
        protocol: Protocol::Rest,
        target: endpoint.only_method().map_or(Target::Page(Page::Operation), |method| Target::Rpc(method.clone())),
        headers: &headers,
        timeout: timeout::http(&headers),
        origin: serving.origin,
    };
    let mut admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = exchange.failed(refused.proof(), refused.request_id(), None, endpoint.default_errors(), refused.error());
            return refused.finish(response);
        }
    };
    let proof = admitted.proof();
    let mut content = Incomplete { content: read::Content::from_headers(&headers), body: Some(admitted.open(body)) };
    let head = RequestHead { method: &method, path, query: uri.query(), headers: &headers };
    let received = endpoint.parameters.read(proof, route.template, head);
    metadata::remove_hop_by_hop(&mut headers);
    let (mut received, case) = match exchange.choose(&admitted, received, &mut content).await {
        Ok(chosen) => chosen,
        Err(error) => return exchange.finish_failed(admitted, None, endpoint.default_errors(), &error),
    };
    let named = NamedValues::new(endpoint.cases.get(case).map_or(&[], |case| &case.named));
    let plan = match endpoint.cases.get(case).map(|case| &case.action) {
        Some(Action::Call(plan)) => plan,
        Some(Action::Refuse(refusal)) => {
            let error = refusal.error(&CallScope { named: Some(&named), ..exchange.scope(proof, Some(&received), None) });
            return exchange.finish_failed(admitted, Some(&received), None, &error);
        }
        Some(Action::Answer(plan)) => {
            let scope = CallScope { named: Some(&named), ..exchange.scope(proof, Some(&received), None) };
            return match api.respond(plan, &scope, &exchange.accept) {
                Ok(rendered) => {
                    let response = finish(admitted.request_id(), exchange.conditional(rendered), None, exchange.conditions.head);
                    admitted.finish(None, response)
                }
                Err(error) => exchange.finish_failed(admitted, Some(&received), None, &error),
            };
        }
        None => return exchange.finish_failed(admitted, None, None, &Error::internal("the route has no case")),
    };
    exchange.conditions = match exchange.preconditions(plan, &headers) {
        Ok(conditions) => conditions,
        Err(error) => return exchange.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
    };
    exchange.resumed = exchange.last_event(plan, &headers);
    let limit = namespace.limits.max_message_bytes;
    let conditional = plan.conditional.as_ref();
    let result = {
        let (exchange, received, named) = (&exchange, &mut received, &named);
        let read = pin!(async move {
            exchange.check_acceptable(plan)?;
            if let Some(body) = content.body.take_if(|_| plan.reads_items) {
                return exchange.items(proof, received.clone().into_owned(), case, (content.content, body), limit).map(Input::Stream);
            }
            content.read(exchange.endpoint, received, limit).await?;
            let input = plan.input(&CallScope { named: Some(named), ..exchange.scope(proof, Some(received), None) }, limit)?;
            exchange.conditions.apply(conditional, exchange.resume(plan, input))
        });
        admitted.call(exchange.conditions.target(&plan.method, conditional), headers, read).await
    };
    match result {
        Ok(reply) => exchange.reply(admitted, received, &named, case, plan, reply).await,
        Err(error) => exchange.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
    }
}

/// Returns the namespace of a request. A path parameter may select it.
fn select_namespace<'a>(
    api: &Api,
    endpoint: &Endpoint,
    binding: &'a HttpBinding,
    template: &PathTemplate,
    path: &str,
) -> Result<&'a Arc<Namespace>, Error> {
    let Some(parameter) = &api.namespace else { return Ok(&binding.namespace) };
    let name = endpoint.parameters.path_text(parameter, template, path).unwrap_or_default();
    binding
        .select_namespace(&name)
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
pub fn refused(
    api: &Api,
    namespace: &str,
    (method, path): (&Method, &str),
    proof: Proof,
    id: &RequestId,
    error: &Error,
) -> HttpResponse<Body> {
    let received = ReceivedRequest::bare(method, path);
    let scope = api.scope(proof, Parameters::none(), Some(&received), namespace, Some(id));
    let rendered = api.errors.render(error, None, &scope);
    finish(id, rendered, Some(error), false)
}

/// A body that has not been read yet.
struct Incomplete {
    content: read::Content,
    body: Option<RequestBody>,
}

impl Incomplete {
    /// Reads the body if the operation has one and it was not read before.
    async fn read(&mut self, endpoint: &Endpoint, received: &mut ReceivedRequest<'_>, limit: usize) -> Result<(), Error> {
        if endpoint.body.is_none() {
            return Ok(());
        }
        let Some(body) = self.body.take() else { return Ok(()) };
        let bytes = self.content.collect(body, limit).await?;
        endpoint.set_body(received, self.content.media_type()?, bytes)
    }
}

impl Exchange<'_> {
    fn scope<'s>(&'s self, proof: Proof, received: Option<&'s ReceivedRequest<'s>>, request_id: Option<&'s RequestId>) -> CallScope<'s> {
        self.api.scope(proof, &self.endpoint.parameters, received, &self.namespace.name, request_id)
    }

    /// Reads the preconditions of a request that writes. A definition whose document has these headers evaluates them itself.
    fn preconditions(&self, plan: &CallPlan, headers: &HeaderMap) -> Result<Preconditions, Error> {
        let reads = *self.method == Method::GET || *self.method == Method::HEAD;
        if reads || self.endpoint.parameters.has_header(&[header::IF_MATCH, header::IF_NONE_MATCH]) {
            return Ok(Preconditions::none(self.method));
        }
        Preconditions::of(self.method, headers, false, plan.conditional.as_ref(), |_| false)
    }

    /// Returns the cursor after which the client resumes a stream of events.
    fn last_event(&self, plan: &CallPlan, headers: &HeaderMap) -> Option<HeaderValue> {
        let streams = plan.method.server_streaming && !plan.gathers;
        super::last_event(self.format().filter(|_| streams)?, headers)
    }

    /// Lets a stream continue after the last event. A definition whose document has the header does that itself.
    fn resume(&self, plan: &CallPlan, input: Input) -> Input {
        let after = self.resumed.as_ref().and_then(|after| after.to_str().ok());
        match (input, plan.cursor, after) {
            (Input::One(message), Some(cursor), Some(after)) if !self.endpoint.parameters.has_header(&[super::LAST_EVENT_ID]) => {
                let mut message = message.to_vec();
                cursor.put(after, &mut message);
                Input::One(message.into())
            }
            (input, ..) => input,
        }
    }

    /// Chooses the case of the route. Reads the body first if the choice depends on it.
    async fn choose<'r>(
        &self,
        admitted: &Admitted<'_>,
        received: Result<ReceivedRequest<'r>, Error>,
        body: &mut Incomplete,
    ) -> Result<(ReceivedRequest<'r>, usize), Error> {
        let mut received = received?;
        if self.endpoint.chooses_by_body() {
            let limit = self.namespace.limits.max_message_bytes;
            admitted.read_within_deadline(body.read(self.endpoint, &mut received, limit)).await?;
        }
        let place = match self.endpoint.cases.as_slice() {
            [EndpointCase { when: None, .. }] => 0,
            cases => {
                let case = self.endpoint.choose(&self.scope(admitted.proof(), Some(&received), None))?;
                cases.iter().position(|other| std::ptr::eq(other, case)).unwrap_or_default()
            }
        };
        Ok((received, place))
    }

    async fn reply(
        &self,
        admitted: Admitted<'_>,
        received: ReceivedRequest<'_>,
        named: &NamedValues<'_>,
        case: usize,
        plan: &CallPlan,
        reply: Reply,
    ) -> Response {
        let errors = (&self.api.errors, Some(&plan.errors));
        let scope = CallScope { named: Some(named), errors, ..self.scope(admitted.proof(), Some(&received), Some(admitted.request_id())) };
        let rendered = match reply.output {
            Output::One(message) => {
                let message = message.to_bytes();
                let scope = CallScope { reply: Some((plan.output, &message)), shared: Some(&message), ..scope };
                self.api.respond(&plan.response, &scope, &self.accept)
            }
            Output::Stream(messages) if plan.gathers => {
                match admitted.within_deadline(gather(&admitted, messages, self.api.max_gathered)).await {
                    Ok(messages) => {
                        let scope = CallScope { replies: Some((plan.output, &messages)), ..scope };
                        self.api.respond(&plan.response, &scope, &self.accept)
                    }
                    Err(error) => Err(error),
                }
            }
            Output::Stream(messages) => return self.stream(admitted, received, case, messages, reply.headers, reply.trailers).await,
        };
        match rendered {
            Ok(rendered) => {
                let mut rendered = self.conditional(rendered);
                metadata::append(&mut rendered.headers, reply.headers);
                if let Some(trailers) = reply.trailers.get() {
                    metadata::append(&mut rendered.headers, trailers.clone());
                }
                let response = finish(admitted.request_id(), rendered, None, self.conditions.head);
                admitted.finish(None, response)
            }
            Err(error) => self.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
        }
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

    /// Returns one message for each item of the body, read on demand.
    fn items(
        &self,
        proof: Proof,
        received: ReceivedRequest<'static>,
        case: usize,
        (mut content, body): (read::Content, RequestBody),
        limit: usize,
    ) -> Result<Messages<Bytes>, Error> {
        let media_type = content.media_type()?;
        if media_type.is_none() && body.is_end_stream() && self.endpoint.body.as_ref().is_some_and(|body| body.required) {
            return Err(body_required());
        }
        self.endpoint.reading(media_type)?;
        let call = self.streamed(proof, received, case, None);
        Ok(read::items(content.open(body)?, limit, move |item| call.message(item, limit)))
    }

    fn streamed(&self, proof: Proof, received: ReceivedRequest<'static>, case: usize, request_id: Option<RequestId>) -> StreamedCall {
        let (api, endpoint, namespace) = (self.api.clone(), self.endpoint.clone(), self.namespace.name.clone());
        StreamedCall { api, endpoint, case, received, namespace, request_id, proof }
    }

    async fn stream(
        &self,
        admitted: Admitted<'_>,
        received: ReceivedRequest<'_>,
        case: usize,
        messages: Messages<Bytes>,
        headers: HeaderMap,
        trailers: prism_call::Trailers,
    ) -> Response {
        let id = admitted.request_id().clone();
        let rendering = self.streamed(admitted.proof(), received.into_owned(), case, Some(id.clone()));
        let format = self.format().unwrap_or(Format::Lines);
        let (messages, streaming) = admitted.stream(messages);
        let stream = stream::Stream {
            rendering: Arc::new(rendering),
            format,
            messages,
            trailers,
            resumed: self.resumed.is_some(),
            heartbeat: HEARTBEAT,
        };
        streaming.finish(stream.respond(&self.conditions, &id, headers).await)
    }

    /// Renders an error, and ends the request with it.
    fn finish_failed(
        &self,
        admitted: Admitted<'_>,
        received: Option<&ReceivedRequest<'_>>,
        own: Option<&ErrorCases>,
        error: &Error,
    ) -> Response {
        let response = self.failed(admitted.proof(), admitted.request_id(), received, own, error);
        admitted.finish(Some(error), response)
    }

    fn failed(
        &self,
        proof: Proof,
        id: &RequestId,
        received: Option<&ReceivedRequest<'_>>,
        own: Option<&ErrorCases>,
        error: &Error,
    ) -> HttpResponse<Body> {
        let bare = ReceivedRequest::bare(self.method, self.path);
        let scope = self.scope(proof, received.or(Some(&bare)), Some(id));
        let status = self.conditions.status(error).unwrap_or_else(|| problem::status(error));
        let rendered = self.api.errors.render_as(status, error, own, &scope);
        finish(id, rendered, Some(error), self.conditions.head)
    }
}

/// Collects all messages of a stream. Fails if there are too many.
async fn gather(admitted: &Admitted<'_>, mut messages: Messages<Bytes>, max_messages: usize) -> Result<Vec<Bytes>, Error> {
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(message) = {
        admitted.check_deadline()?;
        messages.next().await
    } {
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

/// Returns the response, with the metadata of the error if it tells one.
fn finish(id: &RequestId, rendered: Rendered, error: Option<&Error>, head: bool) -> HttpResponse<Body> {
    let Rendered { status, headers, body } = rendered;
    let mut response = HttpResponse::new(Body::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.to_header());
    if let Some((leading, trailing)) = error.map(Error::headers_and_trailers) {
        metadata::append(headers, leading.clone());
        metadata::append(headers, trailing.clone());
    }
    if head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    } else if !body.is_empty() {
        *response.body_mut() = Body::full(body);
    }
    response
}
