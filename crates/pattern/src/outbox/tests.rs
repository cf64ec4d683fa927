//! Relays over one storage that are killed at any step, while operations fail before or after their effect.

use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{TryStreamExt as _, future::join_all};
use proptest::prelude::*;

use super::{
    Outbox, TransactionStamp,
    backlog::Backlog,
    lease::{Lease, Stop},
    order::{ENTRIES, EntryKey, Lane, Waiting, lane_of, lanes},
    relay::Relay,
};
use crate::{messaging::model::Model, producer::target::Target};
use prism_call::{
    BackgroundTasks, Context, Error,
    proto::{
        Interfaces,
        messaging::v1::OutboxEntry,
        models::{
            keyvalue::v1::{
                Condition, DeleteRequest, ForwardKeyValueTransactional, GetRequest, KeyValueTransactional, Operation, ScanKeysRequest,
                SetOperation, TransactRequest, TransactResponse, condition::Predicate, operation::Action,
            },
            stream::v1::{AppendRequest, AppendResponse, ForwardStreamBasic, ReadRequest, StreamBasic},
        },
    },
};
use prism_driver::{BackendSettings, Keyspace};
use prism_driver_memory::KIND;
use prism_slot::{Interceptor, Layer as _, Limits, Operation as Named, Slot};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const LIMITS: Limits = Limits { max_key_bytes: 1024, max_value_bytes: 1 << 20, max_batch_items: 1000 };

fn context() -> Context {
    Context::internal("shop")
}

/// The interfaces of a new storage, which also has the topics.
async fn storage() -> Interfaces {
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (KIND.connect)(settings).await.unwrap();
    backend.keyspace(&Keyspace { namespace: "shop".to_owned(), slot: "storage".to_owned() })
}

fn outbox(interfaces: &Interfaces, max: u32) -> Outbox {
    let backlog = Arc::new(Backlog::new(interfaces.keyvalue_scan.clone().unwrap(), max));
    Outbox { backlog, limits: LIMITS, max_entry_bytes: 1 << 20, has_dropped: AtomicBool::new(false), meters: None }
}

fn relay(interfaces: &Interfaces, outbox: &Outbox, lifetime: Duration) -> Relay {
    let slot = Slot {
        name: "messaging".to_owned(),
        backend: "ram".to_owned(),
        kind: "memory",
        interfaces: interfaces.clone(),
        emulations: Vec::new(),
        layers: Vec::new(),
        limits: LIMITS,
    };
    Relay {
        lease: Lease::new(interfaces.keyvalue_transactional.clone().unwrap(), context(), lifetime),
        basic: interfaces.keyvalue_basic.clone().unwrap(),
        scan: interfaces.keyvalue_scan.clone().unwrap(),
        target: Target::new(Model::Stream, &slot).unwrap(),
        backlog: outbox.backlog.clone(),
        context: context(),
        lifetime,
        poll_interval: Duration::from_millis(1),
        meters: None,
    }
}

fn message(topic: &str, key: &str, payload: &str) -> OutboxEntry {
    let (topic, key, payload) = (topic.to_owned(), key.to_owned(), payload.to_owned().into());
    OutboxEntry { topic, key, payload, ..OutboxEntry::default() }
}

fn set(operation: SetOperation) -> Operation {
    Operation { action: Some(Action::Set(operation)) }
}

/// Stores messages in one transaction without conditions.
async fn store(interfaces: &Interfaces, outbox: &Outbox, messages: Vec<OutboxEntry>) {
    let stamp = TransactionStamp::new();
    let stored = messages.into_iter().enumerate().map(|(index, one)| set(outbox.store("", &stamp, index, one).unwrap().0));
    let request = TransactRequest { then_operations: stored.collect(), ..TransactRequest::default() };
    interfaces.keyvalue_transactional.as_ref().unwrap().transact(&context(), request).await.unwrap();
    outbox.backlog.stored.notify_one();
}

