//! Idempotency keys: two gateways over one memory backend, with a handler that the test controls.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use prism::{
    call::{
        AccessLog, Arrival, CallLimits, ClaimResult, Code, Context, Error, Handler, Idempotency, Input, KeyedCall, Method, Metrics,
        Namespace, Origin, Outcome, Output, Peer, Pipeline, Protocol, Reply, ReplyStore as _, Target, Trailers,
    },
    driver::{self, Backend, BackendSettings, Keyspace},
    idempotency::KeyspaceReplyStore,
    proto,
    registry::IDEMPOTENCY_SLOT,
    slot::Slot,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const SERVICE: &str = "prism.patterns.keyvalue.v1.KeyValueService";

/// Waits for a permit, then returns the next scripted answer.
struct ControlledHandler {
    calls: AtomicUsize,
    permits: Semaphore,
    answers: Mutex<VecDeque<Result<Reply, Error>>>,
}

#[async_trait]
impl Handler for ControlledHandler {
    async fn handle(&self, _: &Context, _: &Method, _: Input) -> Result<Reply, Error> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Output::One(Bytes::from(format!("reply {call}")).into()).into()))
    }
}

struct Bench {
    backend: Arc<dyn Backend>,
    handler: Arc<ControlledHandler>,
    gateways: Vec<(Pipeline, Arc<Namespace>)>,
}

impl Bench {
    /// Calls finish at once.
    async fn new() -> Self {
        let bench = Self::with_limits(false, Duration::from_hours(1), CallLimits::default()).await;
        bench.handler.permits.add_permits(1000);
        bench
    }

    /// Calls wait until the test adds permits to the handler.
    async fn with_limits(required: bool, retention: Duration, limits: CallLimits) -> Self {
        let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
        let backend = (driver::kind("memory").unwrap().connect)(settings).await.unwrap();
        let handler = Arc::new(ControlledHandler { calls: AtomicUsize::new(0), permits: Semaphore::new(0), answers: Mutex::default() });
        let gateway = || {
            let methods = Method::of_service(proto::descriptors(), SERVICE).unwrap();
            let replays = Arc::new(KeyspaceReplyStore::new(slot(&*backend), retention).unwrap_or_else(|missing| panic!("{missing}")));
            let metrics = Metrics::new().unwrap();
            let namespace = Namespace::new("demo", "keyvalue", methods, handler.clone(), limits, &metrics);
            let namespace = namespace.with_idempotency(Idempotency::Stored { store: replays, required });
            (Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new()), Arc::new(namespace))
        };
        let gateways = vec![gateway(), gateway()];
        Self { backend, handler, gateways }
    }

    fn script_answer(&self, answer: Result<Reply, Error>) {
        self.handler.answers.lock().unwrap().push_back(answer);
    }

    fn calls(&self) -> usize {
        self.handler.calls.load(Ordering::SeqCst)
    }

    async fn call_of(&self, gateway: usize, rpc: &str, key: &str, message: &str, timeout: Option<Duration>) -> Result<Reply, Error> {
        let (pipeline, namespace) = &self.gateways[gateway];
        let method = namespace.methods.iter().find(|method| method.name == rpc).unwrap().clone();
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        }
        let arrival = Arrival {
            peer: &Peer::internal(),
            namespace,
            protocol: Protocol::Internal,
            target: Target::Rpc(method.clone()),
            headers: &headers,
            timeout: Ok(timeout),
            origin: Origin::Trusted,
        };
        let mut admitted =
            pipeline.admit(arrival).await.map_err(|refused| Error::new(refused.error().code(), refused.error().reason().to_owned(), ""))?;
        let message = Bytes::copy_from_slice(message.as_bytes());
        let result = admitted.call(&method, headers.clone(), pin!(async { Ok(Input::One(message)) })).await;
        drop(admitted.finish(result.as_ref().err(), ()));
        result
    }

    /// Returns the reply, with `again: ` before it if it is a replay; or the reason of the error.
    async fn call(&self, gateway: usize, key: &str, message: &str) -> String {
        summarize(self.call_of(gateway, "Store", key, message, None).await)
    }

    async fn until_called(&self, calls: usize) {
        while self.calls() < calls {
            tokio::task::yield_now().await;
        }
    }
}

fn slot(backend: &dyn Backend) -> Slot {
    Slot::fill(&Keyspace { namespace: "demo".to_owned(), slot: IDEMPOTENCY_SLOT.to_owned() }, "ram", "memory", backend)
}

fn summarize(result: Result<Reply, Error>) -> String {
    let replayed = |headers: &HeaderMap| if headers.contains_key("idempotency-replayed") { "again: " } else { "" };
    match result {
        Ok(Reply { headers, output: Output::One(message), .. }) => {
            format!("{}{}", replayed(&headers), String::from_utf8_lossy(&message.to_bytes()))
        }
        Ok(_) => "a stream".to_owned(),
        Err(error) => format!("{}{}", replayed(error.headers_and_trailers().0), error.reason()),
    }
}

