//! Requests over HTTP: `POST` with JSON, `GET` with the document in the query.

use std::{sync::Arc, time::Duration};

use futures::stream;
use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, header, request::Parts};

use super::{
    Endpoint,
    caller::{CallSource, FieldCaller},
    events::{self, EVENT_STREAM},
    page,
    response::{self, MediaType},
};
use crate::{
    Body,
    coding::{BodyReader, Coding},
    documents::entity_tag,
    request::{ClientRequest, RequestBody, Response, Serving},
    timeout,
};
use prism_call::{Admitted, Arrival, Code, Delivery, Error, Page, Protocol, REQUEST_ID, SealedBody, Target};
use prism_frontend::{precondition::EntityTags, problem};
use prism_graphql::{Executed, GraphqlRequest, GraphqlSchema, OperationKind, PreparedOperation, RequestError};

/// The methods of an endpoint.
const METHODS: &str = "GET, HEAD, POST";
/// The path of the schema as text, below the endpoint.
const SCHEMA: &str = "/schema.graphql";
/// The methods of documents.
const READ_METHODS: &str = "GET, HEAD";

/// Serves a request to an endpoint, or to a path below it.
pub async fn serve(endpoint: &Endpoint, below: &str, serving: Serving<'_>, request: ClientRequest) -> Response {
    let ClientRequest { parts, body } = request;
    let arrival = Arrival {
        peer: &serving.connection.peer,
        namespace: &endpoint.namespace,
        protocol: Protocol::Graphql,
        target: Target::Page(if below == SCHEMA { Page::Document } else { Page::Graphql }),
        headers: &parts.headers,
        timeout: timeout::http(&parts.headers),
        origin: serving.origin,
    };
    let accept = crate::rest::accept(&parts.headers);
    let media_type = MediaType::choose(accept.as_deref());
    let accepts_events = accept.as_deref().is_some_and(|accept| accept.to_ascii_lowercase().contains(EVENT_STREAM));
    let admitted = match serving.pipeline.admit(arrival).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = response::failed(media_type.unwrap_or(MediaType::Json), refused.request_id(), refused.error());
            return refused.finish(response);
        }
    };
    if parts.method == Method::OPTIONS {
        let mut response = HttpResponse::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
        return admitted.finish(None, response);
    }
    let is_acceptable = media_type.is_some();
    let is_page = endpoint.frontend.documentation && asks_for_page(&parts, accept.as_deref());
    let form = if media_type.is_none() && accepts_events { ResponseForm::Events } else { ResponseForm::Json };
    let media_type = media_type.unwrap_or(MediaType::Json);
    let mut serving = HttpServing { endpoint, serving, parts: &parts, media_type, form, accepts_events, calls: Vec::new() };
    let served = match below {
        "" if is_page => Ok(page::page(&parts.headers)),
        "" if is_acceptable || accepts_events => serving.execute(&admitted, body).await,
        "" => Err(not_acceptable().into()),
        SCHEMA if endpoint.frontend.documentation && endpoint.frontend.limits.introspection => serving.schema(&admitted).await,
        _ => match below.strip_prefix("/graphiql/").filter(|_| endpoint.frontend.documentation) {
            Some(name) => serving.page_file(name),
            None => Err(Failure::Refused(problem::unknown_route(&parts.method, parts.uri.path()))),
        },
    };
    let HttpServing { media_type, form, calls, .. } = serving;
    let finished = match served {
        Ok(response) => admitted.finish(None, response),
        Err(Failure::Refused(error)) => {
            let response = response::failed(media_type, admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
        Err(Failure::NotExecuted(error)) => {
            let response = match form {
                ResponseForm::Json => response::not_executed(media_type, admitted.request_id(), &error),
                ResponseForm::Events => events::respond(admitted.request_id(), stream::iter([Executed::of(&error)])),
            };
            admitted.finish(Some(&error.first()), response)
        }
    };
    finished.with_calls(calls)
}

/// A request that is being served.
struct HttpServing<'s> {
    endpoint: &'s Endpoint,
    serving: Serving<'s>,
    parts: &'s Parts,
    media_type: MediaType,
    form: ResponseForm,
    accepts_events: bool,
    /// What the calls of fields hold until the response is delivered.
    calls: Vec<Delivery>,
}

/// The form of the response to a query or a mutation. Subscriptions are always answered with events.
#[derive(Clone, Copy)]
enum ResponseForm {
    Json,
    Events,
}

/// Why a request has no result.
enum Failure {
    /// It is refused before its document is read.
    Refused(Error),
    /// Its document, its variables or its operation are wrong.
    NotExecuted(RequestError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::NotExecuted(error)
    }
}

