//! The RPCs of SchemaRegistry: runs the cases of `schema_registry.yaml` over the memory driver, with and without transactions.

use std::{collections::BTreeSet, fs, path::Path};

use futures::StreamExt as _;
use prism::{
    call::{Context, Error, Input, Method, Output},
    pattern, proto,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value};

use super::{Bench, environment, memory, refusal};

const PROTO: &str = "proto/prism/patterns/schema_registry/v1/schema_registry.proto";
const CASES: &str = "tests/gateway/pattern/schema_registry.yaml";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns a message as JSON, with the field names of the proto and without empty fields.
fn json(descriptor: MessageDescriptor, bytes: bytes::Bytes) -> Value {
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

/// Calls an RPC. The messages of a stream become a list.
async fn call(bench: &Bench, rpc: &str, request: &Value) -> Result<Value, Error> {
    let methods = Method::of_service(proto::descriptors(), bench.service).unwrap();
    let method = methods.iter().find(|method| method.name == rpc).unwrap_or_else(|| panic!("no RPC {rpc}"));
    let service = proto::descriptors().get_service_by_name(bench.service).unwrap();
    let described = service.methods().find(|method| method.name() == rpc).unwrap();
    let request = DynamicMessage::deserialize(described.input(), request).unwrap_or_else(|error| panic!("{rpc} {request}: {error}"));
    let input = Input::One(request.encode_to_vec().into());
    match bench.handler.handle(&Context::internal("test"), method, input).await?.output {
        Output::One(message) => Ok(json(described.output(), message.to_bytes())),
        Output::Stream(messages) => {
            let all: Vec<_> = messages.map(|item| Ok(json(described.output(), item?.into()))).collect().await;
            all.into_iter().collect()
        }
    }
}

/// Whether a response contains everything that is expected; `~` means that the member must be absent.
fn matches(actual: Option<&Value>, expected: &Value) -> bool {
    match (actual, expected) {
        (actual, Value::Null) => actual.is_none(),
        (Some(Value::Object(actual)), Value::Object(expected)) => expected.iter().all(|(name, value)| matches(actual.get(name), value)),
        (Some(Value::Array(actual)), Value::Array(expected)) => {
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(actual, expected)| matches(Some(actual), expected))
        }
        (Some(actual), expected) => actual == expected,
        (None, _) => false,
    }
}

/// Runs one step, `RPC: request`. It has `is` (members of the response), or `fails` (code, reason and field), or neither if the call only
/// has to succeed.
async fn step(bench: &Bench, step: &Map<String, Value>, name: &str) -> Option<(String, String)> {
    let (rpc, request) = step.iter().find(|(key, _)| !["is", "fails", "says"].contains(&&***key)).unwrap();
    let step_name = format!("{name}: {rpc} {request}");
    let answer = call(bench, rpc, request).await;
    let Some(expected) = step.get("fails") else {
        let answer = answer.unwrap_or_else(|error| panic!("{step_name}: {error:?}"));
        if let Some(expected) = step.get("is") {
            assert!(matches(Some(&answer), expected), "{step_name}\n  is       {answer}\n  and not  {expected}");
        }
        return None;
    };
    let error = answer.map_or_else(|error| error, |answer| panic!("{step_name} succeeded: {answer}"));
    if let Some(words) = step.get("says") {
        assert!(error.message().contains(words.as_str().unwrap()), "{step_name}: {}", error.message());
    }
    let reported = (rpc.clone(), error.reason().to_owned());
    assert_eq!(refusal(Err::<(), _>(error)), expected.as_str().unwrap(), "{step_name}");
    Some(reported)
}

/// Returns all errors that the proto documents, as RPC and reason.
fn errors() -> BTreeSet<(String, String)> {
    let mut errors = BTreeSet::new();
    let mut comment = String::new();
    for line in read(PROTO).lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            comment += text;
            continue;
        }
        if let Some((rpc, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
            let documented = comment.split_once("Errors:").map_or("", |(_, documented)| documented);
            let quoted = documented.split('`').skip(1).step_by(2).filter_map(|words| words.split_once(' '));
            errors.extend(quoted.map(|(_, reason)| (rpc.to_owned(), reason.to_owned())));
        }
        comment.clear();
    }
    assert!(errors.len() > 50, "{errors:?}");
    errors
}

