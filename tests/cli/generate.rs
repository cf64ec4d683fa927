use super::{printed, prism, refused};

#[test]
fn a_draft_of_the_guides_example() {
    let text =
        printed("generate config --draft --pattern=multicast-registry --slot=registry:redis --slot=messaging:nats --namespace=iot-devices");
    assert!(text.contains("namespaces:\n  - name: iot-devices\n    pattern: multicast-registry\n    pattern_version: v1\n"), "{text}");
    assert!(text.contains("      registry:\n        backend: redis\n"), "{text}");
}

#[test]
fn what_cannot_run_is_refused_with_every_reason() {
    let complaint = refused("generate config --pattern=multicast-registry --slot=registry:redis --slot=mesaging:nats");
    assert!(complaint.contains("pattern `multicast-registry` is planned"), "{complaint}");
    assert!(complaint.contains("unknown slot `mesaging`; did you mean `messaging`?"), "{complaint}");
    assert!(complaint.contains("slot `messaging` is empty"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:postgres");
    assert!(complaint.contains("there is no driver for postgres yet"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:neptune");
    assert!(complaint.contains("slot `storage` needs keyvalue_basic, which the neptune driver does not implement"), "{complaint}");
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage").code, Some(2));
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage:memory --namespace=Upper").code, Some(2));
}