#[tokio::test]
async fn call_is_executed_once_and_every_gateway_returns_the_same_reply() {
    let bench = Bench::new().await;
    assert_eq!(bench.call(0, "k1", "m").await, "reply 0");
    assert_eq!(bench.call(0, "k1", "m").await, "again: reply 0");
    assert_eq!(bench.call(1, "\"k1\"", "m").await, "again: reply 0");
    assert_eq!(bench.call(1, "k1", "other").await, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(summarize(bench.call_of(0, "Remove", "k1", "m", None).await), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(bench.call(1, "k2", "m").await, "reply 1");
    assert_eq!(bench.call(1, "", "m").await, "reply 2");
    assert_eq!(bench.call(1, "", "m").await, "reply 3");
    // A read needs no key, and never returns a stored reply.
    assert_eq!(summarize(bench.call_of(0, "Retrieve", "k1", "m", None).await), "reply 4");
    assert_eq!(bench.call(0, "two words", "m").await, "INVALID_IDEMPOTENCY_KEY");
}

#[tokio::test]
async fn metadata_is_a_part_of_the_reply() {
    let bench = Bench::new().await;
    let line =
        |name: &'static str, value: &'static [u8]| HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())]);
    let reply = Reply {
        headers: line("a", b"\xff 1"),
        output: Output::One(Bytes::from("m").into()),
        trailers: Trailers::known(line("b-bin", b"AAE")),
    };
    bench.script_answer(Ok(reply));
    bench.call(0, "k", "m").await;
    let replayed = bench.call_of(1, "Store", "k", "m", None).await.unwrap();
    assert_eq!(
        (replayed.headers["a"].as_bytes(), replayed.trailers.get().unwrap()["b-bin"].as_bytes()),
        (b"\xff 1".as_slice(), b"AAE".as_slice())
    );
}

#[tokio::test]
async fn concurrent_call_with_the_same_key_is_refused() {
    let bench = Bench::with_limits(false, Duration::from_hours(1), CallLimits::default()).await;
    let (first, second) = tokio::join!(bench.call(0, "k", "m"), async {
        bench.until_called(1).await;
        let error = bench.call_of(1, "Store", "k", "m", None).await.err().unwrap();
        assert_eq!((error.code(), error.retry_after().is_some()), (Code::Aborted, true));
        let other = bench.call(1, "k", "other").await;
        bench.handler.permits.add_permits(1);
        (error.reason().to_owned(), other)
    });
    assert_eq!((first.as_str(), second.0.as_str()), ("reply 0", "IDEMPOTENCY_KEY_IN_FLIGHT"));
    assert_eq!(second.1, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!((bench.call(1, "k", "m").await.as_str(), bench.calls()), ("again: reply 0", 1));
}

#[tokio::test]
async fn work_continues_when_the_client_disconnects() {
    let bench = Bench::with_limits(false, Duration::from_hours(1), CallLimits::default()).await;
    tokio::select! {
        _ = bench.call(0, "k", "m") => panic!("the call must wait for a permit"),
        () = bench.until_called(1) => {}
    }
    assert_eq!(bench.call(1, "k", "m").await, "IDEMPOTENCY_KEY_IN_FLIGHT");
    // The call still holds its permit, and the drain waits for it.
    assert_eq!(bench.gateways[0].1.limits.max_concurrent_calls, 4096);
    bench.handler.permits.add_permits(1);
    bench.gateways[0].0.wait_for_background_calls().await;
    assert_eq!((bench.call(1, "k", "m").await.as_str(), bench.calls()), ("again: reply 0", 1));
}

#[tokio::test]
async fn call_of_a_disconnected_client_still_counts_against_the_limit() {
    let bench = Bench::with_limits(false, Duration::from_hours(1), CallLimits { max_concurrent_calls: 1, ..CallLimits::default() }).await;
    tokio::select! {
        _ = bench.call(0, "k", "m") => panic!("the call must wait for a permit"),
        () = bench.until_called(1) => {}
    }
    assert_eq!(bench.call(0, "", "m").await, "TOO_MANY_CALLS");
    bench.handler.permits.add_permits(2);
    bench.gateways[0].0.wait_for_background_calls().await;
    assert_eq!(bench.call(0, "", "m").await, "reply 1");
}

#[tokio::test]
async fn transient_errors_release_the_key_and_final_errors_are_replayed() {
    let bench = Bench::new().await;
    for (code, reason) in [
        (Code::Unavailable, "A"),
        (Code::Internal, "A"),
        (Code::Unknown, "A"),
        (Code::Cancelled, "A"),
        (Code::ResourceExhausted, "A"),
        (Code::InvalidArgument, "A"),
        (Code::Unimplemented, "A"),
    ] {
        bench.script_answer(Err(Error::new(code, reason, "no")));
        assert_eq!(bench.call(0, "k", "m").await, reason);
    }
    bench.script_answer(Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "no").with("fact", "1").with_violation("key", "is wrong")));
    assert_eq!(bench.call(0, "k", "m").await, "KEY_NOT_FOUND");
    let error = bench.call_of(1, "Store", "k", "m", None).await.err().unwrap();
    assert_eq!((error.code(), error.message(), error.domain(), error.get("fact")), (Code::NotFound, "no", "prism", Some("1")));
    assert_eq!(error.violations().len(), 1);
    assert_eq!(summarize(Err(error)), "again: KEY_NOT_FOUND");
    assert_eq!(bench.calls(), 8);
}