/// The keys, ids and payloads of a topic, in order.
async fn published(interfaces: &Interfaces, topic: &str) -> Vec<(String, String, String)> {
    let request = ReadRequest { stream: topic.to_owned(), ..ReadRequest::default() };
    let records = interfaces.stream_basic.as_ref().unwrap().read(&context(), request).await.unwrap();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let records = records.map_ok(|response| response.record.unwrap());
    records
        .map_ok(|record| (text(record.key), record.attributes["prism-message-id"].clone(), text(record.payload)))
        .try_collect()
        .await
        .unwrap()
}

/// Lets a relay work until no message waits.
async fn drain(relay: &Relay, outbox: &Outbox) {
    let work = async {
        loop {
            let tenure = relay.acquire().await;
            relay.serve(&tenure).await;
        }
    };
    let empty = async {
        while outbox.backlog.count(&context()).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, async {
        tokio::select! { () = work => {}, () = empty => {} }
    })
    .await
    .expect("messages still wait");
}

/// Lets other tasks go first, and fails some operations, before their effect or after it.
struct Chaos {
    random: AtomicU64,
}

impl Chaos {
    fn random(&self) -> u64 {
        // A step of splitmix64.
        let mut random = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        random = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        random ^ (random >> 31)
    }

    async fn step(&self) -> Result<(), Error> {
        for _ in 0..self.random() % 4 {
            tokio::task::yield_now().await;
        }
        match self.random() % 25 {
            0 => Err(Error::backend_unavailable("away", Duration::from_millis(1))),
            1 => Err(Error::internal("broken")),
            _ => Ok(()),
        }
    }
}

impl Interceptor for Chaos {
    const NAME: &'static str = "chaos";

    async fn one<T: Send>(&self, _: &Context, _: Named, work: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        self.step().await?;
        let done = work.await?;
        self.step().await?;
        Ok(done)
    }
}

/// Runs a future for so many steps, and drops it then.
async fn killed_after(mut steps: u64, work: impl Future<Output = ()>) {
    let mut work = Box::pin(work);
    poll_fn(|task| {
        if steps == 0 {
            return Poll::Ready(());
        }
        steps -= 1;
        work.as_mut().poll(task)
    })
    .await;
}

/// A writer: raises the counter of a lane, and publishes its new value in the same transaction.
async fn write(interfaces: &Interfaces, outbox: &Outbox, key: &str, until: u64) {
    let counter = Bytes::from(format!("counter/{key}"));
    loop {
        let Ok(found) = interfaces.keyvalue_basic.as_ref().unwrap().get(&context(), GetRequest { key: counter.clone() }).await else {
            continue;
        };
        let (value, revision) =
            found.entry.map_or((0, 0), |entry| (std::str::from_utf8(&entry.value).unwrap().parse().unwrap(), entry.revision));
        if value >= until {
            return;
        }
        let next = (value + 1).to_string();
        let (stored, _) = outbox.store("", &TransactionStamp::new(), 0, message("orders", key, &next)).unwrap();
        let request = TransactRequest {
            conditions: vec![Condition { key: counter.clone(), predicate: Some(Predicate::RevisionEquals(revision)) }],
            then_operations: vec![set(SetOperation { key: counter.clone(), value: next.into(), ttl: None, flags: 0 }), set(stored)],
            else_operations: Vec::new(),
        };
        // The answer may be lost, so the next round reads the counter.
        let _ = interfaces.keyvalue_transactional.as_ref().unwrap().transact(&context(), request).await;
        outbox.backlog.stored.notify_one();
    }
}

/// Returns the payloads of each key, each message once.
fn first_by_key(records: Vec<(String, String, String)>) -> BTreeMap<String, Vec<String>> {
    let (mut seen, mut found) = (HashSet::new(), BTreeMap::<String, Vec<String>>::new());
    for (key, id, payload) in records {
        if seen.insert(id) {
            found.entry(key).or_default().push(payload);
        }
    }
    found
}

