//! KeyValue over a driver that implements everything.

use prism::{
    call::{Context, Error},
    proto::{
        models::keyvalue::v1::SetRequest,
        patterns::keyvalue::v1::{
            comparison::{Fact, Operator},
            condition::Test,
            transact_operation::Operation,
            transact_response::result::Result as Done,
            *,
        },
    },
};
use prost_types::Duration;

use super::{Bench, reduced::no_batch, refusal};

pub fn store(key: &str, value: &'static str) -> StoreRequest {
    StoreRequest { key: key.to_owned(), value: value.into(), ttl: None, flags: 0 }
}

fn for_an_hour(mut request: StoreRequest) -> StoreRequest {
    request.ttl = Some(Duration { seconds: 3600, nanos: 0 });
    request
}

impl Bench {
    pub async fn store(&self, request: StoreRequest) -> u64 {
        self.call::<StoreResponse>("Store", request).await.unwrap().revision
    }

    pub async fn retrieve(&self, key: &str) -> Result<RetrieveResponse, Error> {
        self.call("Retrieve", RetrieveRequest { key: key.to_owned() }).await
    }
}

#[tokio::test]
async fn stores_retrieves_removes() {
    let bench = Bench::new().await;
    assert_eq!(refusal(bench.retrieve("a").await), "NOT_FOUND KEY_NOT_FOUND");
    let first = bench.store(store("a/ä", "1")).await;
    let second = bench.store(for_an_hour(store("a/ä", ""))).await;
    assert!(second > first && first > 0);
    let retrieved = bench.retrieve("a/ä").await.unwrap();
    assert_eq!((&retrieved.value[..], retrieved.revision, retrieved.expire_time.is_some()), (&b""[..], second, true));

    let exists = async || bench.call::<ExistsResponse>("Exists", ExistsRequest { key: "a/ä".to_owned() }).await.unwrap().exists;
    let remove = async || bench.call::<RemoveResponse>("Remove", RemoveRequest { key: "a/ä".to_owned() }).await.unwrap().removed;
    assert!(exists().await && remove().await);
    assert!(!exists().await && !remove().await);
}

#[tokio::test]
async fn retrieve_returns_flags_create_revision_and_version() {
    for bench in [Bench::new().await, Bench::reduced(no_batch).await] {
        let flagged = |key: &str, flags| StoreRequest { flags, ..store(key, "v") };
        let facts = |response: &RetrieveResponse| (response.flags, response.create_revision, response.version);
        let first = bench.store(flagged("a", u64::MAX)).await;
        assert_eq!(facts(&bench.retrieve("a").await.unwrap()), (u64::MAX, first, 1));
        bench.store(store("a", "w")).await;
        assert_eq!(facts(&bench.retrieve("a").await.unwrap()), (0, first, 2));
        let batch = StoreBatchRequest { items: vec![flagged("a", 1), flagged("b", 2)] };
        let stored = bench.call::<StoreBatchResponse>("StoreBatch", batch).await.unwrap().results;
        let request = RetrieveBatchRequest { keys: ["a", "b"].map(str::to_owned).into() };
        let results = bench.call::<RetrieveBatchResponse>("RetrieveBatch", request).await.unwrap().results;
        let results: Vec<_> = results.iter().map(|one| facts(one.entry.as_ref().unwrap())).collect();
        assert_eq!(results, [(1, first, 3), (2, stored[1].revision, 1)]);
        let expected_revision = stored[1].revision;
        let swap = CompareAndStoreRequest { key: "b".to_owned(), expected_revision, flags: 7, ..Default::default() };
        bench.call::<CompareAndStoreResponse>("CompareAndStore", swap).await.unwrap();
        for keys_only in [false, true] {
            let request = ScanRequest { keys_only, ..ScanRequest::default() };
            let results = bench.all::<ScanResponse>("Scan", request).await.unwrap();
            let results: Vec<_> = results.iter().map(|one| (one.flags, one.create_revision, one.version)).collect();
            assert_eq!(results, [(1, first, 3), (7, stored[1].revision, 2)]);
        }
    }
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let bench = Bench::new().await;
    let long = "ä".repeat(513);
    assert_eq!(refusal(bench.retrieve("").await), "INVALID_ARGUMENT INVALID_KEY key");
    assert_eq!(refusal(bench.retrieve(&long).await), "INVALID_ARGUMENT INVALID_KEY key");
    assert_eq!(refusal(bench.retrieve(&"ä".repeat(512)).await), "NOT_FOUND KEY_NOT_FOUND");
    let scan = ScanRequest { end_key: long.clone(), ..ScanRequest::default() };
    assert_eq!(refusal(bench.all::<ScanResponse>("Scan", scan).await), "INVALID_ARGUMENT INVALID_KEY end_key");
    let scan = ScanRequest { cursor: "~".to_owned(), ..ScanRequest::default() };
    assert_eq!(refusal(bench.all::<ScanResponse>("Scan", scan).await), "INVALID_ARGUMENT INVALID_CURSOR cursor");
    for seconds in [0, -1, i64::MAX] {
        let ttl = Some(Duration { seconds, nanos: 0 });
        let wrong = StoreRequest { ttl, ..store("a", "") };
        assert_eq!(refusal(bench.call::<StoreResponse>("Store", wrong.clone()).await), "INVALID_ARGUMENT INVALID_TTL ttl");
        let batch = StoreBatchRequest { items: vec![store("b", ""), wrong] };
        assert_eq!(refusal(bench.call::<StoreBatchResponse>("StoreBatch", batch).await), "INVALID_ARGUMENT INVALID_TTL items[1].ttl");
        let expire = SetExpirationRequest { key: "a".to_owned(), ttl };
        assert_eq!(refusal(bench.call::<SetExpirationResponse>("SetExpiration", expire).await), "INVALID_ARGUMENT INVALID_TTL ttl");
    }
    let expire = SetExpirationRequest { key: "a".to_owned(), ttl: None };
    assert_eq!(refusal(bench.call::<SetExpirationResponse>("SetExpiration", expire).await), "INVALID_ARGUMENT INVALID_TTL ttl");
    let remove = CompareAndRemoveRequest { key: "a".to_owned(), ..Default::default() };
    let refused = refusal(bench.call::<CompareAndRemoveResponse>("CompareAndRemove", remove).await);
    assert_eq!(refused, "INVALID_ARGUMENT INVALID_FIELD expected_revision");
    // Neither batch changed anything.
    assert_eq!(refusal(bench.retrieve("b").await), "NOT_FOUND KEY_NOT_FOUND");
}

