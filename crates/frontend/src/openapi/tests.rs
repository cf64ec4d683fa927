//! Tests of the documents that are generated from the contracts.

use serde_json::Value;

use super::*;
use prism_call::{
    Method,
    proto::patterns::slots::v1::{Capabilities, Limits, Operation, Support},
};

const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

fn document() -> Value {
    generate(&Method::of_service(proto::descriptors(), SERVICE).unwrap()).unwrap()
}

fn capabilities(unavailable: &[&str], emulated: &[&str]) -> Capabilities {
    let service = proto::descriptors().get_service_by_name(SERVICE).unwrap();
    let support = |rpc: &str| match rpc {
        rpc if unavailable.contains(&rpc) => Support::Unavailable,
        rpc if emulated.contains(&rpc) => Support::Emulated,
        _ => Support::Native,
    };
    let operation = |rpc: &str| Operation {
        rpc: rpc.to_owned(),
        support: support(rpc).into(),
        interface: "keyvalue_x".to_owned(),
        slot: "storage".to_owned(),
        note: if emulated.contains(&rpc) { "by keyvalue_y: slower".to_owned() } else { String::new() },
    };
    Capabilities {
        pattern_version: "v1".to_owned(),
        operations: service.methods().map(|method| operation(method.name())).collect(),
        limits: Some(Limits { max_key_bytes: 100, max_batch_items: 5000, ..Limits::default() }),
        ..Capabilities::default()
    }
}

const PLACE: ServedAt<'static> = ServedAt { base_path: "/kv", namespace: "sessions" };

fn ids(document: &Value) -> Vec<&str> {
    let operations = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    operations.map(|operation| operation["operationId"].as_str().unwrap()).collect()
}

#[test]
fn every_route_is_an_operation_with_a_unique_id() {
    let document = document();
    let mut ids = ids(&document);
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    for id in ["Store", "StoreAtKeys", "Retrieve", "RetrieveAtKeys", "RemoveAtValues", "GetCapabilities", "Transact"] {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
    assert_eq!(document["paths"]["/v1/values/{key}"]["put"]["x-prism-rpc"][0], "Store");
}

#[test]
fn requests_and_replies_have_separate_schemas_only_if_they_differ() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let name = |short: &str| format!("prism.patterns.keyvalue.v1.{short}");
    assert_eq!(schemas[&name("StoreRequest")]["additionalProperties"], false);
    assert_eq!(schemas[&name("StoreResponse")]["properties"]["revision"]["type"], "string");
    assert!(!schemas.keys().any(|name| name.ends_with("-Input")), "{:?}", schemas.keys());
    let ttl = &schemas[&name("StoreRequest")]["properties"]["ttl"];
    assert_eq!(ttl["type"], serde_json::json!(["string", "null"]));
}

#[test]
fn all_references_resolve() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    assert!(root.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
                }
                object.values().for_each(|value| walk(value, root));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
    let tailored = tailor(document, &capabilities(&["Scan"], &[]), PLACE);
    walk(&tailored, &tailored);
}

#[test]
fn tailoring_keeps_only_supported_operations() {
    let document = tailor(document(), &capabilities(&["Transact", "Scan"], &["StoreBatch"]), PLACE);
    let ids = ids(&document);
    assert!(!ids.contains(&"Transact") && !ids.contains(&"Scan") && ids.contains(&"Count"), "{ids:?}");
    assert!(document["paths"].get("/v1/transactions").is_none());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(!schemas.keys().any(|name| name.contains("Transact") || name.contains("Condition")), "{:?}", schemas.keys());
    let batch = &document["paths"]["/v1/batch:store"]["post"];
    assert_eq!(batch["x-prism-support"], "emulated");
    assert!(batch["description"].as_str().unwrap().ends_with("Emulated in this namespace: by keyvalue_y: slower."));
    assert!(document["paths"]["/v1/count"]["get"].get("x-prism-support").is_none());
    assert_eq!(document["servers"][0]["url"], "/kv");
    assert_eq!(document["info"]["title"], "KeyValue: sessions");
}

#[test]
fn tighter_limits_of_the_namespace_replace_bounds() {
    let document = tailor(document(), &capabilities(&[], &[]), PLACE);
    let key = &document["paths"]["/v1/keys/{key}"]["put"]["parameters"][0]["schema"];
    assert_eq!((&key["minLength"], &key["maxLength"]), (&1.into(), &100.into()));
    let items = &document["components"]["schemas"]["prism.patterns.keyvalue.v1.StoreBatchRequest"]["properties"]["items"];
    assert_eq!(items["maxItems"], 1000);
    assert!(!document.to_string().contains(LIMIT));
}

#[test]
fn documents_can_be_generated_for_any_service() {
    let pool = &*crate::tests::POOL;
    let service = format!("{}.TranscodingService", crate::tests::PACKAGE);
    let document = generate(&Method::of_service(pool, &service).unwrap()).unwrap();
    assert!(document["paths"].as_object().unwrap().len() > 5);
    assert!(generate(&[]).is_none());
}
