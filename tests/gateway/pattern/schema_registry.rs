//! What the RPCs of SchemaRegistry do and refuse: `schema_registry.yaml`, case by case, over the memory driver with transactions
//! and without.

use std::{collections::BTreeSet, fs, path::Path};

use futures::StreamExt as _;
use prism::{
    call::{Context, Error, Input, Method, Output},
    proto,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value};

use super::{Bench, memory, refusal};

const PROTO: &str = "proto/prism/patterns/schema_registry/v1/schema_registry.proto";
const CASES: &str = "tests/gateway/pattern/schema_registry.yaml";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A message as JSON: names as in the contract, what is empty left out.
fn json(descriptor: MessageDescriptor, bytes: bytes::Bytes) -> Value {
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

/// Calls an RPC; a stream is a list.
async fn call(bench: &Bench, rpc: &str, request: &Value) -> Result<Value, Error> {
    let methods = Method::of_service(proto::descriptors(), bench.service).unwrap();
    let method = methods.iter().find(|method| method.name == rpc).unwrap_or_else(|| panic!("no RPC {rpc}"));
    let service = proto::descriptors().get_service_by_name(bench.service).unwrap();
    let described = service.methods().find(|method| method.name() == rpc).unwrap();
    let request = DynamicMessage::deserialize(described.input(), request).unwrap_or_else(|error| panic!("{rpc} {request}: {error}"));
    let input = Input::One(request.encode_to_vec().into());
    match bench.handler.handle(&Context::internal("test"), method, input).await?.output {
        Output::One(bytes) => Ok(json(described.output(), bytes)),
        Output::Stream(messages) => {
            let all: Vec<_> = messages.map(|item| Ok(json(described.output(), item?))).collect().await;
            all.into_iter().collect()
        }
    }
}

/// Whether it has all that is expected; `~` is expected not to be there.
fn fits(found: Option<&Value>, expected: &Value) -> bool {
    match (found, expected) {
        (found, Value::Null) => found.is_none(),
        (Some(Value::Object(found)), Value::Object(expected)) => expected.iter().all(|(name, value)| fits(found.get(name), value)),
        (Some(Value::Array(found)), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| fits(Some(found), expected))
        }
        (Some(found), expected) => found == expected,
        (None, _) => false,
    }
}

/// One step: `RPC: request` with `is` (what the answer has), `fails` (code, reason and field), or neither, if it is enough that it
/// succeeds.
async fn step(bench: &Bench, step: &Map<String, Value>, name: &str) -> Option<(String, String)> {
    let (rpc, request) = step.iter().find(|(key, _)| !["is", "fails", "says"].contains(&&***key)).unwrap();
    let told = format!("{name}: {rpc} {request}");
    let answer = call(bench, rpc, request).await;
    let Some(expected) = step.get("fails") else {
        let answer = answer.unwrap_or_else(|error| panic!("{told}: {error:?}"));
        if let Some(expected) = step.get("is") {
            assert!(fits(Some(&answer), expected), "{told}\n  is       {answer}\n  and not  {expected}");
        }
        return None;
    };
    let error = answer.map_or_else(|error| error, |answer| panic!("{told} is no refusal: {answer}"));
    if let Some(words) = step.get("says") {
        assert!(error.message().contains(words.as_str().unwrap()), "{told}: {}", error.message());
    }
    let seen = (rpc.clone(), error.reason().to_owned());
    assert_eq!(refusal(Err::<(), _>(error)), expected.as_str().unwrap(), "{told}");
    Some(seen)
}

/// All errors that the contract tells: RPC and reason.
fn errors() -> BTreeSet<(String, String)> {
    let mut errors = BTreeSet::new();
    let mut comment = String::new();
    for line in read(PROTO).lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            comment += text;
            continue;
        }
        if let Some((rpc, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
            let told = comment.split_once("Errors:").map_or("", |(_, told)| told);
            let quoted = told.split('`').skip(1).step_by(2).filter_map(|words| words.split_once(' '));
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
    let mut seen = BTreeSet::new();
    for transactions in [true, false] {
        for (name, steps) in &cases {
            let mut slot = memory().await;
            if !transactions {
                slot.interfaces.keyvalue_transactional = None;
            }
            let bench = Bench::of("schema-registry", slot);
            for one in steps.as_array().unwrap() {
                seen.extend(step(&bench, one.as_object().unwrap(), name).await);
            }
        }
        let text = format!("{{\"type\":\"fixed\",\"name\":\"{}\",\"size\":1}}", "a".repeat(1 << 20));
        let large = serde_json::json!({
            "RegisterSchema": {"subject": "a", "schema": {"schema": text}},
            "fails": "INVALID_ARGUMENT SCHEMA_TOO_LARGE schema.schema",
        });
        let bench = Bench::of("schema-registry", memory().await);
        seen.extend(step(&bench, large.as_object().unwrap(), "too large").await);
    }
    let unseen: Vec<_> = errors().difference(&seen).cloned().collect();
    assert!(unseen.is_empty(), "no case has these errors of {PROTO}: {unseen:?}");
}

#[tokio::test]
async fn slot_requires_compare_and_swap_or_transactions() {
    let mut slot = memory().await;
    (slot.interfaces.keyvalue_transactional, slot.interfaces.keyvalue_cas) = (None, None);
    let slots = [("storage".to_owned(), slot)].into();
    let refused = prism::pattern::build("schema-registry", slots, &super::facts());
    assert_eq!(refusal(refused), "INVALID_ARGUMENT INTERFACE_MISSING slots.storage");
}

/// Registers overlapping schemas at one gateway, and looks for each at another.
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
        let seen = call(&gateways[(writer + 1) % gateways.len()], "GetSchema", &request).await.unwrap();
        assert_eq!((&seen["schema"]["id"], &seen["schema"]["schema"]), (&answer["schema"]["id"], &answer["schema"]["schema"]));
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
        let gateways: Vec<_> = (0..4).map(|_| Bench::of("schema-registry", slot.clone())).collect();
        let none = serde_json::json!({"config": {"compatibility_level": "NONE"}});
        call(&gateways[0], "SetConfig", &none).await.unwrap();
        let done = futures::future::join_all((0..8).map(|writer| write(&gateways, writer))).await;
        let acknowledged: BTreeSet<_> = done.into_iter().flatten().collect();
        for gateway in &gateways {
            let all = call(gateway, "ListSchemas", &serde_json::json!({})).await.unwrap();
            let number = |one: &Value, name: &str| one["schema"][name].as_u64().unwrap();
            let told = |one: &Value| (one["schema"]["subject"].as_str().unwrap().to_owned(), number(one, "version"), number(one, "id"));
            assert_eq!(all.as_array().unwrap().iter().map(told).collect::<BTreeSet<_>>(), acknowledged);
        }
        let ids: BTreeSet<_> = acknowledged.iter().map(|(_, _, id)| *id).collect();
        // One that all have, four that each has under a subject of its own, and four of each.
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), (1..=1 + 4 + 32).collect::<Vec<_>>());
    }
}