async fn relays_are_killed(seed: u64) {
    const EACH: u64 = 30;
    let plain = storage().await;
    let chaos = Arc::new(Chaos { random: AtomicU64::new(seed) });
    let broken = chaos.clone().wrap(plain.clone());
    let outbox = outbox(&broken, 1000);
    let keys = ["a", "b", ""];
    let is_written = AtomicBool::new(false);
    let writers = async {
        // Two writers for each key.
        join_all(keys.iter().chain(&keys).map(|key| write(&broken, &outbox, key, EACH))).await;
        is_written.store(true, Ordering::Relaxed);
    };
    let gateway = || async {
        while !is_written.load(Ordering::Relaxed) {
            // A short lease, so that holders lose it while they work.
            let relay = relay(&broken, &outbox, Duration::from_millis(15));
            let work = async {
                let tenure = relay.acquire().await;
                relay.serve(&tenure).await;
            };
            killed_after(chaos.random() % 400, work).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(writers, gateway(), gateway()) }).await.expect("the writers did not end");
    let clean = self::outbox(&plain, 1000);
    drain(&relay(&plain, &clean, Duration::from_secs(5)), &clean).await;
    let found = first_by_key(published(&plain, "orders").await);
    let all: Vec<String> = (1..=EACH).map(|number| number.to_string()).collect();
    for key in keys {
        assert_eq!(found[key], all, "key {key:?}, seed {seed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_the_order_of_keys_is_kept_when_relays_are_killed_at_any_step(seed in any::<u64>()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(relays_are_killed(seed));
    }

    #[test]
    fn keys_of_entries_are_read_back(lane in any::<u64>(), millis in any::<u64>(), transaction in any::<u64>(), index in any::<u16>()) {
        let key = EntryKey { lane, millis, transaction, index };
        let encoded = key.encode();
        prop_assert_eq!(EntryKey::decode(&encoded), Some(key));
        prop_assert!(std::str::from_utf8(&encoded).is_err());
        prop_assert_eq!(EntryKey::decode(&encoded[..encoded.len() - 1]), None);
        prop_assert_eq!(EntryKey::decode(&encoded[1..]), None);
    }
}

#[test]
fn lanes_are_in_the_order_of_revisions_and_end_at_the_horizon() {
    let waiting =
        |lane, revision, transaction, index| Waiting { key: EntryKey { lane, millis: 9 - revision, transaction, index }, revision };
    let listed = vec![waiting(1, 7, 5, 0), waiting(1, 2, 9, 1), waiting(2, 1, 4, 0), waiting(1, 2, 9, 0), waiting(1, 3, 1, 0)];
    let (found, left_out) = lanes(listed, 3);
    let keys = |lane: &Lane| lane.keys.iter().map(|key| (key.transaction, key.index)).collect::<Vec<_>>();
    assert_eq!(found.iter().map(|lane| (lane.id, keys(lane))).collect::<Vec<_>>(), [(2, vec![(4, 0)]), (1, vec![(9, 0), (9, 1), (1, 0)])]);
    assert_eq!(left_out, 1);
    assert_ne!(lane_of("a", "b"), lane_of("ab", ""));
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_changes_nothing() {
    let interfaces = storage().await;
    let lease = || Lease::new(interfaces.keyvalue_transactional.clone().unwrap(), context(), Duration::from_mins(1));
    let (first, second) = (lease(), lease());
    let tenure = first.acquire().await.unwrap().unwrap();
    assert!(second.acquire().await.unwrap().is_none());
    assert!(first.renew(&tenure).await.is_ok() && !tenure.remaining().is_zero());
    // The lease expires, and another gateway takes it.
    let basic = interfaces.keyvalue_basic.clone().unwrap();
    basic.delete(&context(), DeleteRequest { key: Bytes::from_static(b"\xffoutbox/lease") }).await.unwrap();
    let next = second.acquire().await.unwrap().unwrap();
    let outbox = outbox(&interfaces, 1000);
    store(&interfaces, &outbox, vec![message("orders", "a", "1")]).await;
    let key = interfaces.keyvalue_scan.as_ref().unwrap().scan_keys(&context(), ScanKeysRequest::default()).await.unwrap();
    let keys: Vec<_> = key.try_collect::<Vec<_>>().await.unwrap().into_iter().map(|found| found.key).collect();
    let entries: Vec<_> = keys.into_iter().filter(|key| key.starts_with(ENTRIES)).collect();
    assert_eq!(entries.len(), 1);
    assert!(matches!(first.remove(&tenure, &entries).await, Err(Stop::LeaseLost)));
    assert!(matches!(first.renew(&tenure).await, Err(Stop::LeaseLost)));
    assert!(matches!(first.release(&tenure).await, Err(Stop::LeaseLost)));
    assert_eq!(outbox.backlog.count(&context()).await.unwrap(), 1);
    second.remove(&next, &entries).await.unwrap();
    assert_eq!(outbox.backlog.count(&context()).await.unwrap(), 0);
    second.release(&next).await.unwrap();
    assert!(first.acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn messages_beyond_the_bound_are_refused_until_some_are_published() {
    let interfaces = storage().await;
    let outbox = outbox(&interfaces, 128);
    // Counts come in between, as those of the relay.
    for number in 0..128 {
        let start = outbox.backlog.start_count();
        let reserved = outbox.reserve(&context(), 1).await.unwrap();
        outbox.backlog.set(number, start);
        store(&interfaces, &outbox, vec![message("orders", "a", &number.to_string())]).await;
        drop(reserved);
    }
    assert!(outbox.reserve_or_drop(&context()).await.unwrap().is_some(), "the reserved part of the backlog");
    let error = outbox.reserve(&context(), 1).await.err().unwrap();
    assert_eq!((error.code(), error.reason(), error.get("limit")), (prism_call::Code::ResourceExhausted, "OUTBOX_FULL", Some("128")));
    assert!(error.retry_after().is_some());
    drain(&relay(&interfaces, &outbox, Duration::from_secs(5)), &outbox).await;
    drop(outbox.reserve(&context(), 128).await.unwrap());
    assert!(outbox.reserve(&context(), 129).await.is_err());
    let payloads: Vec<_> = published(&interfaces, "orders").await.into_iter().map(|(_, _, payload)| payload).collect();
    assert_eq!(payloads, (0..128).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// Refuses messages with the key `bad` until it is repaired, except those with the payload `0`.
struct Picky {
    inner: Arc<dyn StreamBasic>,
    is_repaired: AtomicBool,
}

#[async_trait]
impl ForwardStreamBasic for Picky {
    fn inner(&self) -> &dyn StreamBasic {
        &*self.inner
    }

    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        if request.key == "bad" && request.payload != "0" && !self.is_repaired.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            return Err(Error::invalid("payload", "is refused"));
        }
        self.inner.append(context, request).await
    }
}

#[tokio::test]
async fn a_refused_message_holds_up_only_its_key() {
    let interfaces = storage().await;
    let picky = Arc::new(Picky { inner: interfaces.stream_basic.clone().unwrap(), is_repaired: AtomicBool::new(false) });
    let wrapped = Interfaces { stream_basic: Some(picky.clone()), ..interfaces.clone() };
    let outbox = outbox(&wrapped, 1000);
    let relay = relay(&wrapped, &outbox, Duration::from_secs(5));
    store(&wrapped, &outbox, vec![message("orders", "bad", "1"), message("orders", "good", "2")]).await;
    store(&wrapped, &outbox, vec![message("orders", "bad", "3"), message("orders", "good", "4")]).await;
    let work = async {
        let tenure = relay.acquire().await;
        relay.serve(&tenure).await;
    };
    let check = async {
        let payloads = async || published(&interfaces, "orders").await.into_iter().map(|(_, _, payload)| payload).collect::<Vec<_>>();
        let began = Instant::now();
        while payloads().await != ["2", "4"] {
            assert!(began.elapsed() < PATIENCE, "{:?}", payloads().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // New messages of other keys are published while the lane waits.
        store(&wrapped, &outbox, vec![message("orders", "good", "5")]).await;
        while payloads().await != ["2", "4", "5"] {
            assert!(began.elapsed() < PATIENCE, "{:?}", payloads().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        picky.is_repaired.store(true, Ordering::Relaxed);
        while payloads().await != ["2", "4", "5", "1", "3"] {
            assert!(began.elapsed() < PATIENCE, "{:?}", payloads().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! { () = work => panic!("the lease was lost"), () = check => {} }
}

/// Answers transactions late.
struct Slow {
    inner: Arc<dyn KeyValueTransactional>,
}

#[async_trait]
impl ForwardKeyValueTransactional for Slow {
    fn inner(&self) -> &dyn KeyValueTransactional {
        &*self.inner
    }

    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        let done = self.inner.transact(context, request).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        done
    }
}

#[tokio::test]
async fn a_message_that_is_refused_while_the_one_before_it_is_removed_is_tried_again() {
    let interfaces = storage().await;
    let picky = Arc::new(Picky { inner: interfaces.stream_basic.clone().unwrap(), is_repaired: AtomicBool::new(false) });
    let slow = Arc::new(Slow { inner: interfaces.keyvalue_transactional.clone().unwrap() });
    let wrapped = Interfaces { stream_basic: Some(picky.clone()), keyvalue_transactional: Some(slow), ..interfaces.clone() };
    let outbox = outbox(&wrapped, 1000);
    let relay = relay(&wrapped, &outbox, Duration::from_secs(5));
    store(&wrapped, &outbox, vec![message("orders", "bad", "0"), message("orders", "bad", "1")]).await;
    // No message wakes the relay after its first pass.
    outbox.backlog.stored.notified().await;
    let repair = async {
        while published(&interfaces, "orders").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        picky.is_repaired.store(true, Ordering::Relaxed);
    };
    tokio::join!(drain(&relay, &outbox), repair);
    let payloads: Vec<_> = published(&interfaces, "orders").await.into_iter().map(|(_, _, payload)| payload).collect();
    assert_eq!(payloads, ["0", "1"]);
}

#[tokio::test]
async fn a_relay_gives_its_lease_back_as_soon_as_it_is_replaced() {
    let interfaces = storage().await;
    let outbox = outbox(&interfaces, 1000);
    let lifetime = Duration::from_mins(5);
    let (old, new) = (relay(&interfaces, &outbox, lifetime), relay(&interfaces, &outbox, lifetime));
    let tasks = BackgroundTasks::default();
    let running = tokio::spawn(old.run(tasks.clone()));
    store(&interfaces, &outbox, vec![message("orders", "a", "1")]).await;
    while outbox.backlog.count(&context()).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(new.lease.acquire().await.unwrap().is_none(), "the old one has the lease");
    tasks.report_replacement();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert!(new.lease.acquire().await.unwrap().is_some());
    assert!(!tasks.shutdown().is_cancelled());
}

#[test]
fn wrong_messages_are_refused_with_their_field() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outbox = outbox(&runtime.block_on(storage()), 1000);
    let refusal = |entry: OutboxEntry| {
        let error = outbox.store("then_operations[2].publish.", &TransactionStamp::new(), 0, entry).unwrap_err();
        (error.reason().to_owned(), error.violations()[0].field.clone())
    };
    let headers = |name: &str| BTreeMap::from([(name.to_owned(), String::new())]);
    for (entry, reason, field) in [
        (message("", "a", ""), "INVALID_NAME", "topic"),
        (message("a..b", "a", ""), "INVALID_NAME", "topic"),
        (message("a", &"k".repeat(1025), ""), "INVALID_KEY", "key"),
        (message("a", "", &"p".repeat((1 << 20) + 1)), "VALUE_TOO_LARGE", "payload"),
        (message("a", "", &"p".repeat(1 << 20)), "VALUE_TOO_LARGE", "payload"),
        (OutboxEntry { headers: headers("prism-x"), ..message("a", "", "") }, "INVALID_HEADERS", "headers"),
        (OutboxEntry { id: "a b".to_owned(), ..message("a", "", "") }, "INVALID_NAME", "id"),
    ] {
        assert_eq!(refusal(entry), (reason.to_owned(), format!("then_operations[2].publish.{field}")));
    }
    let mine = OutboxEntry { id: "mine".to_owned(), ..message("a", "", "") };
    assert_eq!(outbox.store("", &TransactionStamp::new(), 0, mine).unwrap().1, "mine");
}
