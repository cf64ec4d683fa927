//! The service that the transcoders call.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use prism::{
    call::{Code, Context, Error, Handler, Input, Method, Output, Reply, Trailers},
    proto::google::rpc::Status,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use prost_types::Any;

/// The revision of the only document.
const REVISION: u64 = 7;

pub struct Depot;

#[async_trait]
impl Handler for Depot {
    async fn handle(&self, context: &Context, method: &Method, input: Input) -> Result<Reply, Error> {
        if method.name == "Deliver" {
            return deliver(method, input).await;
        }
        let bytes = input.bytes().await?;
        let request = DynamicMessage::decode(method.descriptor.input(), bytes.clone())?;
        match method.name.as_str() {
            "Watch" => Ok(Output::stream(ticks(method, &request)).into()),
            "Fail" => Err(failure(&request)),
            "Wait" => {
                let left = context.remaining().map_or(0, |left| left.as_secs_f64().ceil() as u32).next_multiple_of(10);
                tokio::time::sleep(delay(&request)).await;
                Ok(reply(method, [("seconds_left", Value::U32(left))]))
            }
            "Weigh" if request.get_field_by_name("broken").is_some_and(|broken| broken.as_bool() == Some(true)) => {
                let error = Error::from_status(Status { code: 5, message: "the scales are broken".to_owned(), details: Vec::new() });
                Err(error.with_headers_and_trailers(HeaderMap::new(), metadata("x-depot-total", "3")))
            }
            "Weigh" => Ok(Reply {
                headers: metadata("x-depot-scales", "left"),
                output: Output::One(bytes.into()),
                trailers: Trailers::known(metadata("x-depot-total", "3")),
            }),
            "ReadPlan" => Ok(reply(method, [("text", Value::String("as it was".to_owned())), ("revision", Value::U64(REVISION))])),
            "ReplacePlan" => Ok(replaced(method, &request)),
            "ReplacePlanIf" if number(&request, "expected_revision") == i128::from(REVISION) => Ok(replaced(method, &request)),
            "ReplacePlanIf" => Err(Error::new(Code::Aborted, "REVISION_MISMATCH", "the plan has another revision")),
            // The request message is also the reply.
            _ => Ok(Output::One(bytes.into()).into()),
        }
    }
}

async fn deliver(method: &Method, input: Input) -> Result<Reply, Error> {
    let mut messages = input.stream();
    let mut parcels = Vec::new();
    while let Some(bytes) = messages.next().await.transpose()? {
        parcels.push(Value::Message(DynamicMessage::decode(method.descriptor.input(), bytes)?));
    }
    Ok(reply(method, [("parcels", Value::List(parcels))]))
}

fn ticks(method: &Method, request: &DynamicMessage) -> prism::call::Messages<Bytes> {
    let (count, error) = (number(request, "count"), number(request, "error"));
    let descriptor = method.descriptor.output();
    let mut items: Vec<Result<Bytes, Error>> = Vec::new();
    for number in 1..=u32::try_from(count).unwrap_or(0) {
        let mut tick = DynamicMessage::new(descriptor.clone());
        tick.set_field_by_name("number", Value::U32(number));
        items.push(Ok(tick.encode_to_vec().into()));
    }
    if error != 0 {
        let code = i32::try_from(error).unwrap_or_default();
        items.push(Err(Error::from_status(Status { code, message: "the clock has stopped".to_owned(), details: Vec::new() })));
    }
    Box::pin(stream::iter(items))
}

fn failure(request: &DynamicMessage) -> Error {
    let known = prism::proto::google::rpc::ErrorInfo { reason: "NO_SUCH_BOX".to_owned(), domain: "depot".to_owned(), ..Default::default() };
    let detail = |kind: &str, value: Vec<u8>| vec![Any { type_url: format!("type.googleapis.com/{kind}"), value }];
    let details = match number(request, "detail") {
        1 => detail("nowhere.v1.Unheard", vec![8, 1]),
        // The length of field 1 is greater than the message.
        2 => detail("google.rpc.ErrorInfo", vec![10, 9, 1]),
        3 => detail("google.rpc.ErrorInfo", known.encode_to_vec()),
        _ => Vec::new(),
    };
    let code = i32::try_from(number(request, "code")).unwrap_or_default();
    let message = request.get_field_by_name("message").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    Error::from_status(Status { code, message, details })
}

fn replaced(method: &Method, request: &DynamicMessage) -> Reply {
    let text = request.get_field_by_name("text").map(|text| text.into_owned());
    reply(method, [("text", text.unwrap_or(Value::String(String::new()))), ("revision", Value::U64(REVISION + 1))])
}

fn delay(request: &DynamicMessage) -> Duration {
    let delay = request.get_field_by_name("delay");
    let seconds = delay.as_deref().and_then(Value::as_message).map_or(0, |delay| number(delay, "seconds"));
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn number(message: &DynamicMessage, field: &str) -> i128 {
    match message.get_field_by_name(field).as_deref() {
        Some(Value::I32(value) | Value::EnumNumber(value)) => i128::from(*value),
        Some(Value::I64(value)) => i128::from(*value),
        Some(Value::U32(value)) => i128::from(*value),
        Some(Value::U64(value)) => i128::from(*value),
        _ => 0,
    }
}

fn reply<const N: usize>(method: &Method, fields: [(&str, Value); N]) -> Reply {
    let mut message = DynamicMessage::new(method.descriptor.output());
    for (name, value) in fields {
        message.set_field_by_name(name, value);
    }
    Output::one(message).into()
}

fn metadata(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
}
