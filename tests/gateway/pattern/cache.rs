//! KeyValue with the slot `cache`.

#[path = "../../../crates/slot/tests/layers/counting.rs"]
mod counting;

use std::{collections::BTreeMap, future::pending, sync::Arc, time::Duration};

use futures::future::join_all;
use prism::{
    call::{Context, Error},
    driver::{self, BackendSettings, Keyspace},
    pattern,
    proto::{
        Interfaces,
        models::keyvalue::v1::{
            self as model, DeleteRequest, DeleteResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest, SetResponse,
        },
        patterns::keyvalue::v1::{transact_operation::Operation, *},
    },
    slot::{Layer, Slot},
};
use serde_json::{Map, Value, json};
use test_support::poll;

use self::counting::Counting;
use super::{Bench, environment, keyvalue::store, refusal};

/// A namespace with a cache.
struct Cached {
    bench: Bench,
    /// Counts the calls of the storage.
    storage: Arc<Counting>,
    cache: Slot,
}

async fn slot(name: &str, layers: &[Arc<dyn Layer>]) -> Slot {
    let kind = driver::kind("memory").unwrap();
    let settings = BackendSettings { name: "ram".to_owned(), values: Map::new() };
    let backend = (kind.connect)(settings).await.unwrap();
    Slot::fill_with(&Keyspace { namespace: "test".to_owned(), slot: name.to_owned() }, "ram", kind.name, &*backend, layers)
}

impl Cached {
    async fn new(settings: Value) -> Self {
        Self::with(settings, |_| ()).await
    }

    async fn with(settings: Value, change: impl FnOnce(&mut Interfaces)) -> Self {
        let storage = Arc::new(Counting::default());
        let stored = slot("storage", &[storage.clone() as Arc<dyn Layer>]).await;
        let mut cache = slot("cache", &[]).await;
        change(&mut cache.interfaces);
        let Value::Object(settings) = json!({"cache": settings}) else { unreachable!() };
        let slots = BTreeMap::from([("storage".to_owned(), stored.clone()), ("cache".to_owned(), cache.clone())]);
        let pattern = pattern::find("keyvalue").unwrap();
        let handler = pattern.open(slots, &environment().with_settings(settings)).await.unwrap();
        Self { bench: Bench { service: pattern.service, handler, slot: stored }, storage, cache }
    }

    fn reads(&self) -> u32 {
        self.storage.count("keyvalue_basic.Get") + self.storage.count("keyvalue_batch.BatchGet")
    }

    /// What a read returns.
    async fn read(&self, key: &str) -> Option<String> {
        self.bench.retrieve(key).await.ok().map(|found| String::from_utf8(found.value.into()).unwrap())
    }

    async fn read_batch(&self, keys: &[&str]) -> Vec<Option<String>> {
        let request = RetrieveBatchRequest { keys: keys.iter().map(|key| (*key).to_owned()).collect() };
        let found: RetrieveBatchResponse = self.bench.call("RetrieveBatch", request).await.unwrap();
        found.results.into_iter().map(|result| result.entry.map(|entry| String::from_utf8(entry.value.into()).unwrap())).collect()
    }

    /// Removes the marks of changes, which stay for seconds.
    async fn forget_marks(&self, keys: &[&str]) {
        for key in keys {
            let key = bytes::Bytes::copy_from_slice(key.as_bytes());
            let basic = self.cache.interfaces.keyvalue_basic.as_ref().unwrap();
            basic.delete(&Context::internal("test"), DeleteRequest { key }).await.unwrap();
        }
    }

    /// Writes without the gateway.
    async fn write_elsewhere(&self, key: &'static str, value: &'static str) {
        let basic = self.bench.slot.interfaces.keyvalue_basic.as_ref().unwrap();
        let request = SetRequest { key: key.into(), value: value.into(), ttl: None, flags: 0 };
        basic.set(&Context::internal("test"), request).await.unwrap();
    }
}

/// Waits until a condition holds.
async fn wait_for(what: &str, is: impl AsyncFn() -> bool) {
    poll::until(what, || async { if is().await { Ok(()) } else { Err("not yet") } }).await;
}

