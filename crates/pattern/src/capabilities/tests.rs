use super::*;
use crate::PATTERNS;
use prism_call::proto::options::v1::{Alternative, OptionalPart};

#[test]
fn every_rpc_is_described_in_the_order_of_the_service() {
    for pattern in PATTERNS {
        let rpcs: Vec<_> = pattern.methods().iter().map(|method| method.label.clone()).collect();
        let described: Vec<_> =
            operations(pattern.service, pattern.interface_services, &[]).into_iter().map(|operation| operation.rpc).collect();
        assert!(!rpcs.is_empty());
        assert_eq!(described, rpcs, "{}", pattern.name);
    }
}

fn slot(name: &str, kind: &str, interfaces: &[&str]) -> Slot {
    let interfaces = interfaces.iter().map(|&interface| interface.to_owned()).collect();
    Slot { name: name.to_owned(), backend: kind.to_owned(), kind: kind.to_owned(), interfaces, ..Slot::default() }
}

fn alternative(steps: &[(&str, &str)], interface: &str, emulation: &str) -> Alternative {
    let step = |&(slot, interface): &(&str, &str)| Step { slot: slot.to_owned(), interface: interface.to_owned(), ..Step::default() };
    Alternative { steps: steps.iter().map(step).collect(), interface: interface.to_owned(), emulation: emulation.to_owned() }
}

/// An RPC of a pattern with two slots: it stores a value, and publishes the change.
fn publish() -> Implementation {
    let steps = [("storage", "keyvalue_basic"), ("messaging", "pubsub_basic")];
    let by_stream = [("storage", "keyvalue_basic"), ("messaging", "stream_basic")];
    let alternatives = vec![alternative(&steps, "pubsub_basic", ""), alternative(&by_stream, "stream_basic", "subscribers poll a stream")];
    let part = OptionalPart { field: "ttl".to_owned(), slot: "storage".to_owned(), interface: "keyvalue_ttl".to_owned() };
    Implementation { alternatives, optional_parts: vec![part], ..Implementation::default() }
}

/// Support, slot, interface and note.
fn described(slots: &[Slot]) -> (Support, String, String, String) {
    let found = operation("Publish".to_owned(), &publish(), slots);
    (found.support(), found.slot, found.interface, found.note)
}

#[test]
fn each_slot_counts_for_itself() {
    let messaging = |interfaces: &[&str]| slot("messaging", "nats", interfaces);
    let storage = |interfaces: &[&str]| slot("storage", "redis", interfaces);
    for (slots, support, slot, interface, note) in [
        ([storage(&["keyvalue_basic", "keyvalue_ttl"]), messaging(&["pubsub_basic"])], Support::Native, "messaging", "pubsub_basic", ""),
        // An interface in the other slot does not help.
        (
            [storage(&["keyvalue_basic", "pubsub_basic", "keyvalue_ttl"]), messaging(&[])],
            Support::Unavailable,
            "messaging",
            "pubsub_basic",
            "the driver of kind nats in the slot `messaging` does not implement pubsub_basic",
        ),
        (
            [storage(&["keyvalue_basic"]), messaging(&["pubsub_basic", "keyvalue_ttl"])],
            Support::Native,
            "messaging",
            "pubsub_basic",
            "without ttl, which needs keyvalue_ttl in the slot `storage`",
        ),
        (
            [storage(&["keyvalue_basic", "keyvalue_ttl"]), messaging(&["stream_basic"])],
            Support::Emulated,
            "messaging",
            "pubsub_basic",
            "by stream_basic in the slot `messaging`: subscribers poll a stream",
        ),
        // The main step is possible, so the step that is missing is named.
        (
            [storage(&[]), messaging(&["pubsub_basic"])],
            Support::Unavailable,
            "storage",
            "keyvalue_basic",
            "the driver of kind redis in the slot `storage` does not implement keyvalue_basic",
        ),
        (
            [storage(&["keyvalue_basic"]), Slot { name: "messaging".to_owned(), ..Slot::default() }],
            Support::Unavailable,
            "messaging",
            "pubsub_basic",
            "the slot `messaging`, which would need pubsub_basic, is empty",
        ),
    ] {
        assert_eq!(described(&slots), (support, slot.to_owned(), interface.to_owned(), note.to_owned()), "{slots:?}");
    }
}
