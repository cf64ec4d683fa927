use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use prism_call::proto::models::stream::v1::{
    AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
};
use prism_driver::{BackendSettings, Keyspace};
use prism_slot::Slot;

use super::*;

const TOPIC: &str = "orders";

/// A stream in memory that counts its readers.
struct CountedStream {
    inner: Arc<dyn StreamBasic>,
    /// Reads that wait at the end, from the first to the last.
    following: Arc<AtomicUsize>,
    most: AtomicUsize,
    /// Fails the next reads that wait at the end.
    failing: AtomicUsize,
}

/// Counts a reader until it is dropped.
struct Following(Arc<AtomicUsize>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl StreamBasic for CountedStream {
    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        self.inner.append(context, request).await
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        if !request.follow {
            return self.inner.read(context, request).await;
        }
        if self.failing.load(Ordering::SeqCst) > 0 {
            self.failing.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::backend_unavailable("the backend is away", Duration::from_secs(1)).with("backend", "ram"));
        }
        let now = self.following.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let following = Following(self.following.clone());
        let records = self.inner.read(context, request).await?;
        Ok(Box::pin(records.inspect(move |_| {
            let _ = &following;
        })))
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        self.inner.get_latest_offset(context, request).await
    }
}

async fn tails() -> (Arc<CountedStream>, Arc<Tails>) {
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (prism_driver_memory::KIND.connect)(settings).await.unwrap();
    let keyspace = Keyspace { namespace: "test".to_owned(), slot: "messaging".to_owned() };
    let mut slot = Slot::fill(&keyspace, "ram", "memory", &*backend);
    let inner = slot.interfaces.stream_basic.clone().unwrap();
    let counted = Arc::new(CountedStream { inner, following: Arc::default(), most: AtomicUsize::new(0), failing: AtomicUsize::new(0) });
    slot.interfaces.stream_basic = Some(counted.clone());
    let groups = StreamGroups::new(&slot, None, None, crate::consumer::ConsumerSettings::default()).unwrap();
    (counted, Tails::new(Arc::new(groups), "test".into(), BackgroundTasks::default(), None))
}

async fn append(stream: &CountedStream, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let request = AppendRequest { stream: TOPIC.to_owned(), payload: number.to_string().into(), ..AppendRequest::default() };
        stream.append(&Context::internal("test"), request).await.unwrap();
    }
}

async fn subscribe(tails: &Arc<Tails>, start: Start) -> Messages<SubscriptionItem> {
    tails.subscribe(&Context::internal("test"), TOPIC, start).await.unwrap()
}

async fn take(records: &mut Messages<SubscriptionItem>, count: usize) -> Vec<usize> {
    let numbers = records
        .take(count)
        .map(|record| std::str::from_utf8(&record.unwrap().message().unwrap().payload).unwrap().parse::<usize>().unwrap());
    tokio::time::timeout(Duration::from_secs(15), numbers.collect()).await.expect("all records in time")
}