#[tokio::test]
async fn a_deadline_frees_the_key() {
    let bench = Bench::with_limits(false, Duration::from_hours(1), CallLimits::default()).await;
    let late = bench.call_of(0, "Store", "k", "m", Some(Duration::from_millis(50))).await;
    assert_eq!(summarize(late), "DEADLINE_EXCEEDED");
    bench.gateways[0].0.wait_for_background_calls().await;
    bench.handler.permits.add_permits(1);
    assert_eq!(bench.call(1, "k", "m").await, "reply 1");
}

#[tokio::test]
async fn expired_claim_cannot_be_completed_by_its_old_owner() {
    let bench = Bench::new().await;
    let store = KeyspaceReplyStore::new(slot(&*bench.backend), Duration::from_hours(1)).unwrap_or_else(|missing| panic!("{missing}"));
    let method = bench.gateways[0].1.methods[0].clone();
    let (context, call) = (Context::internal("demo"), KeyedCall { key: "k".to_owned(), method, message: Bytes::from_static(b"m") });
    let claim = async |lease| match store.claim(&context, &call, Duration::from_millis(lease)).await {
        Ok(ClaimResult::Granted(claim)) => Ok(claim),
        Ok(ClaimResult::Completed(outcome)) => Err(summarize(outcome)),
        Err(error) => Err(error.reason().to_owned()),
    };
    let first = claim(40).await.unwrap();
    assert_eq!(claim(40).await.unwrap_err(), "IDEMPOTENCY_KEY_IN_FLIGHT");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let second = claim(60_000).await.unwrap();
    let (one, two) = (Bytes::from_static(b"of the first").into(), Bytes::from_static(b"of the second").into());
    let headers = HeaderMap::new();
    let outcome = |message| Outcome::Reply { headers: &headers, message, trailers: None };
    store.store_outcome(&context, &first, outcome(&one)).await.unwrap();
    store.release(&context, &first).await.unwrap();
    assert_eq!(claim(1).await.unwrap_err(), "IDEMPOTENCY_KEY_IN_FLIGHT");
    store.store_outcome(&context, &second, outcome(&two)).await.unwrap();
    assert_eq!(claim(1).await.unwrap_err(), "of the second");
}

#[tokio::test]
async fn replies_are_kept_for_a_while() {
    let bench = Bench::with_limits(false, Duration::from_millis(40), CallLimits::default()).await;
    bench.handler.permits.add_permits(2);
    assert_eq!(bench.call(0, "k", "m").await, "reply 0");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(bench.call(0, "k", "other").await, "reply 1");
}

#[tokio::test]
async fn reply_that_is_too_large_is_not_kept_but_the_key_is() {
    let bench = Bench::new().await;
    let size = usize::try_from(bench.backend.limits().max_value_bytes).unwrap();
    bench.script_answer(Ok(Output::One(vec![b'x'; size].into()).into()));
    assert_eq!(bench.call(0, "k", "m").await.len(), size);
    assert_eq!(bench.call(1, "k", "m").await, "IDEMPOTENCY_REPLY_NOT_KEPT");
    assert_eq!(bench.call(1, "k", "other").await, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(bench.calls(), 1);
}

#[tokio::test]
async fn a_namespace_can_ask_for_keys() {
    let bench = Bench::with_limits(true, Duration::from_hours(1), CallLimits::default()).await;
    bench.handler.permits.add_permits(10);
    let error = bench.call_of(0, "Store", "", "m", None).await.err().unwrap();
    assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REQUIRED"));
    assert_eq!(bench.calls(), 0);
    assert_eq!(summarize(bench.call_of(0, "Retrieve", "", "m", None).await), "reply 0");
    assert_eq!(bench.call(0, "k", "m").await, "reply 1");
}

#[tokio::test]
async fn backend_without_compare_and_swap_refuses_idempotency_keys() {
    let bench = Bench::new().await;
    let mut slot = slot(&*bench.backend);
    slot.interfaces.keyvalue_cas = None;
    assert_eq!(KeyspaceReplyStore::new(slot, Duration::from_hours(1)).err(), Some("keyvalue_cas"));
    let methods = Method::of_service(proto::descriptors(), SERVICE).unwrap();
    let metrics = Metrics::new().unwrap();
    let namespace = Namespace::new("demo", "keyvalue", methods, bench.handler.clone(), CallLimits::default(), &metrics);
    let idempotency = Idempotency::Unavailable { backend: "ram".to_owned(), interface: "keyvalue_cas" };
    let pipeline = Pipeline::new(AccessLog::Off, &metrics, CancellationToken::new());
    let gateways = vec![(pipeline, Arc::new(namespace.with_idempotency(idempotency)))];
    let bench = Bench { gateways, ..bench };
    assert_eq!(bench.call(0, "k", "m").await, "CAPABILITY_UNAVAILABLE");
    assert_eq!(bench.call(0, "", "m").await, "reply 0");
}
