//! Native and emulated operations give the same results. Operations that are unavailable are refused, and the capabilities list them as
//! unavailable.

use prism::proto::{
    Interfaces,
    patterns::{
        keyvalue::v1::*,
        slots::v1::{Capabilities, Support},
    },
};

use super::{Bench, keyvalue::store, refusal};

fn batch(items: usize) -> Vec<StoreRequest> {
    (0..items).map(|number| store(&format!("key {number:04}"), "value")).collect()
}

async fn capabilities(bench: &Bench) -> Capabilities {
    bench.call::<GetCapabilitiesResponse>("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap().capabilities.unwrap()
}

async fn supports(bench: &Bench, wanted: Support) -> Vec<String> {
    let operations = capabilities(bench).await.operations;
    operations.into_iter().filter(|operation| operation.support() == wanted).map(|operation| operation.rpc).collect()
}

pub fn no_batch(interfaces: &mut Interfaces) {
    interfaces.keyvalue_batch = None;
}

fn no_cas(interfaces: &mut Interfaces) {
    interfaces.keyvalue_cas = None;
}

fn only_cas(interfaces: &mut Interfaces) {
    interfaces.keyvalue_transactional = None;
}

fn basic_only(interfaces: &mut Interfaces) {
    *interfaces = Interfaces { keyvalue_basic: interfaces.keyvalue_basic.take(), ..Interfaces::default() };
}

#[tokio::test]
async fn batches_with_and_without_the_interface() {
    for bench in [Bench::new().await, Bench::reduced(no_batch).await] {
        let stored: StoreBatchResponse = bench.call("StoreBatch", StoreBatchRequest { items: batch(1000) }).await.unwrap();
        assert_eq!(stored.results.len(), 1000);
        assert_eq!(bench.retrieve("key 0999").await.unwrap().revision, stored.results[999].revision);

        let keys: Vec<_> = ["key 0001", "absent", "key 0000", "key 0001"].map(str::to_owned).into();
        let response: RetrieveBatchResponse = bench.call("RetrieveBatch", RetrieveBatchRequest { keys }).await.unwrap();
        let results: Vec<_> = response.results.into_iter().map(|one| (one.key, one.entry.map(|entry| entry.revision))).collect();
        let revision = |index: usize| Some(stored.results[index].revision);
        let expected = [("key 0001", revision(1)), ("absent", None), ("key 0000", revision(0)), ("key 0001", revision(1))];
        assert_eq!(results, expected.map(|(key, revision)| (key.to_owned(), revision)));

        let keys: Vec<_> = ["key 0001", "absent"].map(str::to_owned).into();
        let removed: RemoveBatchResponse = bench.call("RemoveBatch", RemoveBatchRequest { keys }).await.unwrap();
        assert_eq!(removed.results, [true, false].map(|removed| RemoveResponse { removed }));

        for (items, expected) in [(0, "BATCH_SIZE items"), (1001, "BATCH_SIZE items")] {
            let refused = bench.call::<StoreBatchResponse>("StoreBatch", StoreBatchRequest { items: batch(items) }).await;
            assert_eq!(refusal(refused), format!("INVALID_ARGUMENT {expected}"));
        }
        let items = vec![store("x", ""), store("", ""), store("x", "")];
        let refused = bench.call::<StoreBatchResponse>("StoreBatch", StoreBatchRequest { items: items.clone() }).await;
        assert_eq!(refusal(refused), "INVALID_ARGUMENT INVALID_KEY items[1].key");
        let items = vec![store("x", ""), store("y", ""), store("x", "")];
        let refused = bench.call::<StoreBatchResponse>("StoreBatch", StoreBatchRequest { items }).await;
        assert_eq!(refusal(refused), "INVALID_ARGUMENT DUPLICATE_KEY items[2].key");
        let keys: Vec<_> = ["x", "x"].map(str::to_owned).into();
        let refused = bench.call::<RemoveBatchResponse>("RemoveBatch", RemoveBatchRequest { keys }).await;
        assert_eq!(refusal(refused), "INVALID_ARGUMENT DUPLICATE_KEY keys[1]");
        assert_eq!(refusal(bench.retrieve("x").await), "NOT_FOUND KEY_NOT_FOUND");
    }
}

#[tokio::test]
async fn compares_with_and_without_the_interface() {
    for bench in [Bench::new().await, Bench::reduced(no_cas).await] {
        let swap = async |expected_revision| {
            let request = CompareAndStoreRequest { key: "a".to_owned(), expected_revision, value: "v".into(), ..Default::default() };
            bench.call::<CompareAndStoreResponse>("CompareAndStore", request).await
        };
        let remove = async |expected_revision| {
            let request = CompareAndRemoveRequest { key: "a".to_owned(), expected_revision, ..Default::default() };
            bench.call::<CompareAndRemoveResponse>("CompareAndRemove", request).await
        };
        let error = swap(7).await.unwrap_err();
        assert_eq!((error.code().name(), error.reason(), error.get("current_revision")), ("ABORTED", "REVISION_MISMATCH", Some("0")));
        let first = swap(0).await.unwrap().revision;
        let error = swap(0).await.unwrap_err();
        assert_eq!((error.get("expected_revision"), error.get("current_revision")), (Some("0"), Some(first.to_string().as_str())));
        let second = swap(first).await.unwrap().revision;
        assert!(second > first);
        let error = remove(first).await.unwrap_err();
        assert_eq!((error.reason(), error.get("current_revision")), ("REVISION_MISMATCH", Some(second.to_string().as_str())));
        remove(second).await.unwrap();
        assert_eq!(remove(second).await.unwrap_err().get("current_revision"), Some("0"));
        assert!(swap(0).await.unwrap().revision > second);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_compare_and_store_calls_succeeds() {
    for bench in [Bench::new().await, Bench::reduced(no_cas).await] {
        let expected_revision = bench.store(store("a", "0")).await;
        let calls = (0..32).map(|_| {
            let request = CompareAndStoreRequest { key: "a".to_owned(), expected_revision, value: "1".into(), ..Default::default() };
            bench.call::<CompareAndStoreResponse>("CompareAndStore", request)
        });
        let won = futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn capabilities_list_native_emulated_and_unavailable_operations() {
    let full = Bench::new().await;
    assert_eq!(supports(&full, Support::Native).await.len(), 17);
    let response = capabilities(&full).await;
    assert_eq!((&*response.namespace, &*response.pattern, &*response.pattern_version), ("test", "keyvalue", "v1"));
    let slot = &response.slots[0];
    assert_eq!((&*slot.name, &*slot.backend, &*slot.kind), ("storage", "ram", "memory"));
    assert!(slot.interfaces.iter().any(|name| name == "keyvalue_basic"));
    let noted: Vec<_> = response.operations.iter().filter(|one| !one.note.is_empty()).map(|one| one.rpc.as_str()).collect();
    assert_eq!(noted, ["GetCapabilities", "RemoveRange", "Transact"]);
    assert_eq!(supports(&full, Support::Emulated).await, ["RemoveRange"]);

    let emulating = Bench::reduced(|interfaces| {
        no_batch(interfaces);
        no_cas(interfaces);
    })
    .await;
    assert_eq!(
        supports(&emulating, Support::Emulated).await,
        ["RemoveRange", "StoreBatch", "RetrieveBatch", "RemoveBatch", "CompareAndStore", "CompareAndRemove"]
    );
    assert_eq!(supports(&emulating, Support::Unavailable).await, Vec::<String>::new());

    let bare = Bench::reduced(basic_only).await;
    assert_eq!(supports(&bare, Support::Native).await, ["GetCapabilities", "Store", "Retrieve", "Remove", "Exists"]);
    assert_eq!(supports(&bare, Support::Emulated).await, ["StoreBatch", "RetrieveBatch", "RemoveBatch"]);
    let response = capabilities(&bare).await;
    assert_eq!(response.limits.unwrap().max_transaction_operations, 0);
    assert!(response.operations[1].note.contains("without ttl"), "{}", response.operations[1].note);
}

#[tokio::test]
async fn unavailable_operations_are_refused() {
    let bench = Bench::reduced(basic_only).await;
    let key = || "a".to_owned();
    let ttl = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let mut with_ttl = store("a", "");
    with_ttl.ttl = ttl;
    let compare = CompareAndStoreRequest { key: key(), ..CompareAndStoreRequest::default() };
    for (error, interface) in [
        (bench.all::<ScanResponse>("Scan", ScanRequest::default()).await.err(), "keyvalue_scan"),
        (bench.all::<WatchResponse>("Watch", WatchRequest::default()).await.err(), "keyvalue_watch"),
        (bench.call::<CountResponse>("Count", CountRequest::default()).await.err(), "keyvalue_scan"),
        (
            bench.call::<RemoveRangeResponse>("RemoveRange", RemoveRangeRequest { all: true, ..Default::default() }).await.err(),
            "keyvalue_scan",
        ),
        (bench.call::<StoreResponse>("Store", with_ttl.clone()).await.err(), "keyvalue_ttl"),
        (bench.call::<StoreBatchResponse>("StoreBatch", StoreBatchRequest { items: vec![with_ttl] }).await.err(), "keyvalue_ttl"),
        (bench.call::<GetExpirationResponse>("GetExpiration", GetExpirationRequest { key: key() }).await.err(), "keyvalue_ttl"),
        (bench.call::<SetExpirationResponse>("SetExpiration", SetExpirationRequest { key: key(), ttl }).await.err(), "keyvalue_ttl"),
        (bench.call::<ClearExpirationResponse>("ClearExpiration", ClearExpirationRequest { key: key() }).await.err(), "keyvalue_ttl"),
        (bench.call::<CompareAndStoreResponse>("CompareAndStore", compare).await.err(), "keyvalue_cas"),
        (
            bench
                .call::<CompareAndRemoveResponse>(
                    "CompareAndRemove",
                    CompareAndRemoveRequest { key: key(), expected_revision: 1, ..Default::default() },
                )
                .await
                .err(),
            "keyvalue_cas",
        ),
        (bench.call::<TransactResponse>("Transact", TransactRequest::default()).await.err(), "keyvalue_transactional"),
    ] {
        let error = error.expect("a refusal");
        assert_eq!((error.code().name(), error.reason()), ("UNIMPLEMENTED", "CAPABILITY_UNAVAILABLE"));
        assert_eq!((error.get("interface"), error.get("backend")), (Some(interface), Some("ram")));
    }
    // The call was refused before it stored anything.
    assert_eq!(refusal(bench.retrieve("a").await), "NOT_FOUND KEY_NOT_FOUND");
}

#[tokio::test]
async fn several_revisions_or_any_may_be_expected() {
    for bench in [Bench::new().await, Bench::reduced(no_cas).await, Bench::reduced(only_cas).await] {
        let swap = async |must_exist, expected_revisions: &[u64]| {
            let expected_revisions = expected_revisions.to_vec();
            let request = CompareAndStoreRequest { key: "a".to_owned(), must_exist, expected_revisions, ..Default::default() };
            bench.call::<CompareAndStoreResponse>("CompareAndStore", request).await
        };
        let remove = async |must_exist, expected_revisions: &[u64]| {
            let expected_revisions = expected_revisions.to_vec();
            let request = CompareAndRemoveRequest { key: "a".to_owned(), must_exist, expected_revisions, ..Default::default() };
            bench.call::<CompareAndRemoveResponse>("CompareAndRemove", request).await
        };
        for missing in [swap(true, &[]).await.err(), swap(false, &[7, 9]).await.err(), remove(true, &[]).await.err()] {
            let error = missing.unwrap();
            assert_eq!((error.reason(), error.get("current_revision")), ("REVISION_MISMATCH", Some("0")));
        }
        let first = swap(false, &[7_000, 0]).await.unwrap().revision;
        let second = swap(true, &[]).await.unwrap().revision;
        let error = swap(false, &[first, 7_000]).await.unwrap_err();
        assert_eq!(error.get("current_revision"), Some(second.to_string().as_str()));
        assert_eq!(error.get("expected_revision"), Some(format!("{first}, 7000").as_str()));
        let third = swap(false, &[first, 7_000, second]).await.unwrap().revision;
        assert!(remove(false, &[first, second]).await.is_err());
        assert!(remove(false, &[second, third]).await.unwrap().removed);
        swap(false, &[0]).await.unwrap();
        assert!(remove(true, &[]).await.unwrap().removed);
        assert_eq!(refusal(swap(true, &[1]).await), "INVALID_ARGUMENT INVALID_FIELD must_exist");
        assert_eq!(refusal(swap(false, &[1; 65]).await), "INVALID_ARGUMENT INVALID_FIELD expected_revisions");
        assert_eq!(refusal(remove(false, &[1, 0]).await), "INVALID_ARGUMENT INVALID_FIELD expected_revisions");
    }
}

#[tokio::test]
async fn replacing_does_not_recreate_a_removed_key() {
    // One task creates the key and removes it, the other replaces it only if it exists. A write that takes place after the removal would
    // leave the key behind.
    for bench in [Bench::new().await, Bench::reduced(only_cas).await] {
        for _ in 0..64 {
            let replace = CompareAndStoreRequest { key: "a".to_owned(), must_exist: true, ..Default::default() };
            bench.store(store("a", "0")).await;
            let (replaced, removed) = tokio::join!(
                bench.call::<CompareAndStoreResponse>("CompareAndStore", replace),
                bench.call::<RemoveResponse>("Remove", RemoveRequest { key: "a".to_owned() })
            );
            assert!(removed.unwrap().removed);
            let left = bench.retrieve("a").await.is_ok();
            assert!(!left, "{replaced:?}");
        }
    }
}