#[tokio::test]
async fn expirations() {
    let bench = Bench::new().await;
    let key = || "a".to_owned();
    let get = async || bench.call::<GetExpirationResponse>("GetExpiration", GetExpirationRequest { key: key() }).await;
    let set = async || {
        let ttl = Some(Duration { seconds: 60, nanos: 0 });
        bench.call::<SetExpirationResponse>("SetExpiration", SetExpirationRequest { key: key(), ttl }).await
    };
    let clear = async || bench.call::<ClearExpirationResponse>("ClearExpiration", ClearExpirationRequest { key: key() }).await;
    for refused in [refusal(get().await), refusal(set().await), refusal(clear().await)] {
        assert_eq!(refused, "NOT_FOUND KEY_NOT_FOUND");
    }
    let revision = bench.store(store("a", "1")).await;
    assert_eq!(get().await.unwrap(), GetExpirationResponse::default());
    assert!(!clear().await.unwrap().cleared);
    let until = set().await.unwrap().expire_time;
    let expiration = get().await.unwrap();
    assert_eq!(expiration.expire_time, until);
    assert!((1..=60).contains(&expiration.ttl.unwrap().seconds));
    assert!(clear().await.unwrap().cleared);
    let retrieved = bench.retrieve("a").await.unwrap();
    assert_eq!((retrieved.revision, retrieved.expire_time), (revision, None));
}

#[tokio::test]
async fn scans_and_counts() {
    let bench = Bench::new().await;
    for key in ["a", "b/1", "b/2", "b/3", "c"] {
        bench.store(for_an_hour(store(key, "value"))).await;
    }
    let scan = async |request: ScanRequest| bench.all::<ScanResponse>("Scan", request).await.unwrap();
    let keys = |entries: &[ScanResponse]| entries.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    let all = scan(ScanRequest::default()).await;
    assert_eq!(keys(&all), ["a", "b/1", "b/2", "b/3", "c"]);
    assert!(all.iter().all(|one| one.value == "value" && one.revision > 0 && one.expire_time.is_some()));

    let page = scan(ScanRequest { prefix: "b/".to_owned(), limit: 2, keys_only: true, ..ScanRequest::default() }).await;
    assert_eq!(keys(&page), ["b/1", "b/2"]);
    assert!(page.iter().all(|one| one.value.is_empty() && one.revision > 0 && one.expire_time.is_none()));
    let cursor = page[1].cursor.clone();
    assert_eq!(keys(&scan(ScanRequest { prefix: "b/".to_owned(), cursor, ..ScanRequest::default() }).await), ["b/3"]);

    let range = CountRequest { start_key: "b".to_owned(), end_key: "c".to_owned(), ..CountRequest::default() };
    assert_eq!(bench.call::<CountResponse>("Count", range).await.unwrap().count, 3);
}

#[tokio::test]
async fn a_scan_leaves_out_keys_that_are_not_text_and_still_fills_its_limit() {
    let bench = Bench::new().await;
    let basic = bench.slot.interfaces.keyvalue_basic.clone().unwrap();
    for key in [&b"a"[..], b"b\xff", b"b\xfe", b"c", b"d\xff", b"e", b"f"] {
        let request = SetRequest { key: bytes::Bytes::copy_from_slice(key), ..SetRequest::default() };
        basic.set(&Context::internal("test"), request).await.unwrap();
    }
    for keys_only in [false, true] {
        for (limit, expected) in
            [(0, &["a", "c", "e", "f"][..]), (1, &["a"]), (2, &["a", "c"]), (3, &["a", "c", "e"]), (9, &["a", "c", "e", "f"])]
        {
            let request = ScanRequest { limit, keys_only, ..ScanRequest::default() };
            let results = bench.all::<ScanResponse>("Scan", request).await.unwrap();
            let keys: Vec<_> = results.iter().map(|one| one.key.as_str()).collect();
            assert_eq!(keys, expected, "limit {limit}");
        }
    }
}

