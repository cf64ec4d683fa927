//! Tools from the contracts that come with Prism.

use std::{collections::BTreeSet, sync::Arc};

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::{McpSettings, ResourceSet, ToolSet, has_resources, names, unknown_rpcs};
use prism_call::{
    Method,
    proto::{
        self,
        patterns::slots::v1::{Capabilities, Limits, Operation, Support},
    },
};
use prism_settings::CheckSettings as _;

fn methods(service: &str) -> Vec<Arc<Method>> {
    Method::of_service(proto::descriptors(), service).unwrap()
}

fn keyvalue() -> Vec<Arc<Method>> {
    methods("prism.patterns.keyvalue.v1.KeyValueService")
}

fn tools(methods: &[Arc<Method>], settings: Value) -> Vec<Tool> {
    let settings: McpSettings = serde_json::from_value(settings).unwrap();
    let operation = |rpc: &str, support: Support, note: &str| Operation {
        rpc: rpc.to_owned(),
        support: support.into(),
        note: note.to_owned(),
        ..Operation::default()
    };
    let capabilities = Capabilities {
        operations: vec![operation("Count", Support::Emulated, "it scans"), operation("Transact", Support::Unavailable, "")],
        limits: Some(Limits { max_batch_items: 50, ..Limits::default() }),
        ..Capabilities::default()
    };
    ToolSet::new("demo", methods, &capabilities, &settings).iter().map(|tool| tool.tool.clone()).collect()
}

fn named<'t>(tools: &'t [Tool], name: &str) -> &'t Tool {
    tools.iter().find(|tool| tool.name == name).unwrap_or_else(|| panic!("no tool {name}"))
}

/// All services of patterns.
fn services() -> impl Iterator<Item = String> {
    let services = proto::descriptors().services().map(|service| service.full_name().to_owned());
    services.filter(|name| name.starts_with("prism.patterns."))
}

#[test]
fn tools_have_hints_and_descriptions_from_the_contract() {
    let tools = tools(&keyvalue(), json!({}));
    let hints = |name: &str| {
        let hints = named(&tools, name).annotations.clone().unwrap();
        [hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint].map(Option::unwrap)
    };
    assert_eq!(hints("retrieve"), [true, false, true]);
    assert_eq!(hints("store"), [false, true, true]);
    assert_eq!(hints("compare_and_store"), [false, true, false]);
    let producer = self::tools(&methods("prism.patterns.producer.v1.ProducerService"), json!({}));
    let publish = named(&producer, "publish").annotations.clone().unwrap();
    assert_eq!((publish.destructive_hint, publish.idempotent_hint), (Some(false), Some(false)));
    // A tool has one set of arguments.
    assert!(producer.iter().all(|tool| tool.name != "publish_stream"));
    assert_eq!(named(&tools, "compare_and_store").title.as_deref(), Some("Compare and store"));
    let count = named(&tools, "count").description.clone().unwrap();
    assert!(count.ends_with("Emulated in this namespace: it scans."), "{count}");
    assert!(named(&tools, "scan").description.clone().unwrap().contains("Returns up to 100 items. If `truncated`"));
    assert!(tools.iter().all(|tool| tool.name != "transact"));
}

#[test]
fn schemas_are_in_a_form_that_models_and_clients_take() {
    for service in services() {
        for tool in tools(&methods(&service), json!({})) {
            let input = Value::Object((*tool.input_schema).clone());
            let output = Value::Object((*tool.output_schema.clone().unwrap()).clone());
            for schema in [&input, &output] {
                assert_eq!(schema["type"], "object", "{}: {schema}", tool.name);
                let text = schema.to_string();
                for never in ["#/components", "x-prism", "contentEncoding", "\"format\":\"uint", "18446744073709551615"] {
                    assert!(!text.contains(never), "{}: {never} in {text}", tool.name);
                }
                assert!(["anyOf", "allOf", "oneOf"].iter().all(|keyword| schema.get(*keyword).is_none()), "{}: {text}", tool.name);
            }
            assert_eq!(input["additionalProperties"], false, "{}", tool.name);
        }
    }
    let tools = tools(&keyvalue(), json!({}));
    let store = named(&tools, "store");
    assert_eq!(store.input_schema["properties"]["value"]["type"], json!(["string", "object", "null"]));
    assert_eq!(store.input_schema["required"], json!(["key"]));
    assert_eq!(named(&tools, "retrieve_batch").input_schema["properties"]["keys"]["maxItems"], 50);
    let scan = named(&tools, "scan").output_schema.clone().unwrap();
    assert_eq!(scan["properties"]["items"]["items"]["properties"]["value"]["type"], json!(["string", "object"]));
    assert!(scan["properties"].get("nextCursor").is_some());
}

