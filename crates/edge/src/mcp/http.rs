//! Requests over HTTP: `POST` with one message, or a batch of them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response as HttpResponse, StatusCode, header, request::Parts};
use serde_json::Value;

use super::{
    McpEndpoint,
    listen::{self, Listening},
    methods::Methods,
    progress,
    response::{self, ResponseForm},
};
use crate::{
    Body,
    coding::{BodyReader, Coding},
    metadata,
    request::{ClientRequest, RequestBody, Response, Serving},
    timeout,
};
use prism_call::{Admitted, Arrival, Code, Delivery, Error, Finished, Origin, Output, Page, Protocol, Refused, SealedBody, Target};
use prism_mcp::{McpBody, McpFault, McpMessage, McpRequest, ToolSet, check_headers, error_data, protocol::ErrorData};

/// The methods of an endpoint.
const METHODS: &str = "POST";

/// Serves a request to an endpoint.
pub async fn serve(endpoint: &McpEndpoint, serving: Serving<'_>, request: ClientRequest) -> Response {
    let ClientRequest { parts, body } = request;
    let serving = McpServing { endpoint, serving, parts: &parts };
    let admitted = match serving.admit().await {
        Ok(admitted) => admitted,
        Err(refused) => {
            let response = response::refused(refused.request_id(), refused.error());
            return refused.finish(response);
        }
    };
    if parts.method == Method::OPTIONS {
        let mut response = HttpResponse::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
        return admitted.finish(None, response);
    }
    match serving.read(&admitted, body).await {
        Ok((form, body)) => serving.answer(admitted, form, body).await,
        Err(error) => {
            let response = response::refused(admitted.request_id(), &error);
            admitted.finish(Some(&error), response)
        }
    }
}

/// A request that is being served.
struct McpServing<'s> {
    endpoint: &'s McpEndpoint,
    serving: Serving<'s>,
    parts: &'s Parts,
}