#[tokio::test]
async fn repeated_reads_come_from_the_cache() {
    let cached = Cached::new(json!({"follow_changes": false})).await;
    cached.bench.store(StoreRequest { flags: 9, ..store("a", "1") }).await;
    cached.forget_marks(&["a"]).await;
    let before = cached.reads();
    let first = cached.bench.retrieve("a").await.unwrap();
    for _ in 0..5 {
        assert_eq!(cached.bench.retrieve("a").await.unwrap(), first, "a copy is the same as the original");
        assert_eq!(refusal(cached.bench.retrieve("absent").await), "NOT_FOUND KEY_NOT_FOUND");
    }
    assert_eq!(cached.reads() - before, 2, "each key is loaded once, also one that is absent");
    assert_eq!(cached.read_batch(&["a", "absent", "b", "a"]).await, [Some("1".to_owned()), None, None, Some("1".to_owned())]);
    assert_eq!(cached.reads() - before, 3, "a batch loads only what has no copy");
    assert_eq!(cached.read_batch(&["b"]).await, [None]);
    assert_eq!(cached.reads() - before, 3);
    let exists: ExistsResponse = cached.bench.call("Exists", ExistsRequest { key: "a".to_owned() }).await.unwrap();
    assert!(exists.exists);
    assert_eq!(cached.storage.count("keyvalue_basic.Exists"), 0);
}

#[tokio::test]
async fn one_of_many_calls_loads() {
    let cached = Cached::new(json!({"follow_changes": false})).await;
    cached.write_elsewhere("hot", "1").await;
    let found = join_all((0..100).map(|_| cached.read("hot"))).await;
    assert!(found.iter().all(|value| value.as_deref() == Some("1")));
    assert_eq!(cached.reads(), 1);
}

#[tokio::test]
async fn every_write_is_seen_at_once() {
    let cached = Cached::new(json!({"follow_changes": false})).await;
    let bench = &cached.bench;
    let (key, value) = ("k".to_owned(), bytes::Bytes::from_static(b"new"));
    let revision = async || bench.retrieve("k").await.map_or(0, |found| found.revision);
    // Puts a copy of the old value into the cache before each write.
    let prepare = async || {
        bench.store(store("k", "old")).await;
        cached.forget_marks(&["k"]).await;
        assert_eq!(cached.read("k").await.as_deref(), Some("old"));
    };
    prepare().await;
    bench.store(store("k", "new")).await;
    assert_eq!(cached.read("k").await.as_deref(), Some("new"));

    prepare().await;
    let _: RemoveResponse = bench.call("Remove", RemoveRequest { key: key.clone() }).await.unwrap();
    assert_eq!(cached.read("k").await, None);

    prepare().await;
    let _: StoreBatchResponse =
        bench.call("StoreBatch", StoreBatchRequest { items: vec![store("k", "new"), store("x", "")] }).await.unwrap();
    assert_eq!(cached.read_batch(&["k"]).await, [Some("new".to_owned())]);

    prepare().await;
    let _: RemoveBatchResponse = bench.call("RemoveBatch", RemoveBatchRequest { keys: vec![key.clone()] }).await.unwrap();
    assert_eq!(cached.read("k").await, None);

    prepare().await;
    let range = RemoveRangeRequest { prefix: "k".to_owned(), ..RemoveRangeRequest::default() };
    let _: RemoveRangeResponse = bench.call("RemoveRange", range).await.unwrap();
    assert_eq!(cached.read("k").await, None);

    prepare().await;
    let expected_revision = revision().await;
    let swap = CompareAndStoreRequest { key: key.clone(), value: value.clone(), expected_revision, ..CompareAndStoreRequest::default() };
    let _: CompareAndStoreResponse = bench.call("CompareAndStore", swap).await.unwrap();
    assert_eq!(cached.read("k").await.as_deref(), Some("new"));

    prepare().await;
    let expected_revision = revision().await;
    let remove = CompareAndRemoveRequest { key: key.clone(), expected_revision, ..CompareAndRemoveRequest::default() };
    let _: CompareAndRemoveResponse = bench.call("CompareAndRemove", remove).await.unwrap();
    assert_eq!(cached.read("k").await, None);

    prepare().await;
    let operation = TransactOperation { operation: Some(Operation::Store(store("k", "new"))) };
    let request = TransactRequest { then_operations: vec![operation], ..TransactRequest::default() };
    let _: TransactResponse = bench.call("Transact", request).await.unwrap();
    assert_eq!(cached.read("k").await.as_deref(), Some("new"));

    prepare().await;
    let ttl = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let _: SetExpirationResponse = bench.call("SetExpiration", SetExpirationRequest { key: key.clone(), ttl }).await.unwrap();
    assert!(bench.retrieve("k").await.unwrap().expire_time.is_some());
    cached.forget_marks(&["k"]).await;
    assert!(bench.retrieve("k").await.unwrap().expire_time.is_some());
    let _: ClearExpirationResponse = bench.call("ClearExpiration", ClearExpirationRequest { key }).await.unwrap();
    assert!(bench.retrieve("k").await.unwrap().expire_time.is_none());
}

