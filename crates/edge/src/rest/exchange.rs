//! A request to an operation of a definition, while it is served.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, header};

use super::read;
use crate::{
    Body, metadata,
    request::{RequestBody, Response},
};
use prism_call::{Admitted, Code, Error, Input, Messages, Namespace, Output, Proof, REQUEST_ID, RequestId, StreamMessage, Trailers};
use prism_frontend::{
    conditional::ConditionalRpc,
    expression::SharedValue,
    mapping::{Api, CallPlan, CallScope, Endpoint, EndpointCase, ErrorCases, MAX_GATHERED_BYTES, NamedValues, ReceivedRequest, Rendered},
    precondition::{EntityTags, Preconditions},
    problem,
    render::{Accept, Format},
};

/// A request that is being served.
pub struct Exchange<'a> {
    pub method: &'a Method,
    /// Below the base path.
    pub path: &'a str,
    pub api: &'a Arc<Api>,
    pub endpoint: &'a Arc<Endpoint>,
    pub namespace: &'a Arc<Namespace>,
    pub accept: Accept<'a>,
    pub conditions: Preconditions,
    /// The header `If-None-Match` of a request that reads.
    pub if_none_match: Option<HeaderMap>,
    /// The cursor after which the client resumes a stream of events.
    pub resumed: Option<HeaderValue>,
}

/// A body that has not been read yet.
pub struct Incomplete {
    pub content: read::Content,
    pub body: Option<RequestBody>,
}

/// The result of a call, and of the steps before it.
pub struct CallResult {
    pub output: Output,
    pub headers: HeaderMap,
    pub trailers: Trailers,
    /// The results of the steps, by their names.
    pub steps: Vec<(String, SharedValue)>,
}

/// What may still be gathered into one response, or by the steps of a case.
pub struct GatherLimit {
    max_messages: usize,
    messages: usize,
    bytes: usize,
}

impl GatherLimit {
    pub fn new(max_messages: usize) -> Self {
        Self { max_messages, messages: max_messages, bytes: MAX_GATHERED_BYTES }
    }

    /// Takes the bytes of a message.
    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| self.exceeded())?;
        Ok(())
    }

    /// Takes a message of a stream.
    fn take_message(&mut self, bytes: usize) -> Result<(), Error> {
        self.messages = self.messages.checked_sub(1).ok_or_else(|| self.exceeded())?;
        self.take_bytes(bytes)
    }

    fn exceeded(&self) -> Error {
        let Self { max_messages, .. } = self;
        let message = format!("the answer has more than {max_messages} items, or more than {MAX_GATHERED_BYTES} bytes; ask for less of it");
        Error::new(Code::ResourceExhausted, "ANSWER_TOO_LARGE", message)
    }
}

impl Incomplete {
    /// Reads the body if the operation has one and it was not read before.
    pub async fn read(&mut self, endpoint: &Endpoint, received: &mut ReceivedRequest<'_>, limit: usize) -> Result<(), Error> {
        if endpoint.body.is_none() {
            return Ok(());
        }
        let Some(body) = self.body.take() else { return Ok(()) };
        let bytes = self.content.collect(body, limit).await?;
        endpoint.set_body(received, self.content.media_type()?, bytes)
    }
}