impl<'s> McpServing<'s> {
    async fn admit(&self) -> Result<Admitted<'s>, Box<Refused>> {
        let Self { endpoint, serving, parts } = self;
        let arrival = Arrival {
            peer: &serving.connection.peer,
            namespace: &endpoint.namespace,
            protocol: Protocol::Mcp,
            target: Target::Page(Page::Mcp),
            headers: &parts.headers,
            timeout: timeout::http(&parts.headers),
            origin: serving.origin,
        };
        serving.pipeline.admit(arrival).await
    }

    /// Checks the head of a request, and reads its body.
    async fn read(&self, admitted: &Admitted<'_>, body: SealedBody<RequestBody>) -> Result<(ResponseForm, bytes::Bytes), Error> {
        let Self { endpoint, serving, parts } = self;
        // A page that has rebound its name to this address could read what agents may read.
        if serving.origin == Origin::Foreign {
            let message =
                "web pages of this origin may not use these tools; an operator can allow them with listeners.<name>.cors.allowed_origins";
            return Err(Error::new(Code::PermissionDenied, "ORIGIN_NOT_ALLOWED", message));
        }
        if parts.method != Method::POST {
            return Err(response::method_not_allowed(&parts.method, METHODS));
        }
        check_content_type(&parts.headers)?;
        let form = ResponseForm::choose(crate::rest::accept(&parts.headers).as_deref()).ok_or_else(not_acceptable)?;
        let coding = Coding::of_body(&parts.headers)?;
        let limit = endpoint.namespace.limits.max_message_bytes;
        let body = BodyReader::new(admitted.open(body), coding, Some(limit));
        Ok((form, admitted.read_within_deadline(body.collect(limit)).await?))
    }

    async fn answer(&self, admitted: Admitted<'s>, form: ResponseForm, body: bytes::Bytes) -> Response {
        let request_id = admitted.request_id().clone();
        let respond = |status, id: Option<&_>, answer| response::respond(form, &request_id, status, &response::message(id, answer));
        match McpBody::parse(&body) {
            Err(fault) => {
                let error = refusal(&fault.error);
                admitted.finish(Some(&error), respond(StatusCode::BAD_REQUEST, fault.id.as_ref(), Err(*fault.error)))
            }
            Ok(McpBody::One(McpMessage::Request(request))) if self.accepts_events() && listen::is_listen(&request, &self.parts.headers) => {
                self.listen(admitted, &request).await
            }
            Ok(McpBody::One(McpMessage::Request(mut request))) => {
                let mut admitted = admitted;
                let token = request.progress_token().filter(|_| self.accepts_events());
                if let Some(token) = token
                    && let Some(begun) = self.methods().begin_stream(&mut admitted, &mut request).await
                {
                    return progress::respond(admitted, begun, &request.id, token);
                }
                let handled = self.methods().handle(admitted, &mut request).await;
                let mut finished = handled.finished.map(|answer| respond(handled.status, Some(&request.id), answer));
                if !handled.headers.is_empty() {
                    finished = finished.map(|mut response| {
                        metadata::append(response.headers_mut(), handled.headers);
                        response
                    });
                }
                finished
            }
            Ok(McpBody::One(McpMessage::Notification(_) | McpMessage::Response)) => match check_headers(&self.parts.headers) {
                Ok(()) => admitted.finish(None, response::accepted(&request_id)),
                Err(error) => {
                    let counted = refusal(&error);
                    admitted.finish(Some(&counted), respond(StatusCode::BAD_REQUEST, None, Err(error)))
                }
            },
            Ok(McpBody::Batch(messages)) => {
                let (answers, deliveries) = self.batch(&admitted, messages).await;
                let response = if answers.is_empty() {
                    response::accepted(&request_id)
                } else {
                    response::respond(form, &request_id, StatusCode::OK, &Value::Array(answers))
                };
                admitted.finish(None, response).with_calls(deliveries)
            }
        }
    }

    fn accepts_events(&self) -> bool {
        ResponseForm::accepts_events(crate::rest::accept(&self.parts.headers).as_deref())
    }

    /// Answers a request for changes of resources, with events.
    async fn listen(&self, admitted: Admitted<'s>, request: &McpRequest) -> Response {
        let request_id = admitted.request_id().clone();
        let opened = match self.endpoint.frontend.tools(&admitted).await {
            Ok(tools) => self.open_watches(tools, request).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok((listening, deliveries)) => {
                let response = response::respond_events(&request_id, listening.events(request.id.clone()));
                admitted.finish(None, response).with_calls(deliveries)
            }
            Err(error) => {
                let message = response::message(Some(&request.id), Err(error_data(&error.for_client())));
                let response = response::respond(ResponseForm::Json, &request_id, StatusCode::OK, &message);
                admitted.finish(Some(&error), response)
            }
        }
    }

    /// Opens the watches of the resources of a request. Each is a call by itself.
    async fn open_watches(&self, tools: Arc<ToolSet>, request: &McpRequest) -> Result<(Listening, Vec<Delivery>), Error> {
        let mut listening = Listening::of(tools, request)?;
        let mut deliveries = Vec::new();
        for (uri, message) in listening.requests()? {
            let mut call = self.admit().await.map_err(|refused| {
                let error = refused.error().for_client();
                drop(refused.finish(()).into_parts());
                error
            })?;
            match self.methods().call_rpc(&mut call, &listening.method, || Ok(message)).await.map(|reply| reply.output) {
                Ok(Output::Stream(messages)) => {
                    let (messages, streaming) = call.stream(messages);
                    deliveries.push(streaming.finish(()).into_parts().1);
                    listening.add(uri, Box::pin(messages));
                }
                Ok(Output::One(_)) => {
                    let error = Error::internal("a watch was answered with one message");
                    drop(call.finish(Some(&error), ()).into_parts());
                    return Err(error);
                }
                Err(error) => {
                    let told = error.for_client();
                    drop(call.finish(Some(&error), ()).into_parts());
                    return Err(told);
                }
            }
        }
        Ok((listening, deliveries))
    }

    /// Answers the messages of a batch, one after the other. None is begun after the deadline of the HTTP request.
    async fn batch(&self, admitted: &Admitted<'_>, messages: Vec<Result<McpMessage, McpFault>>) -> (Vec<Value>, Vec<Delivery>) {
        let (mut answers, mut deliveries) = (Vec::new(), Vec::new());
        for message in messages {
            let mut request = match message {
                Ok(McpMessage::Request(request)) => request,
                Ok(McpMessage::Notification(_) | McpMessage::Response) => continue,
                Err(fault) => {
                    answers.push(response::message(fault.id.as_ref(), Err(*fault.error)));
                    continue;
                }
            };
            if let Err(error) = admitted.check_deadline() {
                answers.push(response::message(Some(&request.id), Err(error_data(&error))));
                continue;
            }
            let finished = match self.admit().await {
                Ok(admitted) => self.methods().handle(admitted, &mut request).await.finished,
                Err(refused) => {
                    let answer = Err(error_data(&refused.error().for_client()));
                    refused.finish(answer)
                }
            };
            let (answer, delivery) = Finished::into_parts(finished);
            answers.push(response::message(Some(&request.id), answer));
            deliveries.push(delivery);
        }
        (answers, deliveries)
    }

    fn methods(&self) -> Methods<'s> {
        Methods { endpoint: self.endpoint, headers: &self.parts.headers }
    }
}

/// The error of a message that is not understood, for metrics and logs.
fn refusal(error: &ErrorData) -> Error {
    Error::new(Code::InvalidArgument, "MCP_MESSAGE", error.message.to_string()).caused_by_client()
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    // Browsers send no such type to other sites without asking.
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let accepted = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let message = "the body must have the content type application/json";
    Err(Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message).with_headers_and_trailers(accepted, HeaderMap::new()))
}

fn not_acceptable() -> Error {
    let message = "the response is application/json or text/event-stream; accept both of them";
    Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message)
}
