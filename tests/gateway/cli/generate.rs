use std::fs;

use test_support::{gateway::Gateway, http};

use super::{printed, prism, refused};

#[test]
fn draft_of_a_planned_pattern_is_generated() {
    let text = printed("generate config --draft --pattern=saga --slot=state:redis --slot=steps:nats --namespace=iot-devices");
    assert!(text.contains("namespaces:\n  - name: iot-devices\n    pattern: saga\n    pattern_version: v1\n"), "{text}");
    assert!(text.contains("      state:\n        backend: redis\n"), "{text}");
}

#[test]
fn configuration_that_cannot_run_is_refused_with_every_reason() {
    let complaint = refused("generate config --pattern=saga --slot=state:redis --slot=step:nats");
    assert!(complaint.contains("pattern `saga` is planned"), "{complaint}");
    assert!(complaint.contains("unknown slot `step`; did you mean `steps`?"), "{complaint}");
    assert!(complaint.contains("slot `steps` is empty"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:etcd");
    assert!(complaint.contains("there is no driver for etcd yet"), "{complaint}");
    let complaint = refused("generate config --pattern=keyvalue --slot=storage:neptune");
    assert!(complaint.contains("slot `storage` needs keyvalue_basic, which the neptune driver does not implement"), "{complaint}");
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage").code, Some(2));
    assert_eq!(prism("generate config --pattern=keyvalue --slot=storage:memory --namespace=Upper").code, Some(2));
}

#[test]
fn generated_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for backend in ["memory", "redis", "sqlite"] {
        let path = folder.path().join(format!("{backend}.yaml"));
        fs::write(&path, printed(&format!("generate config --pattern=keyvalue --slot=storage:{backend}"))).unwrap();
        let text = printed(&format!("validate {}", path.display()));
        assert!(text.contains(&format!("keyvalue_basic           ({backend} implements)")), "{text}");
    }
}

#[tokio::test]
async fn generated_configuration_runs() {
    let text = printed("generate config --pattern=keyvalue --slot=storage:sqlite --namespace=iot-devices");
    let gateway = Gateway::start(&text).await;
    let path = "/iot-devices/v1/values/greeting";
    let put = http::send(gateway.address, "PUT", path, &[], "hello").await.unwrap();
    assert_eq!(put.status, 200, "{}", put.text());
    let get = http::get(gateway.address, path).await.unwrap();
    assert_eq!((get.status, get.text()), (200, "hello"));
}
