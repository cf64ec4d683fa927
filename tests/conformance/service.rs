//! The service of the suite, as a handler behind the same pipeline as every namespace.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use prism::{
    call::{Context, Error, Handler, Input, Method, Output, Reply, Trailers},
    proto::google::rpc::Status,
};
use prost::{Message as _, Name};
use prost_types::Any;

use conformance_contract::{
    self as suite, BidiStreamRequest, ConformancePayload, ServerStreamRequest, StreamResponseDefinition, UnaryResponseDefinition,
    conformance_payload::RequestInfo, unary_response_definition::Response as Unary,
};

pub struct Service;

#[async_trait]
impl Handler for Service {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        match method.name.as_str() {
            "Unary" => {
                let bytes = input.bytes().await?;
                let request = suite::UnaryRequest::decode(bytes.clone())?;
                unary(context, request.response_definition, vec![any::<suite::UnaryRequest>(&bytes)]).await
            }
            "IdempotentUnary" => {
                let bytes = input.bytes().await?;
                let request = suite::IdempotentUnaryRequest::decode(bytes.clone())?;
                unary(context, request.response_definition, vec![any::<suite::IdempotentUnaryRequest>(&bytes)]).await
            }
            "ClientStream" => {
                let mut messages = input.stream();
                let mut definition = None;
                let mut requests = Vec::new();
                while let Some(bytes) = messages.next().await.transpose()? {
                    let request = suite::ClientStreamRequest::decode(bytes.clone())?;
                    if requests.is_empty() {
                        definition = request.response_definition;
                    }
                    requests.push(any::<suite::ClientStreamRequest>(&bytes));
                }
                unary(context, definition, requests).await
            }
            "ServerStream" => {
                let bytes = input.bytes().await?;
                let request = ServerStreamRequest::decode(bytes.clone())?;
                Ok(streamed(context, request.response_definition.unwrap_or_default(), vec![any::<ServerStreamRequest>(&bytes)], None))
            }
            "BidiStream" => bidirectional(context, input).await,
            _ => Err(Error::unknown_rpc(&method.service, &method.name)),
        }
    }
}

async fn unary(context: &Context, definition: Option<UnaryResponseDefinition>, requests: Vec<Any>) -> Result<Reply, Error> {
    let definition = definition.unwrap_or_default();
    let (headers, trailers) = (metadata(&definition.response_headers), metadata(&definition.response_trailers));
    wait(definition.response_delay_ms).await;
    let info = info(context, requests);
    match definition.response {
        Some(Unary::Error(error)) => Err(failure(error, Some(info)).with_headers_and_trailers(headers, trailers)),
        data => {
            let data = if let Some(Unary::ResponseData(data)) = data { data } else { Bytes::new() };
            Ok(Reply { headers, output: Output::One(payload(data, Some(info)).into()), trailers: Trailers::known(trailers) })
        }
    }
}

/// A half-duplex call reads all requests before it responds; a full-duplex call responds to each request at once.
async fn bidirectional(context: &Context, input: Input) -> Result<Reply, Error> {
    let mut messages = input.stream();
    let Some(first) = messages.next().await.transpose()? else {
        return Ok(streamed(context, StreamResponseDefinition::default(), Vec::new(), None));
    };
    let request = BidiStreamRequest::decode(first.clone())?;
    let definition = request.response_definition.unwrap_or_default();
    let mut requests = vec![any::<BidiStreamRequest>(&first)];
    if request.full_duplex {
        return Ok(streamed(context, definition, requests, Some(messages)));
    }
    while let Some(bytes) = messages.next().await.transpose()? {
        requests.push(any::<BidiStreamRequest>(&bytes));
    }
    Ok(streamed(context, definition, requests, None))
}

fn streamed(
    context: &Context,
    definition: StreamResponseDefinition,
    requests: Vec<Any>,
    more: Option<prism::call::Messages<Bytes>>,
) -> Reply {
    let headers = metadata(&definition.response_headers);
    let trailers = metadata(&definition.response_trailers);
    let late = Trailers::later();
    let (context, set) = (context.clone(), late.clone());
    let messages =
        stream::unfold((definition, requests, more, 0_usize, false), move |(definition, mut requests, mut more, sent, ended)| {
            let (context, set, trailers) = (context.clone(), set.clone(), trailers.clone());
            async move {
                if ended {
                    return None;
                }
                if sent > 0
                    && sent < definition.response_data.len()
                    && let Some(messages) = &mut more
                {
                    match messages.next().await {
                        Some(Ok(bytes)) => requests = vec![any::<BidiStreamRequest>(&bytes)],
                        Some(Err(error)) => return Some((Err(error), (definition, requests, more, sent, true))),
                        None => {
                            more = None;
                            requests = Vec::new();
                        }
                    }
                }
                let Some(data) = definition.response_data.get(sent).cloned() else {
                    let error = definition.error.clone();
                    let info = (sent == 0).then(|| info(&context, requests.clone()));
                    return if let Some(error) = error {
                        let error = failure(error, info).with_headers_and_trailers(HeaderMap::new(), trailers);
                        Some((Err(error), (definition, requests, more, sent, true)))
                    } else {
                        set.set(trailers);
                        None
                    };
                };
                wait(definition.response_delay_ms).await;
                let info = match (sent, more.is_some()) {
                    (0, _) => Some(info(&context, std::mem::take(&mut requests))),
                    (_, true) => Some(RequestInfo { requests: std::mem::take(&mut requests), ..RequestInfo::default() }),
                    _ => None,
                };
                Some((Ok(payload(data, info)), (definition, requests, more, sent + 1, false)))
            }
        });
    Reply { headers, output: Output::stream(messages), trailers: late }
}

async fn wait(milliseconds: u32) {
    tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
}

fn any<M: Name>(bytes: &Bytes) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: bytes.to_vec() }
}

/// All response messages have the same shape: field 1 is the payload.
fn payload(data: Bytes, request_info: Option<RequestInfo>) -> Bytes {
    suite::UnaryResponse { payload: Some(ConformancePayload { data, request_info }) }.encode_to_vec().into()
}

fn info(context: &Context, requests: Vec<Any>) -> RequestInfo {
    let request_headers = context
        .metadata
        .keys()
        .map(|name| suite::Header {
            name: name.as_str().to_owned(),
            value: context.metadata.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect(),
        })
        .collect();
    let timeout_ms = context
        .metadata
        .keys()
        .any(|name| ["grpc-timeout", "connect-timeout-ms"].contains(&name.as_str()))
        .then(|| context.remaining().map(|left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX)))
        .flatten();
    RequestInfo { request_headers, timeout_ms, requests }
}

fn failure(error: suite::Error, info: Option<RequestInfo>) -> Error {
    let mut details = error.details;
    details.extend(info.map(|info| any::<RequestInfo>(&info.encode_to_vec().into())));
    Error::from_status(Status { code: error.code, message: error.message.unwrap_or_default(), details })
}

fn metadata(headers: &[suite::Header]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for header in headers {
        for value in &header.value {
            let name = HeaderName::from_bytes(header.name.as_bytes()).expect("the suite sends header names");
            map.append(name, HeaderValue::from_str(value).expect("the suite sends header values"));
        }
    }
    map
}