#[tokio::test]
async fn cases() {
    let cases: Map<String, Value> = serde_saphyr::from_str(&read(CASES)).unwrap();
    let mut reported = BTreeSet::new();
    for transactions in [true, false] {
        for (name, steps) in &cases {
            let mut slot = memory().await;
            if !transactions {
                slot.interfaces.keyvalue_transactional = None;
            }
            let bench = Bench::of_pattern("schema-registry", slot).await;
            for one in steps.as_array().unwrap() {
                reported.extend(step(&bench, one.as_object().unwrap(), name).await);
            }
        }
        let text = format!("{{\"type\":\"fixed\",\"name\":\"{}\",\"size\":1}}", "a".repeat(1 << 20));
        let large = serde_json::json!({
            "RegisterSchema": {"subject": "a", "schema": {"schema": text}},
            "fails": "INVALID_ARGUMENT SCHEMA_TOO_LARGE schema.schema",
        });
        let bench = Bench::of_pattern("schema-registry", memory().await).await;
        reported.extend(step(&bench, large.as_object().unwrap(), "too large").await);
    }
    let unseen: Vec<_> = errors().difference(&reported).cloned().collect();
    assert!(unseen.is_empty(), "no case has these errors of {PROTO}: {unseen:?}");
}

#[tokio::test]
async fn slot_requires_compare_and_swap_or_transactions() {
    let mut slot = memory().await;
    (slot.interfaces.keyvalue_transactional, slot.interfaces.keyvalue_cas) = (None, None);
    let slots = [("storage".to_owned(), slot)].into();
    let refused = pattern::find("schema-registry").unwrap().open(slots, &environment()).await;
    assert_eq!(refusal(refused), "INVALID_ARGUMENT INTERFACE_MISSING slots.storage");
}

/// Registers overlapping schemas at one gateway, and reads each at another.
async fn write(gateways: &[Bench], writer: usize) -> BTreeSet<(String, u64, u64)> {
    let mut done = BTreeSet::new();
    for round in 0..12 {
        let (subject, name) = match round % 3 {
            0 => ("same".to_owned(), "A".to_owned()),
            1 => (format!("own {writer}"), format!("B{round}")),
            _ => ("many".to_owned(), format!("C{writer}_{round}")),
        };
        let text = format!("{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[]}}");
        let request = serde_json::json!({"subject": subject, "schema": {"schema": text}});
        let answer = call(&gateways[writer % gateways.len()], "RegisterSchema", &request).await.unwrap();
        let number = |name: &str| answer["schema"][name].as_u64().unwrap();
        let request = serde_json::json!({"subject": subject, "version": number("version").to_string()});
        let response = call(&gateways[(writer + 1) % gateways.len()], "GetSchema", &request).await.unwrap();
        assert_eq!((&response["schema"]["id"], &response["schema"]["schema"]), (&answer["schema"]["id"], &answer["schema"]["schema"]));
        done.insert((subject, number("version"), number("id")));
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn several_gateways_over_one_storage_agree() {
    for transactions in [true, false] {
        let mut slot = memory().await;
        if !transactions {
            slot.interfaces.keyvalue_transactional = None;
        }
        let gateways = futures::future::join_all((0..4).map(|_| Bench::of_pattern("schema-registry", slot.clone()))).await;
        let none = serde_json::json!({"config": {"compatibility_level": "NONE"}});
        call(&gateways[0], "SetConfig", &none).await.unwrap();
        let done = futures::future::join_all((0..8).map(|writer| write(&gateways, writer))).await;
        let acknowledged: BTreeSet<_> = done.into_iter().flatten().collect();
        for gateway in &gateways {
            let all = call(gateway, "ListSchemas", &serde_json::json!({})).await.unwrap();
            let number = |one: &Value, name: &str| one["schema"][name].as_u64().unwrap();
            let registration =
                |one: &Value| (one["schema"]["subject"].as_str().unwrap().to_owned(), number(one, "version"), number(one, "id"));
            assert_eq!(all.as_array().unwrap().iter().map(registration).collect::<BTreeSet<_>>(), acknowledged);
        }
        let ids: BTreeSet<_> = acknowledged.iter().map(|(_, _, id)| *id).collect();
        // One schema that all writers share, four that each writer registers in its own subject, and four different ones from each
        // writer.
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), (1..=1 + 4 + 32).collect::<Vec<_>>());
    }
}
