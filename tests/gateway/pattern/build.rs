//! How patterns are opened: what is refused, settings, capabilities over several slots, and what the table of patterns says.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use prism::{
    call::{Context, Error, Handler, Input, Method, Reply},
    pattern::{self, Pattern, PatternEnvironment},
    proto::{
        self, Interfaces,
        options::v1::SlotRequirements,
        patterns::{
            schema_registry::v1::{RegisterSchemaRequest, Schema},
            slots::v1 as contract,
        },
    },
    slot::{Limits, Slot},
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Bench, environment, memory, refusal};

fn slots(named: &[(&str, &Slot)]) -> BTreeMap<String, Slot> {
    named.iter().map(|&(name, slot)| (name.to_owned(), slot.clone())).collect()
}

#[test]
fn every_pattern_serves_a_compiled_service() {
    for pattern in pattern::PATTERNS {
        assert!(
            Method::of_service(proto::descriptors(), pattern.service).is_some_and(|methods| !methods.is_empty()),
            "{}",
            pattern.service
        );
        assert_eq!(pattern::find(pattern.name).unwrap().service, pattern.service);
    }
}

#[tokio::test]
async fn open_reports_problems_of_slots() {
    let storage = memory().await;
    let open = async |slots| pattern::find("keyvalue").unwrap().open(slots, &environment()).await;
    assert!(open(slots(&[("storage", &storage)])).await.is_ok());
    assert_eq!(refusal(open(slots(&[])).await), "INVALID_ARGUMENT SLOT_EMPTY slots.storage");
    assert_eq!(refusal(open(slots(&[("storage", &storage), ("other", &storage)])).await), "INVALID_ARGUMENT UNKNOWN_SLOT slots.other");

    let mut bare = storage.clone();
    bare.interfaces.keyvalue_basic = None;
    let error = open(slots(&[("storage", &bare)])).await.err().unwrap();
    assert_eq!((error.reason(), error.get("interface"), error.get("backend")), ("INTERFACE_MISSING", Some("keyvalue_basic"), Some("ram")));
}

/// Returns the slot with only these interfaces, of those that patterns require.
fn reduced(full: &Slot, remaining: &[&str]) -> Slot {
    macro_rules! only {
        ($($interface:ident)+) => {
            Interfaces {
                $($interface: full.interfaces.$interface.clone().filter(|_| remaining.contains(&stringify!($interface))),)+
                ..Interfaces::default()
            }
        };
    }
    let interfaces = only! {
        blob_basic blob_list keyvalue_basic keyvalue_scan keyvalue_cas keyvalue_ttl keyvalue_transactional
        pubsub_basic queue_basic queue_visibility queue_dead_letter stream_basic
    };
    Slot { interfaces, ..full.clone() }
}

/// The interfaces that every driver with leases has too, so that no pattern has to name them beside it.
const WITH_LEASES: [&str; 2] = ["queue_basic", "queue_dead_letter"];

/// Returns the interfaces that a slot requires, with one of its choices.
fn names<'a>(slot: &'a SlotRequirements, choice: Option<&'a str>) -> Vec<&'a str> {
    let more = choice.filter(|choice| *choice == "queue_visibility").map(|_| WITH_LEASES);
    slot.required.iter().map(String::as_str).chain(choice).chain(more.into_iter().flatten()).collect()
}