#[tokio::test]
async fn transactions() {
    let bench = Bench::new().await;
    let revision = bench.store(store("a", "1")).await;
    let operation = |operation| TransactOperation { operation: Some(operation) };
    let retrieve = |key: &str| operation(Operation::Retrieve(RetrieveRequest { key: key.to_owned() }));
    let remove = |key: &str| operation(Operation::Remove(RemoveRequest { key: key.to_owned() }));
    let condition = |test| Condition { key: "a".to_owned(), test: Some(test) };
    let compare =
        |fact: Fact, operator: Operator, number| Test::Compare(Comparison { fact: fact.into(), operator: operator.into(), number });
    let transact = async |request: TransactRequest| bench.call::<TransactResponse>("Transact", request).await;

    let request = |conditions| TransactRequest {
        conditions,
        then_operations: vec![operation(Operation::Store(store("b", "2"))), retrieve("b"), retrieve("no"), remove("a")],
        else_operations: vec![retrieve("nor this"), retrieve("a")],
    };
    let done = transact(request(vec![condition(compare(Fact::Version, Operator::NotEqual, 1))])).await.unwrap();
    assert!(!done.succeeded && done.revision == 0);
    let done = transact(request(vec![condition(Test::RevisionAbove(revision))])).await.unwrap();
    assert!(!done.succeeded && done.revision == 0);
    let entry =
        Some(RetrieveResponse { value: "1".into(), revision, create_revision: revision, version: 1, ..RetrieveResponse::default() });
    let result = |key: &str, entry| Done::Retrieved(retrieve_batch_response::Result { key: key.to_owned(), entry });
    let results = |done: TransactResponse| done.results.into_iter().map(|one| one.result.unwrap()).collect::<Vec<_>>();
    assert_eq!(results(done), [result("nor this", None), result("a", entry)]);

    let all = [
        Test::Revision(revision),
        Test::Exists(true),
        Test::Value("1".into()),
        Test::RevisionNot(revision + 1),
        Test::RevisionBelow(revision + 1),
        Test::RevisionAbove(revision - 1),
        compare(Fact::CreateRevision, Operator::Equal, revision),
        compare(Fact::Version, Operator::Less, 2),
        compare(Fact::Unspecified, Operator::Unspecified, revision),
    ];
    let done = transact(request(all.map(condition).to_vec())).await.unwrap();
    assert!(done.succeeded && done.revision > revision);
    let stored = done.revision;
    let results = results(done);
    assert_eq!(results[0], Done::Stored(StoreResponse { revision: stored }));
    assert!(matches!(&results[1], Done::Retrieved(one) if one.key == "b" && one.entry.as_ref().unwrap().value == "2"));
    assert_eq!(results[2..], [result("no", None), Done::Removed(RemoveResponse { removed: true })]);

    let wrong = |conditions, then_operations, else_operations| TransactRequest { conditions, then_operations, else_operations };
    let empty = || TransactOperation { operation: None };
    for (request, expected) in [
        (wrong(vec![condition(Test::Exists(true)); 129], vec![], vec![]), "BATCH_SIZE conditions"),
        (wrong(vec![], vec![], vec![retrieve("a"); 129]), "BATCH_SIZE else_operations"),
        (wrong(vec![Condition::default()], vec![], vec![]), "INVALID_KEY conditions[0].key"),
        (wrong(vec![Condition { key: "a".to_owned(), test: None }], vec![], vec![]), "INVALID_FIELD conditions[0]"),
        (
            wrong(vec![condition(Test::Compare(Comparison { fact: 4, ..Comparison::default() }))], vec![], vec![]),
            "INVALID_FIELD conditions[0].compare.fact",
        ),
        (
            wrong(vec![condition(Test::Compare(Comparison { operator: -1, ..Comparison::default() }))], vec![], vec![]),
            "INVALID_FIELD conditions[0].compare.operator",
        ),
        (wrong(vec![], vec![retrieve("a"), empty()], vec![]), "INVALID_FIELD then_operations[1]"),
        (wrong(vec![], vec![operation(Operation::Store(store("", "")))], vec![]), "INVALID_KEY then_operations[0].store.key"),
        (wrong(vec![], vec![], vec![retrieve("")]), "INVALID_KEY else_operations[0].retrieve.key"),
        (
            wrong(vec![], vec![operation(Operation::Store(store("a", ""))), retrieve("a"), remove("a")], vec![]),
            "DUPLICATE_KEY then_operations[2].remove.key",
        ),
    ] {
        assert_eq!(refusal(transact(request).await), format!("INVALID_ARGUMENT {expected}"));
    }
}