impl HttpServing<'_> {
    async fn execute(&mut self, admitted: &Admitted<'_>, body: SealedBody<RequestBody>) -> Result<HttpResponse<Body>, Failure> {
        let Self { endpoint, parts, .. } = self;
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let request = match parts.method {
            Method::GET | Method::HEAD => GraphqlRequest::from_query(parts.uri.query().unwrap_or_default())?,
            Method::POST => {
                check_content_type(&parts.headers)?;
                let coding = Coding::of_body(&parts.headers)?;
                let limit = endpoint.namespace.limits.max_message_bytes;
                let body = BodyReader::new(admitted.open(body), coding, Some(limit));
                GraphqlRequest::from_json(&admitted.read_within_deadline(body.collect(limit)).await?)?
            }
            _ => return Err(response::method_not_allowed(&parts.method, METHODS).into()),
        };
        let limits = &endpoint.frontend.limits;
        let (schema, operation) = endpoint.frontend.prepare(admitted, request).await?;
        match operation.kind {
            // Links and images of foreign pages are such requests.
            _ if is_read && operation.may_write() => return Err(response::method_not_allowed(&parts.method, "POST").into()),
            OperationKind::Subscription if !self.accepts_events => return Err(events_not_accepted().into()),
            OperationKind::Subscription => return self.subscribe(admitted, schema, operation).await,
            OperationKind::Query | OperationKind::Mutation => {}
        }
        let timeout: Option<Duration> = timeout::http(&parts.headers)?;
        let caller = FieldCaller::new(CallSource::of(self.serving), &endpoint.namespace, admitted, &parts.headers, timeout);
        let executed = schema.execute(&operation, limits, &caller).await;
        self.calls = caller.take_deliveries();
        if let ResponseForm::Events = self.form {
            return Ok(events::respond(admitted.request_id(), stream::iter([executed])));
        }
        let tag = (is_read && executed.failed == 0).then(|| entity_tag(&executed.body));
        let mut response = response::respond(self.media_type, admitted.request_id(), StatusCode::OK, executed.body);
        if let Some(tag) = tag {
            cache(&mut response, &parts.headers, tag);
        }
        Ok(response)
    }

    /// Answers a subscription with events.
    async fn subscribe(
        &mut self,
        admitted: &Admitted<'_>,
        schema: Arc<GraphqlSchema>,
        operation: PreparedOperation,
    ) -> Result<HttpResponse<Body>, Failure> {
        self.form = ResponseForm::Events;
        let Self { endpoint, serving, parts, .. } = self;
        let caller = FieldCaller::new(CallSource::of(*serving), &endpoint.namespace, admitted, &parts.headers, None);
        let responses = schema.subscribe(operation, endpoint.frontend.limits, Arc::new(caller)).await?;
        Ok(events::respond(admitted.request_id(), responses))
    }

    /// Returns a file of the page.
    fn page_file(&self, name: &str) -> Result<HttpResponse<Body>, Failure> {
        self.check_read()?;
        let unknown = || problem::unknown_route(&self.parts.method, self.parts.uri.path());
        Ok(page::file(name, &self.parts.headers).ok_or_else(unknown)?)
    }

    fn check_read(&self) -> Result<(), Error> {
        let is_read = matches!(self.parts.method, Method::GET | Method::HEAD);
        if is_read { Ok(()) } else { Err(response::method_not_allowed(&self.parts.method, READ_METHODS)) }
    }

    /// Returns the schema as text.
    async fn schema(&self, admitted: &Admitted<'_>) -> Result<HttpResponse<Body>, Failure> {
        self.check_read()?;
        let text = self.endpoint.frontend.schema(admitted).await?.sdl();
        let tag = entity_tag(text.as_bytes());
        let mut response = HttpResponse::new(Body::full(text));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/graphql; charset=utf-8"));
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.headers_mut().insert(REQUEST_ID, admitted.request_id().to_header());
        cache(&mut response, &self.parts.headers, tag);
        Ok(response)
    }
}

/// Tells whether a browser asks for the page.
fn asks_for_page(parts: &Parts, accept: Option<&str>) -> bool {
    let has_query = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("query=")));
    matches!(parts.method, Method::GET | Method::HEAD) && !has_query && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Lets clients ask whether the result of a query has changed.
fn cache(response: &mut HttpResponse<Body>, headers: &HeaderMap, tag: HeaderValue) {
    if EntityTags::known(headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Empty;
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response.headers_mut().insert(header::ETAG, tag);
    // The data may change at any time.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

/// Refuses a body that is not JSON in UTF-8. Browsers send no such type to other sites without asking.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let mut parts = given.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    let is_utf8 = parts.all(|parameter| match parameter.strip_prefix("charset=") {
        Some(charset) => charset.trim_matches('"') == "utf-8",
        None => true,
    });
    if is_json && is_utf8 {
        return Ok(());
    }
    let accepted = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let message = "the body must have the content type application/json, in UTF-8";
    Err(Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message).with_headers_and_trailers(accepted, HeaderMap::new()))
}

fn not_acceptable() -> Error {
    let message = "the response is application/graphql-response+json, application/json or text/event-stream; accept one of them";
    Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
}

fn events_not_accepted() -> Error {
    let message = "the response to a subscription is text/event-stream; accept it, or use WebSocket with graphql-transport-ws";
    Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
}