#[tokio::test]
async fn patterns_need_exactly_the_interfaces_that_their_protos_require() {
    let full = memory().await;
    for pattern in pattern::PATTERNS {
        let service = proto::descriptors().get_service_by_name(pattern.service).unwrap();
        let requirements = proto::slot_requirements(&service);
        // With an outbox, the slot with the transactions needs more.
        let outbox = pattern::outbox_requirements(pattern.name);
        if let Some(needs) = outbox {
            for missing in needs.interfaces {
                let rest: Vec<_> = full.interfaces.names().into_iter().filter(|interface| *interface != missing).collect();
                let filled = slots(&[(needs.storage, &reduced(&full, &rest)), (needs.slot, &full)]);
                let error = pattern.open(filled, &environment()).await.err().unwrap();
                assert_eq!((error.reason(), error.get("interface")), ("INTERFACE_MISSING", Some(missing)), "{}", pattern.name);
            }
        }
        for slot in &requirements {
            // All other slots have everything, except that there is no outbox.
            let open = async |remaining: &[&str]| {
                let one = reduced(&full, remaining);
                // Queues and streams keep messages by themselves: beside them, the slot `durability` must be empty.
                let keeps_messages = slot.name == "messaging" && !remaining.contains(&"pubsub_basic");
                let is_outbox = |name: &str| outbox.is_some_and(|needs| needs.slot == name);
                let is_other = |other: &&SlotRequirements| {
                    other.name != slot.name && !(keeps_messages && other.name == "durability") && !is_outbox(&other.name)
                };
                let others = requirements.iter().filter(is_other).map(|other| (other.name.as_str(), &full));
                let filled: Vec<_> = others.chain([(slot.name.as_str(), &one)]).collect();
                pattern.open(slots(&filled), &environment()).await
            };
            let choices = slot.any_of.iter().flat_map(|list| &list.interfaces).map(String::as_str);
            let choices: Vec<_> = choices.chain(slot.any_interface.then_some("keyvalue_scan")).collect();
            for missing in &slot.required {
                let remaining: Vec<_> =
                    names(slot, None).into_iter().chain(choices.clone()).filter(|interface| interface != missing).collect();
                let error = open(&remaining).await.err().unwrap();
                assert_eq!((error.reason(), error.get("interface")), ("INTERFACE_MISSING", Some(missing.as_str())), "{}", pattern.name);
            }
            assert!(slot.any_of.len() <= 1, "{}: this test chooses from one list", pattern.name);
            for choice in &choices {
                assert!(open(&names(slot, Some(choice))).await.is_ok(), "{} with {choice}", pattern.name);
            }
            let without_choices = open(&names(slot, None)).await.err().map(|error| error.reason().to_owned());
            assert_eq!(without_choices.as_deref(), (!choices.is_empty()).then_some("INTERFACE_MISSING"), "{}", pattern.name);
        }
    }
}

#[tokio::test]
async fn limits_of_the_driver_apply_when_they_are_smaller() {
    use prism::proto::patterns::keyvalue::v1::{GetCapabilitiesRequest, GetCapabilitiesResponse, StoreRequest, StoreResponse};

    let mut slot = memory().await;
    slot.limits.max_key_bytes = 8;
    slot.limits.max_value_bytes = 4;
    let bench = Bench::over(slot).await;
    let response: GetCapabilitiesResponse = bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let limits = response.capabilities.unwrap().limits.unwrap();
    assert_eq!((limits.max_key_bytes, limits.max_value_bytes, limits.max_batch_items), (8, 4, 1000));
    assert_eq!((limits.max_message_bytes, limits.max_concurrent_calls, limits.max_transaction_operations), (4 << 20, 4096, 128));

    let store = |key: &str, value: &'static [u8]| StoreRequest { key: key.to_owned(), value: value.into(), ttl: None, flags: 0 };
    assert!(bench.call::<StoreResponse>("Store", store("12345678", b"1234")).await.is_ok());
    assert_eq!(refusal(bench.call::<StoreResponse>("Store", store("123456789", b"")).await), "INVALID_ARGUMENT INVALID_KEY key");
    assert_eq!(refusal(bench.call::<StoreResponse>("Store", store("1", b"12345")).await), "INVALID_ARGUMENT VALUE_TOO_LARGE value");
}

#[tokio::test]
async fn settings_are_checked() {
    let storage = memory().await;
    let open = async |name: &str, settings: Value| {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let pattern = pattern::find(name).unwrap();
        let checked = (pattern.check)(&settings).is_ok();
        let opened = pattern.open(slots(&[("storage", &storage)]), &environment().with_settings(settings)).await;
        assert_eq!(checked, opened.is_ok(), "a start and its check differ");
        opened
    };
    for settings in [json!({}), json!({"max_schema_bytes": "2KiB", "parsed_schemas": 1, "snapshot_interval": "10", "max_age": "1m"})] {
        assert!(open("schema-registry", settings).await.is_ok());
    }
    let registry = open("schema-registry", json!({"max_schema_bytes": 10})).await.unwrap();
    let methods = Method::of_service(proto::descriptors(), pattern::schema_registry::PATTERN.service).unwrap();
    let method = methods.iter().find(|method| method.name == "RegisterSchema").unwrap();
    for (text, accepted) in [("\"string\"", true), ("\"string\"   ", false)] {
        let schema = Schema { schema: text.to_owned(), ..Schema::default() };
        let request = RegisterSchemaRequest { subject: "a".to_owned(), schema: Some(schema), ..RegisterSchemaRequest::default() };
        let input = Input::One(request.encode_to_vec().into());
        assert_eq!(registry.handle(&Context::internal("test"), method, input).await.is_ok(), accepted, "{text}");
    }
    for (name, settings, field) in [
        ("keyvalue", json!({"zzz": 1}), "settings.zzz"),
        ("schema-registry", json!({"zzz": 1}), "settings.zzz"),
        ("schema-registry", json!({"snapshot_interval": 0}), "settings.snapshot_interval"),
        ("schema-registry", json!({"parsed_schemas": 65_537}), "settings.parsed_schemas"),
        ("schema-registry", json!({"max_schema_bytes": "17MiB"}), "settings.max_schema_bytes"),
        ("schema-registry", json!({"max_age": "0s"}), "settings.max_age"),
    ] {
        assert_eq!(refusal(open(name, settings).await), format!("INVALID_ARGUMENT INVALID_FIELD {field}"));
    }
}