impl<'a> Exchange<'a> {
    pub fn scope<'s>(
        &'s self,
        proof: Proof,
        received: Option<&'s ReceivedRequest<'s>>,
        request_id: Option<&'s RequestId>,
    ) -> CallScope<'s> {
        self.api.scope(proof, &self.endpoint.parameters, received, &self.namespace.name, request_id)
    }

    /// Reads the preconditions of a request that writes. A definition whose document has these headers evaluates them itself.
    pub fn preconditions(&self, conditional: Option<&ConditionalRpc>, headers: &HeaderMap) -> Result<Preconditions, Error> {
        let reads = *self.method == Method::GET || *self.method == Method::HEAD;
        if reads || self.endpoint.parameters.has_header(&[header::IF_MATCH, header::IF_NONE_MATCH]) {
            return Ok(Preconditions::none(self.method));
        }
        Preconditions::of(self.method, headers, false, conditional, |_| false)
    }

    /// Returns the cursor after which the client resumes a stream of events.
    pub fn last_event(&self, plan: &CallPlan, headers: &HeaderMap) -> Option<HeaderValue> {
        let streams = plan.method.server_streaming && !plan.gathers;
        super::last_event(self.format().filter(|_| streams)?, headers)
    }

    /// Lets a stream continue after the last event. A definition whose document has the header does that itself.
    pub fn resume(&self, plan: &CallPlan, input: Input) -> Input {
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
    pub async fn choose<'r>(
        &self,
        admitted: &Admitted<'_>,
        received: Result<ReceivedRequest<'r>, Error>,
        body: &mut Incomplete,
    ) -> Result<(ReceivedRequest<'r>, &'a EndpointCase), Error> {
        let mut received = received?;
        if self.endpoint.chooses_by_body() {
            let limit = self.namespace.limits.max_message_bytes;
            admitted.read_within_deadline(body.read(self.endpoint, &mut received, limit)).await?;
        }
        let case = match self.endpoint.cases.as_slice() {
            [case @ EndpointCase { when: None, .. }] => case,
            _ => self.endpoint.choose(&self.scope(admitted.proof(), Some(&received), None))?,
        };
        Ok((received, case))
    }

    /// Renders the reply of a call as one response. The messages of a stream are gathered.
    pub async fn render(
        &self,
        admitted: &Admitted<'_>,
        received: &ReceivedRequest<'_>,
        case: &EndpointCase,
        plan: &CallPlan,
        result: CallResult,
    ) -> Result<Rendered, Error> {
        let CallResult { output, headers, trailers, steps } = result;
        let named = NamedValues::new(&case.named);
        let errors = (&self.api.errors, Some(&plan.errors));
        let scope = self.scope(admitted.proof(), Some(received), Some(admitted.request_id()));
        let scope = CallScope { named: Some(&named), results: Some(&steps), errors, ..scope };
        let rendered = match output {
            Output::One(message) => {
                let message = message.to_bytes();
                let scope = CallScope { reply: Some((plan.output, &message)), shared: Some(&message), ..scope };
                self.api.respond(&plan.response, &scope, &self.accept)
            }
            Output::Stream(messages) => {
                let mut limit = GatherLimit::new(self.api.max_gathered);
                let messages = admitted.within_deadline(gather(admitted, messages, &mut limit)).await?;
                let scope = CallScope { replies: Some((plan.output, &messages)), ..scope };
                self.api.respond(&plan.response, &scope, &self.accept)
            }
        };
        let mut rendered = self.conditional(rendered?);
        metadata::append(&mut rendered.headers, headers);
        if let Some(trailers) = trailers.get() {
            metadata::append(&mut rendered.headers, trailers.clone());
        }
        Ok(rendered)
    }

    /// Returns the format of a stream, or `None` if the client accepts none.
    pub fn format(&self) -> Option<Format> {
        if self.accept.any() {
            return Some(Format::Lines);
        }
        let offers: [&[&str]; 3] = [Format::LINE_TYPES, &["text/event-stream"], &["application/json"]];
        self.accept.best(offers.into_iter()).map(|place| [Format::Lines, Format::Events, Format::List][place])
    }

    /// Refuses a request whose `Accept` allows no format of the response.
    pub fn check_acceptable(&self, plan: &CallPlan) -> Result<(), Error> {
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
    pub fn conditional(&self, mut rendered: Rendered) -> Rendered {
        let known =
            self.if_none_match.as_ref().zip(rendered.headers.get(header::ETAG)).is_some_and(|(known, tag)| EntityTags::known(known, tag));
        if known && rendered.status == StatusCode::OK {
            rendered.status = StatusCode::NOT_MODIFIED;
            rendered.headers.remove(header::CONTENT_TYPE);
            rendered.body = Bytes::new();
        }
        rendered
    }

    /// Ends the request with a response.
    pub fn finish(&self, admitted: Admitted<'_>, rendered: Rendered) -> Response {
        let response = respond(admitted.request_id(), rendered, None, self.conditions.head);
        admitted.finish(None, response)
    }

    /// Renders an error, and ends the request with it.
    pub fn finish_failed(
        &self,
        admitted: Admitted<'_>,
        received: Option<&ReceivedRequest<'_>>,
        own: Option<&ErrorCases>,
        error: &Error,
    ) -> Response {
        let response = self.failed(admitted.proof(), admitted.request_id(), received, own, error);
        admitted.finish(Some(error), response)
    }

    pub fn failed(
        &self,
        proof: Proof,
        id: &RequestId,
        received: Option<&ReceivedRequest<'_>>,
        own: Option<&ErrorCases>,
        error: &Error,
    ) -> HttpResponse<Body> {
        respond(id, self.render_error(proof, id, received, own, error), Some(error), self.conditions.head)
    }

    /// Renders an error in the form of the API.
    pub fn render_error(
        &self,
        proof: Proof,
        id: &RequestId,
        received: Option<&ReceivedRequest<'_>>,
        own: Option<&ErrorCases>,
        error: &Error,
    ) -> Rendered {
        let bare = ReceivedRequest::bare(self.method, self.path);
        let scope = self.scope(proof, received.or(Some(&bare)), Some(id));
        let status = self.conditions.status(error).unwrap_or_else(|| problem::status(error));
        self.api.errors.render_as(status, error, own, &scope)
    }
}

/// Collects all messages of a stream, within the limit.
pub async fn gather(admitted: &Admitted<'_>, mut messages: Messages<StreamMessage>, limit: &mut GatherLimit) -> Result<Vec<Bytes>, Error> {
    let mut gathered = Vec::new();
    while let Some(message) = {
        admitted.check_deadline()?;
        messages.next().await
    } {
        let message = message?;
        limit.take_message(message.len())?;
        gathered.push(message.into());
    }
    Ok(gathered)
}

/// Returns the response, with the metadata of the error if it tells one.
pub fn respond(id: &RequestId, rendered: Rendered, error: Option<&Error>, head: bool) -> HttpResponse<Body> {
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