#[tokio::test]
async fn an_entry_expires_in_the_cache_too() {
    let cached = Cached::new(json!({"follow_changes": false})).await;
    let mut request = store("k", "v");
    request.ttl = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    cached.bench.store(request).await;
    cached.forget_marks(&["k"]).await;
    assert_eq!(cached.read("k").await.as_deref(), Some("v"));
    tokio::time::sleep(Duration::from_millis(320)).await;
    assert_eq!(cached.read("k").await, None);
}

#[tokio::test]
async fn changes_by_others_are_noticed() {
    let cached = Cached::new(json!({})).await;
    // At the start, no copy is trusted for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for (written, value) in [("1", "1"), ("2", "2")] {
        cached.write_elsewhere("k", written).await;
        wait_for("the new value", async || cached.read("k").await.as_deref() == Some(value)).await;
    }
    let before = cached.reads();
    wait_for("a copy", async || {
        let reads = cached.reads();
        cached.read("k").await.is_some() && cached.reads() == reads
    })
    .await;
    assert!(cached.reads() > before);
}

#[tokio::test]
async fn without_a_watch_a_change_by_others_is_seen_after_the_ttl() {
    let cached = Cached::new(json!({"follow_changes": false, "ttl": "1s"})).await;
    cached.write_elsewhere("k", "1").await;
    assert_eq!(cached.read("k").await.as_deref(), Some("1"));
    cached.write_elsewhere("k", "2").await;
    assert_eq!(cached.read("k").await.as_deref(), Some("1"), "it has a copy");
    wait_for("the new value", async || cached.read("k").await.as_deref() == Some("2")).await;
}

#[tokio::test]
async fn large_values_are_not_kept() {
    let cached = Cached::new(json!({"follow_changes": false, "max_value_size": "64B"})).await;
    cached.write_elsewhere("small", "v").await;
    cached.write_elsewhere("large", "0123456789012345678901234567890123456789012345678901234567890123456789").await;
    for _ in 0..3 {
        assert!(cached.read("small").await.is_some() && cached.read("large").await.is_some());
    }
    assert_eq!(cached.reads(), 1 + 3);
}

/// A cache that never answers.
struct Silent;

#[async_trait::async_trait]
impl KeyValueBasic for Silent {
    async fn get(&self, _: &Context, _: GetRequest) -> Result<GetResponse, Error> {
        pending().await
    }

    async fn set(&self, _: &Context, _: SetRequest) -> Result<SetResponse, Error> {
        pending().await
    }

    async fn delete(&self, _: &Context, _: DeleteRequest) -> Result<DeleteResponse, Error> {
        pending().await
    }

    async fn exists(&self, _: &Context, _: model::ExistsRequest) -> Result<model::ExistsResponse, Error> {
        pending().await
    }
}

#[tokio::test]
async fn a_cache_that_does_not_answer_is_left_alone() {
    let silent = |interfaces: &mut Interfaces| interfaces.keyvalue_basic = Some(Arc::new(Silent));
    let cached = Cached::with(json!({"timeout": "20ms"}), silent).await;
    for value in ["1", "2", "3"] {
        cached.bench.store(store("k", value)).await;
        assert_eq!(cached.read("k").await.as_deref(), Some(value));
    }
}

#[tokio::test]
async fn capabilities_show_the_cache() {
    let cached = Cached::new(json!({})).await;
    let response: GetCapabilitiesResponse = cached.bench.call("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap();
    let slots = response.capabilities.unwrap().slots;
    let names: Vec<_> = slots.iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(names, ["storage", "cache", "messaging"]);
    assert_eq!(slots[0].layers, ["cache", "guard", "counting"]);
}
