//! Serves requests by the routes of a definition.

use std::{borrow::Cow, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Response as HttpResponse, header};
use http_body::Body as _;

use super::{
    calls,
    exchange::{CallResult, Exchange, Incomplete, respond},
    forwarded, read, stream, ticket,
};
use crate::{
    Body, metadata,
    request::{ClientRequest, RequestBody, Response, Serving},
    routing::HttpBinding,
    timeout,
};
use prism_call::{
    Admitted, Arrival, Code, Error, Input, ListenerTarget, Messages, Namespace, Output, Page, Proof, Protocol, RequestId, StreamMessage,
    Target,
};
use prism_frontend::{
    mapping::{
        Action, Api, CallPlan, CallScope, Endpoint, EndpointCase, ForwardPlan, NamedValues, Parameters, ReceivedRequest, RequestHead,
        StreamedCall, body_required,
    },
    precondition::Preconditions,
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
    let ClientRequest { parts: http::request::Parts { method, mut uri, mut headers, .. }, body } = request;
    ticket::redeem(namespace, &method, path, &mut uri, &mut headers);
    let accept_header = super::accept(&headers).map(Cow::into_owned);
    let exchange = Exchange {
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
    let admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = exchange.failed(refused.proof(), refused.request_id(), None, endpoint.default_errors(), refused.error());
            return refused.finish(response);
        }
    };
    let mut content = Incomplete { content: read::Content::from_headers(&headers), body: Some(admitted.open(body)) };
    let head = RequestHead { method: &method, path, query: uri.query(), headers: &headers };
    let received = endpoint.parameters.read(admitted.proof(), route.template, head);
    let (received, case) = match exchange.choose(&admitted, received, &mut content).await {
        Ok(chosen) => chosen,
        Err(error) => return exchange.finish_failed(admitted, None, endpoint.default_errors(), &error),
    };
    let Action::Forward(plan) = &case.action else { return exchange.act(admitted, received, case, content, headers).await };
    let (mut received, accept) = (received, Accept::of(accept_header.as_deref()));
    let bodies = match exchange.forwarded_bodies(&admitted, &mut received, (case, plan), &mut content).await {
        Ok(bodies) => bodies,
        Err(error) => return exchange.finish_failed(admitted, Some(&received), None, &error),
    };
    let target = match forwarded::target(api, &plan.to) {
        Ok(target) => target,
        Err(error) => return exchange.finish_failed(admitted, Some(&received), None, &error),
    };
    if plan.each.is_some() {
        // Boxed: it is rare, and its state would be part of the state of every call.
        return match Box::pin(forwarded::serve_each(serving, &exchange, &admitted, target, bodies, &headers)).await {
            Ok((rendered, deliveries)) => exchange.finish(admitted, rendered).with_calls(deliveries),
            Err(error) => exchange.finish_failed(admitted, Some(&received), None, &error),
        };
    }
    // The body of the other request is known, also if this one has none.
    content.body = None;
    let (method, path) = (&target.method, target.path.as_str());
    let endpoint = &target.endpoint;
    let mut conditions = Preconditions::none(method);
    conditions.head = exchange.conditions.head;
    let exchange = Exchange { method, path, endpoint, accept, conditions, ..exchange };
    let head = RequestHead { method, path, query: None, headers: &headers };
    let received = endpoint.parameters.read(admitted.proof(), &target.template, head).and_then(|mut received| {
        forwarded::set_body(endpoint, &mut received, bodies.into_iter().next().unwrap_or_default())?;
        Ok(received)
    });
    match exchange.choose(&admitted, received, &mut content).await {
        Ok((received, case)) => exchange.act(admitted, received, case, content, headers.clone()).await,
        Err(error) => exchange.finish_failed(admitted, None, endpoint.default_errors(), &error),
    }
}

/// Returns the namespace of a request. A path parameter may select it.
pub fn select_namespace<'a>(
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
    respond(id, rendered, Some(error), false)
}

