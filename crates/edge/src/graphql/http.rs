//! Requests over HTTP: `POST` with JSON, `GET` with the document in the query.

use std::time::Duration;

use futures::stream;
use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, header, request::Parts};

use super::{
    caller::CallSource,
    endpoint::Endpoint,
    page,
    response::{self, MediaType},
    results::{self, ResultForm},
    shared_stream, streams,
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
use prism_graphql::{Executed, GraphqlRequest, OperationKind, RequestError};

/// The methods of an endpoint.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
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
    let streamed = ResultForm::choose(accept.as_deref());
    let mut admitted = match serving.pipeline.admit(arrival).await {
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
    let token = shared_stream::token(&parts);
    let is_shared = below.is_empty() && (token.is_some() || parts.method == Method::PUT);
    let form = streamed.filter(|_| media_type.is_none() && !is_shared);
    // The status must say whether an operation of a shared stream was accepted.
    let media_type = if is_shared { MediaType::GraphqlResponse } else { media_type.unwrap_or(MediaType::Json) };
    let mut serving =
        HttpServing { endpoint, serving, parts: &parts, media_type, form, streamed, is_subscription: false, calls: Vec::new() };
    let served = match below {
        "" if is_shared => serving.share_stream(&mut admitted, body, token).await,
        "" if is_page => Ok(page::page(&parts.headers)),
        "" if is_acceptable || streamed.is_some() => serving.execute(&admitted, body).await,
        "" => Err(not_acceptable().into()),
        SCHEMA if endpoint.frontend.documentation && endpoint.frontend.limits.introspection => serving.schema(&admitted).await,
        _ => match below.strip_prefix("/graphiql/").filter(|_| endpoint.frontend.documentation) {
            Some(name) => serving.page_file(name),
            None => Err(Failure::Refused(problem::unknown_route(&parts.method, parts.uri.path()))),
        },
    };
    let HttpServing { media_type, form, is_subscription, calls, .. } = serving;
    let finished = match served {
        // Its stream has an admission of its own, and may last for days.
        Ok(response) if is_subscription => admitted.finish(None, response).released(),
        Ok(response) => admitted.finish(None, response),
        Err(Failure::Refused(error)) => {
            let response = response::failed(media_type, admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
        Err(Failure::NotExecuted(error)) => {
            let response = match form {
                None => response::not_executed(media_type, admitted.request_id(), &error),
                Some(form) => form.respond(admitted.request_id(), stream::iter([Executed::of(&error)])),
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
    /// The form of the response, if it is a stream of results. Subscriptions are always answered so.
    form: Option<ResultForm>,
    /// The stream of results that the client accepts.
    streamed: Option<ResultForm>,
    /// Whether the response is the stream of a subscription.
    is_subscription: bool,
    /// What the calls of fields hold until the response is delivered.
    calls: Vec<Delivery>,
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
        let (endpoint, parts) = (self.endpoint, self.parts);
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let request = match parts.method {
            Method::GET | Method::HEAD => GraphqlRequest::from_query(parts.uri.query().unwrap_or_default())?,
            Method::POST => self.read_body(admitted, body).await?,
            _ => return Err(response::method_not_allowed(&parts.method, METHODS).into()),
        };
        let timeout: Option<Duration> = timeout::http(&parts.headers)?;
        let operation = endpoint.prepare(CallSource::of(self.serving), admitted, &parts.headers, timeout, request).await?;
        match operation.kind() {
            // Links and images of foreign pages are such requests.
            _ if is_read && operation.may_write() => return Err(response::method_not_allowed(&parts.method, "POST").into()),
            OperationKind::Subscription => {
                let Some(form) = self.streamed else { return Err(events_not_accepted().into()) };
                self.form = Some(form);
                let results = operation.subscribe().await?;
                self.is_subscription = true;
                return Ok(form.respond(admitted.request_id(), results));
            }
            OperationKind::Query | OperationKind::Mutation => {}
        }
        let (executed, calls) = operation.execute().await;
        self.calls = calls;
        if let Some(form) = self.form {
            return Ok(form.respond(admitted.request_id(), stream::iter([executed])));
        }
        let tag = (is_read && executed.failed == 0).then(|| entity_tag(&executed.body));
        let mut response = response::respond(self.media_type, admitted.request_id(), StatusCode::OK, executed.body);
        if let Some(tag) = tag {
            cache(&mut response, &parts.headers, tag);
        }
        Ok(response)
    }

    /// Reads the request in a body.
    async fn read_body(&self, admitted: &Admitted<'_>, body: SealedBody<RequestBody>) -> Result<GraphqlRequest, Error> {
        check_content_type(&self.parts.headers)?;
        let coding = Coding::of_body(&self.parts.headers)?;
        let limit = self.endpoint.namespace.limits.max_message_bytes;
        let body = BodyReader::new(admitted.open(body), coding, Some(limit));
        GraphqlRequest::from_json(&admitted.read_within_deadline(body.collect(limit)).await?)
    }

    /// Serves a request for a stream of events that operations share.
    async fn share_stream(
        &self,
        admitted: &mut Admitted<'_>,
        body: SealedBody<RequestBody>,
        token: Option<String>,
    ) -> Result<HttpResponse<Body>, Failure> {
        let Self { parts, serving, .. } = self;
        let (tasks, id) = (&serving.connection.tasks, &admitted.request_id().clone());
        let Some(token) = token else { return Ok(shared_stream::reserved(id, streams::reserve(admitted, tasks)?)) };
        match parts.method {
            Method::GET => {
                admitted.become_stream()?;
                let events = streams::open(admitted, &token, tasks)?;
                Ok(results::stream_response(HeaderValue::from_static(results::EVENT_STREAM), id, events))
            }
            Method::POST => {
                let mut request = self.read_body(admitted, body).await?;
                let operation_id = streams::check_id(request.operation_id.take())?;
                let timeout = timeout::http(&parts.headers)?;
                let operation = self.endpoint.prepare(CallSource::of(*serving), admitted, &parts.headers, timeout, request).await?;
                streams::begin(admitted, &token, &operation_id)?.spawn(operation, tasks);
                Ok(shared_stream::accepted(id, StatusCode::ACCEPTED))
            }
            Method::DELETE => {
                let operation_id = streams::check_id(shared_stream::parameter(parts, "operationId"))?;
                streams::cancel(admitted, &token, &operation_id)?;
                Ok(shared_stream::accepted(id, StatusCode::OK))
            }
            _ => Err(response::method_not_allowed(&parts.method, METHODS).into()),
        }
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
        let text = self.endpoint.schema(CallSource::of(self.serving), admitted, &self.parts.headers).await?.sdl();
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
    let message = "the response is application/graphql-response+json, application/json, text/event-stream or multipart/mixed;subscriptionSpec=1.0; accept one of them";
    Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
}

fn events_not_accepted() -> Error {
    let message = "the response to a subscription is text/event-stream or multipart/mixed;subscriptionSpec=1.0; accept one of them, or use WebSocket with graphql-transport-ws";
    Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
}