#[test]
fn every_tool_of_every_pattern_has_a_name_that_clients_take() {
    for service in services() {
        let methods = methods(&service);
        let tools = tools(&methods, json!({}));
        let names: BTreeSet<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
        assert!(names.len() == tools.len() && names.iter().all(|name| names::is_tool_name(name)), "{names:?}");
        assert_eq!(unknown_rpcs(&McpSettings::default(), &methods), []);
    }
}

#[test]
fn settings_choose_and_name_tools() {
    let names = |settings: Value| tools(&keyvalue(), settings).iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(json!({"allow": ["Retrieve", "Compare*"]})), ["retrieve", "compare_and_store", "compare_and_remove"]);
    assert_eq!(names(json!({"allow": ["*Batch"], "deny": ["Remove*"]})), ["store_batch", "retrieve_batch"]);
    assert_eq!(names(json!({"allow": ["Store", "Exists"], "read_only": true})), ["exists"]);
    let own = json!({"allow": ["Retrieve"], "tools": {"Retrieve": {"name": "read_note", "title": "Read", "description": "Reads a note."}}});
    let tools = tools(&keyvalue(), own);
    assert_eq!(
        (&*tools[0].name, tools[0].title.as_deref(), tools[0].description.as_deref()),
        ("read_note", Some("Read"), Some("Reads a note."))
    );
}

#[test]
fn mistakes_in_settings_are_reported() {
    let settings: McpSettings = serde_json::from_value(json!({
        "allow": ["Retreive", "Store"],
        "deny": ["X*"],
        "tools": {"Scan": {"name": "store"}, "Stor": {}},
    }))
    .unwrap();
    let problems = unknown_rpcs(&settings, &keyvalue());
    let texts: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.setting, problem.kind)).collect();
    assert_eq!(texts[0], "allow has `Retreive`, but the pattern has no such RPC; did you mean `Retrieve`?");
    assert!(texts[1].starts_with("deny has `X*`") && texts[2].starts_with("tools has `Stor`"), "{texts:?}");
    let twice: McpSettings = serde_json::from_value(json!({"tools": {"Scan": {"name": "store"}}})).unwrap();
    assert_eq!(unknown_rpcs(&twice, &keyvalue())[0].kind.to_string(), "gives two tools the name `store`");
    let bad: McpSettings = serde_json::from_value(json!({"tools": {"Scan": {"name": "a b"}}, "stream_wait": "2m"})).unwrap();
    assert_eq!(bad.check().iter().map(|problem| problem.setting.as_str()).collect::<Vec<_>>(), ["tools.Scan.name", "stream_wait"]);
}

#[test]
fn lists_of_resources_continue_at_their_own_cursors_only() {
    let (settings, subjects) = (McpSettings::default(), methods("prism.patterns.schema_registry.v1.SchemaRegistryService"));
    let resources = ResourceSet::new("demo", &subjects, &settings, |_| true).unwrap();
    let rpc = resources.list_rpc().unwrap();
    assert!(["", "0", "100"].iter().all(|cursor| resources.list_request(rpc, cursor).is_ok()));
    assert!(["x", "-1", "18446744073709551615"].iter().all(|cursor| resources.list_request(rpc, cursor).is_err()));
}

#[test]
fn resources_need_the_rpc_that_reads_them() {
    let may = |service: &str, settings: Value| has_resources(&methods(service), &serde_json::from_value(settings).unwrap());
    let keyvalue = "prism.patterns.keyvalue.v1.KeyValueService";
    assert!(may(keyvalue, json!({})) && may(keyvalue, json!({"deny": ["Scan"]})));
    assert!(!may(keyvalue, json!({"deny": ["Retrieve"]})) && !may("prism.patterns.producer.v1.ProducerService", json!({})));
}

#[test]
fn names_of_rpcs_become_names_of_tools() {
    let all = proto::INTERFACE_SERVICES.to_vec();
    let methods = Method::of_services(proto::all_descriptors(), &all).unwrap();
    let names: Vec<String> = methods.iter().map(|method| names::tool_name(method)).collect();
    assert!(names.contains(&"queue_basic_enqueue".to_owned()) && names.contains(&"keyvalue_ttl_get_ttl".to_owned()));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| names::is_tool_name(name)), "{names:?}");
    let enqueue = methods.iter().find(|method| method.label == "queue_basic.Enqueue").unwrap();
    for (pattern, expected) in [("queue_basic.*", true), ("*Enqueue", true), ("*", true), ("Enqueue", false), ("queue*.Deq*", false)] {
        assert_eq!(names::chooses(pattern, enqueue), expected, "{pattern}");
    }
}