impl Exchange<'_> {
    /// Builds the bodies of the requests to another operation.
    async fn forwarded_bodies(
        &self,
        admitted: &Admitted<'_>,
        received: &mut ReceivedRequest<'_>,
        (case, plan): (&EndpointCase, &ForwardPlan),
        content: &mut Incomplete,
    ) -> Result<Vec<Bytes>, Error> {
        let limit = self.namespace.limits.max_message_bytes;
        admitted.read_within_deadline(content.read(self.endpoint, received, limit)).await?;
        let named = NamedValues::new(&case.named);
        plan.bodies(&CallScope { named: Some(&named), ..self.scope(admitted.proof(), Some(received), None) })
    }

    /// Does what a case says.
    async fn act(
        mut self,
        admitted: Admitted<'_>,
        received: ReceivedRequest<'_>,
        case: &EndpointCase,
        content: Incomplete,
        mut headers: HeaderMap,
    ) -> Response {
        let proof = admitted.proof();
        let named = NamedValues::new(&case.named);
        let scope = CallScope { named: Some(&named), ..self.scope(proof, Some(&received), None) };
        let plan = match &case.action {
            Action::Call(plan) => plan,
            Action::Refuse(refusal) => {
                let error = refusal.error(&scope);
                return self.finish_failed(admitted, Some(&received), None, &error);
            }
            Action::Answer(plan) => {
                return match self.api.respond(plan, &scope, &self.accept) {
                    Ok(rendered) => self.finish(admitted, self.conditional(rendered)),
                    Err(error) => self.finish_failed(admitted, Some(&received), None, &error),
                };
            }
            Action::Forward(_) => {
                let error = Error::internal("a request was forwarded to an operation that forwards requests");
                return self.finish_failed(admitted, Some(&received), None, &error);
            }
        };
        // A forwarded request has the method of the other operation, but the client still gets no body for `HEAD`.
        let head = self.conditions.head;
        self.conditions = match self.preconditions(plan.conditional.as_ref(), &headers) {
            Ok(conditions) => conditions,
            Err(error) => return self.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
        };
        self.conditions.head = head;
        self.resumed = self.last_event(plan, &headers);
        metadata::remove_hop_by_hop(&mut headers);
        if plan.has_several_calls() {
            // Boxed: it is rare, and its state would be part of the state of every call.
            Box::pin(self.call_several(admitted, received, (case, plan), content, headers)).await
        } else {
            self.call(admitted, received, (case, plan), content, headers).await
        }
    }

    /// Makes the one call of a case.
    async fn call(
        &self,
        mut admitted: Admitted<'_>,
        mut received: ReceivedRequest<'_>,
        (case, plan): (&EndpointCase, &CallPlan),
        mut content: Incomplete,
        headers: HeaderMap,
    ) -> Response {
        let (proof, limit) = (admitted.proof(), self.namespace.limits.max_message_bytes);
        let conditional = plan.conditional.as_ref();
        let named = NamedValues::new(&case.named);
        let result = {
            let (received, named) = (&mut received, &named);
            let read = pin!(async move {
                self.check_acceptable(plan)?;
                if let Some(body) = content.body.take_if(|_| plan.reads_items) {
                    return self.items(proof, received.clone().into_owned(), case, (content.content, body), limit).map(Input::Stream);
                }
                content.read(self.endpoint, received, limit).await?;
                let input = plan.input(&CallScope { named: Some(named), ..self.scope(proof, Some(received), None) }, limit)?;
                self.conditions.apply(conditional, self.resume(plan, input))
            });
            admitted.call(self.conditions.target(&plan.method, conditional), headers, read).await
        };
        match result {
            Ok(reply) => {
                let result = CallResult { output: reply.output, headers: reply.headers, trailers: reply.trailers, steps: Vec::new() };
                self.reply(admitted, received, (case, plan), result).await
            }
            Err(error) => self.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
        }
    }

    /// Makes the calls of a case with steps.
    async fn call_several(
        &self,
        mut admitted: Admitted<'_>,
        mut received: ReceivedRequest<'_>,
        (case, plan): (&EndpointCase, &CallPlan),
        mut content: Incomplete,
        headers: HeaderMap,
    ) -> Response {
        let limit = self.namespace.limits.max_message_bytes;
        let read = match self.check_acceptable(plan) {
            Ok(()) => admitted.read_within_deadline(content.read(self.endpoint, &mut received, limit)).await,
            Err(error) => Err(error),
        };
        let result = match read {
            Ok(()) => calls::run(self, &mut admitted, (case, plan), &received, headers).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(result) => self.reply(admitted, received, (case, plan), result).await,
            Err(error) => self.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
        }
    }

    async fn reply(
        &self,
        admitted: Admitted<'_>,
        received: ReceivedRequest<'_>,
        (case, plan): (&EndpointCase, &CallPlan),
        result: CallResult,
    ) -> Response {
        let CallResult { output, headers, trailers, steps } = result;
        let output = match output {
            Output::Stream(messages) if !plan.gathers => return self.stream(admitted, received, case, messages, headers, trailers).await,
            output => output,
        };
        match self.render(&admitted, &received, case, plan, CallResult { output, headers, trailers, steps }).await {
            Ok(rendered) => self.finish(admitted, rendered),
            Err(error) => self.finish_failed(admitted, Some(&received), Some(&plan.errors), &error),
        }
    }

    /// Returns one message for each item of the body, read on demand.
    fn items(
        &self,
        proof: Proof,
        received: ReceivedRequest<'static>,
        case: &EndpointCase,
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

    fn streamed(
        &self,
        proof: Proof,
        received: ReceivedRequest<'static>,
        case: &EndpointCase,
        request_id: Option<RequestId>,
    ) -> StreamedCall {
        let (api, endpoint, namespace) = (self.api.clone(), self.endpoint.clone(), self.namespace.name.clone());
        let case = endpoint.cases.iter().position(|other| std::ptr::eq(other, case)).unwrap_or_default();
        StreamedCall { api, endpoint, case, received, namespace, request_id, proof }
    }

    async fn stream(
        &self,
        admitted: Admitted<'_>,
        received: ReceivedRequest<'_>,
        case: &EndpointCase,
        messages: Messages<StreamMessage>,
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
}