/// A pattern with two slots, of which one may be empty. It does nothing but say what it can do.
const PAIR: Pattern = Pattern {
    name: "pair",
    version: "v1",
    service: "prism.patterns.pair.v1.PairService",
    interface_services: &[],
    schema: pattern::keyvalue::PATTERN.schema,
    check: pattern::keyvalue::PATTERN.check,
    open_handler: |slots, environment| {
        Box::pin(async {
            let storage = slots.required("storage")?;
            let messaging = slots.optional("messaging");
            let max_value_bytes = messaging.map_or(u64::MAX, |slot| slot.limits.max_value_bytes).min(storage.limits.max_value_bytes);
            let limits = Limits { max_value_bytes, ..storage.limits };
            Ok(Arc::new(Pair(slots.capabilities(&limits, 0, environment))) as Arc<dyn Handler>)
        })
    },
};

struct Pair(pattern::NamespaceCapabilities);

#[async_trait]
impl Handler for Pair {
    async fn handle(&self, _: &Context, _: &Method, _: Input) -> Result<Reply, Error> {
        Ok(prism::call::Output::One(self.0.describe().encode_to_vec().into()).into())
    }
}

/// The capabilities of the pair over these slots.
async fn pair(filled: &[(&str, &Slot)]) -> Result<contract::Capabilities, Error> {
    let handler = PAIR.open(slots(filled), &environment()).await?;
    let methods = Method::of_service(proto::descriptors(), pattern::keyvalue::PATTERN.service).unwrap();
    match handler.handle(&Context::internal("test"), &methods[0], Input::One(bytes::Bytes::new())).await?.output {
        prism::call::Output::One(message) => Ok(contract::Capabilities::decode(message.to_bytes()).unwrap()),
        prism::call::Output::Stream(_) => panic!("a stream"),
    }
}

#[tokio::test]
async fn capabilities_list_every_slot_with_its_own_interfaces() {
    let storage = reduced(&memory().await, &["keyvalue_basic", "keyvalue_scan"]);
    let mut messaging = Slot { backend: "nats-main".to_owned(), interfaces: Interfaces::default(), ..memory().await };
    messaging.interfaces.pubsub_basic = memory().await.interfaces.pubsub_basic;
    messaging.limits.max_value_bytes = 7;
    let told = pair(&[("storage", &storage), ("messaging", &messaging)]).await.unwrap();
    let slots: Vec<_> = told.slots.iter().map(|slot| (&*slot.name, &*slot.backend, slot.interfaces.join(" "))).collect();
    let basic_and_scan = "keyvalue_basic keyvalue_scan".to_owned();
    assert_eq!(slots, [("messaging", "nats-main", "pubsub_basic".to_owned()), ("storage", "ram", basic_and_scan)]);
    assert_eq!((told.pattern.as_str(), told.limits.unwrap().max_value_bytes), ("pair", 7));
    assert_eq!(pair(&[("storage", &storage)]).await.unwrap().slots.len(), 1);
    assert_eq!(refusal(pair(&[("messaging", &messaging)]).await), "INVALID_ARGUMENT SLOT_EMPTY slots.storage");
    assert_eq!(refusal(pair(&[("storage", &storage), ("other", &storage)]).await), "INVALID_ARGUMENT UNKNOWN_SLOT slots.other");
}

#[tokio::test]
async fn background_tasks_end_with_the_handler() {
    let environment: PatternEnvironment = environment();
    let handler = pattern::find("schema-registry").unwrap().open(slots(&[("storage", &memory().await)]), &environment).await.unwrap();
    handler.close().await;
    environment.tasks.end().await;
    assert!(environment.tasks.tracker().is_empty() && environment.tasks.shutdown().is_cancelled());
}
