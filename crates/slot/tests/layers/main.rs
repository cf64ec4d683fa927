//! Layers over the memory driver. Each layer is one small file.

mod adding;
mod counting;
mod delaying;
mod overriding;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use prism_call::{
    Code, Context,
    proto::{
        Interfaces,
        models::keyvalue::v1::{BatchGetRequest, BatchSetItem, BatchSetRequest, ExistsRequest, GetRequest, ScanRequest, SetRequest},
    },
};
use prism_driver::{BackendSettings, Keyspace};
use prism_slot::{LAYERS, Layer, Slot};

use adding::Adding;
use counting::Counting;
use delaying::Delaying;
use overriding::Overriding;

/// Makes the memory driver look like a driver that has only `keyvalue_basic`.
struct OnlyBasic;

impl Layer for OnlyBasic {
    fn name(&self) -> &'static str {
        "only-basic"
    }

    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces {
        Interfaces { keyvalue_basic: interfaces.keyvalue_basic, ..Interfaces::default() }
    }
}

async fn slot(layers: &[Arc<dyn Layer>]) -> Slot {
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (prism_driver_memory::KIND.connect)(settings).await.unwrap();
    let keyspace = Keyspace { namespace: "test".to_owned(), slot: "storage".to_owned() };
    Slot::fill_with(&keyspace, "ram", "memory", &*backend, layers)
}

fn context() -> Context {
    Context::internal("test")
}

async fn set(slot: &Slot, key: &'static str) {
    let request = SetRequest { key: key.into(), value: "value".into(), ..SetRequest::default() };
    slot.interfaces.keyvalue_basic.as_ref().unwrap().set(&context(), request).await.unwrap();
}

async fn get(slot: &Slot, key: &'static str) -> Option<String> {
    let request = GetRequest { key: key.into() };
    let entry = slot.interfaces.keyvalue_basic.as_ref().unwrap().get(&context(), request).await.unwrap().entry;
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

#[tokio::test]
async fn every_slot_has_the_layers_of_the_table() {
    let slot = slot(&[]).await;
    assert_eq!(slot.layers, ["guard"]);
    assert!(LAYERS.iter().rev().map(|kind| kind.name).eq(slot.layers));
}

#[tokio::test]
async fn counting_sees_each_operation() {
    let counting = Arc::new(Counting::default());
    let layer: Arc<dyn Layer> = counting.clone();
    let slot = slot(&[layer]).await;
    set(&slot, "a").await;
    set(&slot, "b").await;
    assert_eq!(get(&slot, "a").await.unwrap(), "value");
    let scan = slot.interfaces.keyvalue_scan.as_ref().unwrap().scan(&context(), ScanRequest::default()).await.unwrap();
    assert_eq!(scan.count().await, 2);
    let counts = ["keyvalue_basic.Set", "keyvalue_basic.Get", "keyvalue_scan.Scan", "keyvalue_basic.Delete"];
    assert_eq!(counts.map(|operation| counting.count(operation)), [2, 1, 1, 0]);
    assert_eq!(slot.layers, ["guard", "counting"]);
}

#[tokio::test]
async fn the_guard_limits_the_time_of_all_layers() {
    let slot = slot(&[Arc::new(Delaying(Duration::from_millis(100)))]).await;
    let began = Instant::now();
    set(&slot, "a").await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    let short = context().with_timeout(Duration::from_millis(20));
    let basic = slot.interfaces.keyvalue_basic.as_ref().unwrap();
    let error = basic.get(&short, GetRequest { key: "a".into() }).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    let names = ["backend", "slot", "operation"].map(|name| error.get(name));
    assert_eq!(names, [Some("ram"), Some("storage"), Some("keyvalue_basic.Get")]);
}

#[tokio::test]
async fn a_layer_can_add_an_interface() {
    assert_eq!(slot(&[Arc::new(OnlyBasic)]).await.interfaces.names(), ["keyvalue_basic"]);
    let slot = slot(&[Arc::new(OnlyBasic), Arc::new(Adding)]).await;
    assert_eq!(slot.interfaces.names(), ["keyvalue_basic", "keyvalue_batch"]);
    assert_eq!(slot.layers, ["guard", "adding", "only-basic"]);
    let batch = slot.interfaces.keyvalue_batch.as_ref().unwrap();
    let items = vec![BatchSetItem { key: "a".into(), value: "value".into(), ..BatchSetItem::default() }];
    batch.batch_set(&context(), BatchSetRequest { items }).await.unwrap();
    assert_eq!(get(&slot, "a").await.unwrap(), "value");
    let results = batch.batch_get(&context(), BatchGetRequest { keys: vec!["a".into(), "b".into()] }).await.unwrap().results;
    assert_eq!(results.iter().map(|result| result.entry.is_some()).collect::<Vec<_>>(), [true, false]);
    // The guard is outside of the layer, so it also names the added interface in errors.
    let error = batch.batch_get(&context(), BatchGetRequest { keys: vec!["".into()] }).await.unwrap_err();
    assert_eq!((error.code(), error.get("operation")), (Code::InvalidArgument, Some("keyvalue_batch.BatchGet")));
}

#[tokio::test]
async fn a_layer_can_override_one_rpc() {
    let slot = slot(&[Arc::new(Overriding("default"))]).await;
    set(&slot, "a").await;
    assert_eq!((get(&slot, "a").await.unwrap(), get(&slot, "b").await.unwrap()), ("value".to_owned(), "default".to_owned()));
    let basic = slot.interfaces.keyvalue_basic.as_ref().unwrap();
    assert!(!basic.exists(&context(), ExistsRequest { key: "b".into() }).await.unwrap().exists);
}