async fn wait_until(what: &str, is_done: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(15), async {
        while !is_done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn many_subscriptions_cost_one_reader() {
    let (stream, tails) = tails().await;
    append(&stream, 0..10).await;
    let mut subscriptions = Vec::new();
    for number in 0..100 {
        let start = if number % 2 == 0 { Start::FromOffset(0) } else { Start::Latest(true) };
        subscriptions.push((number, subscribe(&tails, start).await));
    }
    append(&stream, 10..20).await;
    for (number, records) in &mut subscriptions {
        let expected: Vec<usize> = if *number % 2 == 0 { (0..20).collect() } else { (10..20).collect() };
        assert_eq!(take(records, expected.len()).await, expected);
    }
    assert_eq!(stream.most.load(Ordering::SeqCst), 1);
    drop(subscriptions);
    wait_until("the reader ends", || stream.following.load(Ordering::SeqCst) == 0).await;
    let mut again = subscribe(&tails, Start::FromOffset(18)).await;
    append(&stream, 20..21).await;
    assert_eq!(take(&mut again, 3).await, [18, 19, 20]);
}

#[tokio::test]
async fn subscriptions_that_come_late_or_fall_behind_miss_nothing() {
    let (stream, tails) = tails().await;
    let mut slow = subscribe(&tails, Start::FromOffset(0)).await;
    append(&stream, 0..1).await;
    assert_eq!(take(&mut slow, 1).await, [0]);
    // The window has the last records only.
    let all = WINDOW_RECORDS * 3;
    let mut late = Vec::new();
    for first in (1..all).step_by(100) {
        append(&stream, first..(first + 100).min(all)).await;
        let mut records = subscribe(&tails, Start::FromOffset(0)).await;
        assert_eq!(take(&mut records, first).await, (0..first).collect::<Vec<_>>());
        late.push((first, records));
    }
    assert_eq!(take(&mut slow, all - 1).await, (1..all).collect::<Vec<_>>());
    for (first, records) in &mut late {
        assert_eq!(take(records, all - *first).await, (*first..all).collect::<Vec<_>>());
    }
    assert_eq!(stream.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_subscription_continues_behind_a_cursor_at_the_end() {
    let (stream, tails) = tails().await;
    append(&stream, 0..3).await;
    let mut first = subscribe(&tails, Start::FromOffset(2)).await;
    let cursor = first.next().await.unwrap().unwrap().cursor().to_owned();
    let mut behind = subscribe(&tails, Start::Cursor(cursor)).await;
    let waiting = async { take(&mut behind, 1).await };
    let (received, ()) = futures::join!(waiting, append(&stream, 3..4));
    assert_eq!(received, [3]);
    let wrong = tails.subscribe(&Context::internal("test"), TOPIC, Start::Cursor("nonsense".to_owned())).await;
    let error = match wrong {
        Ok(mut records) => records.next().await.unwrap().err().unwrap(),
        Err(error) => error,
    };
    assert_eq!(error.reason(), "INVALID_CURSOR");
}

#[tokio::test]
async fn a_position_behind_the_end_holds_up_no_other_subscription() {
    let (stream, tails) = tails().await;
    append(&stream, 0..1).await;
    let mut ahead = subscribe(&tails, Start::FromOffset(4)).await;
    let others = async {
        wait_until("the reader begins", || stream.following.load(Ordering::SeqCst) == 1).await;
        let mut all = subscribe(&tails, Start::FromOffset(0)).await;
        append(&stream, 1..6).await;
        take(&mut all, 6).await
    };
    let (first, all) = futures::join!(take(&mut ahead, 2), others);
    assert_eq!(first, [4, 5]);
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    assert_eq!(stream.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_of_the_reader_ends_its_subscriptions_and_no_others() {
    let (stream, tails) = tails().await;
    stream.failing.store(1, Ordering::SeqCst);
    let mut failed = subscribe(&tails, Start::FromOffset(0)).await;
    let error = failed.next().await.unwrap().err().unwrap();
    assert_eq!((error.reason(), error.retry_after()), ("BACKEND_UNAVAILABLE", Some(Duration::from_secs(1))));
    assert!(error.metadata().any(|entry| entry == ("backend", "ram")), "{error:?}");
    let mut next = subscribe(&tails, Start::FromOffset(0)).await;
    append(&stream, 0..2).await;
    assert_eq!(take(&mut next, 2).await, [0, 1]);
}

#[test]
fn a_window_is_bounded_in_records_and_bytes() {
    let record = |offset, bytes| {
        let record = Record { offset, payload: vec![0; bytes].into(), ..Record::default() };
        SharedRecord::new(record, None)
    };
    let found = |window: &Window, offset| match window.lookup(offset) {
        Lookup::Record(record) => Some(record.offset),
        Lookup::Behind(_) => None,
        Lookup::Nothing | Lookup::End(_) => Some(u64::MAX),
    };
    let mut window = Window { start: 10, ..Window::default() };
    assert_eq!((found(&window, 9), found(&window, 10)), (None, Some(u64::MAX)));
    for offset in [12, 14] {
        window.add(record(offset, 1));
    }
    assert_eq!([10, 12, 13, 15].map(|offset| found(&window, offset)), [Some(12), Some(12), Some(14), Some(u64::MAX)]);
    window.add(record(20, WINDOW_BYTES));
    assert_eq!([14, 15, 20].map(|offset| found(&window, offset)), [None, Some(20), Some(20)]);
    for offset in 21..=(20 + WINDOW_RECORDS as u64) {
        window.add(record(offset, 0));
    }
    assert_eq!((window.records.len(), found(&window, 20), found(&window, 21)), (WINDOW_RECORDS, None, Some(21)));
}

#[tokio::test]
async fn subscriptions_share_the_response_of_a_record() {
    let (stream, tails) = tails().await;
    append(&stream, 0..1).await;
    let mut subscriptions = Vec::new();
    for number in 0..10 {
        let start = if number % 2 == 0 { Start::FromOffset(0) } else { Start::Latest(true) };
        let mut subscription = subscribe(&tails, start.clone()).await;
        if start != Start::Latest(true) {
            assert_eq!(take(&mut subscription, 1).await, [0], "from the backend");
        }
        // It joins the tail when it is asked for the next record.
        assert!(futures::poll!(subscription.next()).is_pending());
        subscriptions.push(subscription);
    }
    append(&stream, 1..2).await;
    let mut encoded = Vec::new();
    for subscription in &mut subscriptions {
        let item = tokio::time::timeout(Duration::from_secs(15), subscription.next()).await.unwrap().unwrap().unwrap();
        encoded.push(item.encode());
    }
    for message in &encoded {
        assert_eq!(message.as_ptr(), encoded[0].as_ptr(), "it is not encoded again");
        assert_eq!(
            message.shared_json(|_| Ok::<_, ()>(b"{}".to_vec())).unwrap().as_ptr(),
            encoded[0].shared_json::<()>(|_| panic!()).unwrap().as_ptr()
        );
    }
}

#[test]
fn only_the_newest_payloads_stay_parsed() {
    let payload = format!("[{}0]", "0,".repeat(PARSED_BYTES / 5));
    let mut window = Window::default();
    for offset in 0..5 {
        let record = Record { offset, payload: payload.clone().into(), ..Record::default() };
        window.add(SharedRecord::new(record, None));
        assert!(window.records.back().unwrap().parsed_payload().is_some());
    }
    assert_eq!((window.records.len(), window.parsed.len()), (5, 2));
    assert!(window.parsed_bytes <= PARSED_BYTES);
    assert!(window.records[0].parsed_payload().is_some(), "a filter that is late parses it for itself");
}
