//! What `pattern::build` refuses, and the content of the table of patterns.

use std::collections::BTreeMap;

use prism::{
    call::Method,
    pattern,
    proto::{self, Interfaces, options::v1::SlotRequirements},
    slot::Slot,
};

use super::{Bench, facts, memory, refusal};

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
async fn build_reports_problems_of_slots() {
    let storage = memory().await;
    let build = |name, slots| pattern::build(name, slots, &facts());
    assert!(build("keyvalue", slots(&[("storage", &storage)])).is_ok());
    assert_eq!(refusal(build("keyvalu", slots(&[]))), "INVALID_ARGUMENT UNKNOWN_PATTERN pattern");
    assert_eq!(refusal(build("keyvalue", slots(&[]))), "INVALID_ARGUMENT SLOT_EMPTY slots.storage");
    assert_eq!(
        refusal(build("keyvalue", slots(&[("storage", &storage), ("cache", &storage)]))),
        "INVALID_ARGUMENT UNKNOWN_SLOT slots.cache"
    );

    let mut bare = storage.clone();
    bare.interfaces.keyvalue_basic = None;
    let error = build("keyvalue", slots(&[("storage", &bare)])).err().unwrap();
    assert_eq!((error.reason(), error.get("interface"), error.get("backend")), ("INTERFACE_MISSING", Some("keyvalue_basic"), Some("ram")));
}

/// Returns the slot with only these interfaces, of those that patterns require.
fn reduced(full: &Slot, remaining: &[&str]) -> Slot {
    let Interfaces { keyvalue_basic, keyvalue_scan, keyvalue_cas, keyvalue_transactional, .. } = full.interfaces.clone();
    let interfaces = Interfaces {
        keyvalue_basic: keyvalue_basic.filter(|_| remaining.contains(&"keyvalue_basic")),
        keyvalue_scan: keyvalue_scan.filter(|_| remaining.contains(&"keyvalue_scan")),
        keyvalue_cas: keyvalue_cas.filter(|_| remaining.contains(&"keyvalue_cas")),
        keyvalue_transactional: keyvalue_transactional.filter(|_| remaining.contains(&"keyvalue_transactional")),
        ..Interfaces::default()
    };
    Slot { interfaces, ..full.clone() }
}

/// Every pattern has one slot. A pattern with several slots needs a loop here.
#[tokio::test]
async fn patterns_need_exactly_the_interfaces_that_their_protos_require() {
    let full = memory().await;
    for pattern in pattern::PATTERNS {
        let service = proto::descriptors().get_service_by_name(pattern.service).unwrap();
        let [SlotRequirements { name, required, any_of }] = &proto::slot_requirements(&service)[..] else { panic!("not one slot") };
        let build = |remaining: &[&str]| pattern::build(pattern.name, slots(&[(name, &reduced(&full, remaining))]), &facts());
        let required: Vec<_> = required.iter().map(String::as_str).collect();
        let choices: Vec<_> = any_of.iter().flat_map(|list| &list.interfaces).map(String::as_str).collect();
        for missing in &required {
            let remaining: Vec<_> = required.iter().chain(&choices).copied().filter(|interface| interface != missing).collect();
            let error = build(&remaining).err().unwrap();
            assert_eq!((error.reason(), error.get("interface")), ("INTERFACE_MISSING", Some(*missing)), "{}", pattern.name);
        }
        assert!(any_of.len() <= 1, "{}: this test chooses from one list", pattern.name);
        for choice in &choices {
            assert!(build(&[&required[..], &[choice]].concat()).is_ok(), "{} with {choice}", pattern.name);
        }
        let without_choices = build(&required).err().map(|error| error.reason().to_owned());
        assert_eq!(without_choices.as_deref(), (!choices.is_empty()).then_some("INTERFACE_MISSING"), "{}", pattern.name);
    }
}

#[tokio::test]
async fn limits_of_the_driver_apply_when_they_are_smaller() {
    use prism::proto::patterns::keyvalue::v1::{GetCapabilitiesRequest, GetCapabilitiesResponse, StoreRequest, StoreResponse};

    let mut slot = memory().await;
    slot.limits.max_key_bytes = 8;
    slot.limits.max_value_bytes = 4;
    let bench = Bench::over(slot);
    let response: GetCapabilitiesResponse = bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let limits = response.capabilities.unwrap().limits.unwrap();
    assert_eq!((limits.max_key_bytes, limits.max_value_bytes, limits.max_batch_items), (8, 4, 1000));
    assert_eq!((limits.max_message_bytes, limits.max_concurrent_calls, limits.max_transaction_operations), (4 << 20, 4096, 128));

    let store = |key: &str, value: &'static [u8]| StoreRequest { key: key.to_owned(), value: value.into(), ttl: None, flags: 0 };
    assert!(bench.call::<StoreResponse>("Store", store("12345678", b"1234")).await.is_ok());
    assert_eq!(refusal(bench.call::<StoreResponse>("Store", store("123456789", b"")).await), "INVALID_ARGUMENT INVALID_KEY key");
    assert_eq!(refusal(bench.call::<StoreResponse>("Store", store("1", b"12345")).await), "INVALID_ARGUMENT VALUE_TOO_LARGE value");
}
