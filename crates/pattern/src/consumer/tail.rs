//! The ends of topics that are streams. One task reads each for all subscriptions of this gateway.
//!
//! A subscription reads older messages from the backend by itself, up to the end, and then joins the tail of its topic. Subscriptions have no queues:
//! each has a position, and takes the next record from the window of the tail when its client has taken the last one. One that falls behind the window reads
//! from the backend again. Nothing is lost and nothing comes twice, because positions are offsets.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    group::StreamGroups,
    shared::{SharedRecord, SubscriptionItem},
};
use prism_call::{
    BackgroundTasks, Context, Error, FanOutMeters, Messages,
    proto::models::stream::v1::{Record, read_request::Start},
};

/// Most records in the window of a topic.
const WINDOW_RECORDS: usize = 512;
/// Most bytes of the records in the window of a topic. The last record is kept even if it is larger. What subscriptions share of a record, its response
/// as protobuf and as JSON, takes about two and a half times as much in addition.
const WINDOW_BYTES: usize = 1 << 20;
/// Most bytes of the newest payloads that stay parsed for filters. The last one stays parsed even if it is larger. As values of expressions, JSON takes up
/// to 50 times as much memory.
const PARSED_BYTES: usize = 128 << 10;
/// Records that the reader adds at once.
const PAGE: usize = 64;

/// The tails of the topics that have subscriptions.
pub struct Tails {
    groups: Arc<StreamGroups>,
    /// The context of all readers. So the deadline of the call that is the first one does not end them.
    context: Context,
    tasks: BackgroundTasks,
    meters: Option<FanOutMeters>,
    by_topic: Mutex<HashMap<String, Weak<Tail>>>,
}

impl Tails {
    pub fn new(groups: Arc<StreamGroups>, namespace: Arc<str>, tasks: BackgroundTasks, meters: Option<FanOutMeters>) -> Arc<Self> {
        Arc::new(Self { groups, context: Context::internal(namespace), tasks, meters, by_topic: Mutex::default() })
    }

    /// Reads a topic without an end.
    pub async fn subscribe(self: &Arc<Self>, context: &Context, topic: &str, start: Start) -> Result<Messages<SubscriptionItem>, Error> {
        // What is before this end is there when the subscription begins to read, so it has all of it afterwards.
        let end = self.groups.end(context, topic).await?;
        let has_backlog = start != Start::Latest(true);
        let start = if has_backlog { start } else { Start::FromOffset(end) };
        let mut subscription = Subscription {
            tails: self.clone(),
            context: context.clone(),
            topic: topic.to_owned(),
            next_offset: if let Start::FromOffset(offset) = start { offset } else { 0 },
            start,
            cursor: None,
            covered: end,
            place: ReadPlace::Joining,
        };
        if has_backlog {
            subscription.read_backlog().await?;
        }
        Ok(Box::pin(stream::try_unfold(subscription, |mut subscription| async move {
            Ok(subscription.next().await?.map(|item| (item, subscription)))
        })))
    }

    /// Returns the tail of a topic. Without one, begins it at an offset that the topic has reached, or behind the record with the cursor.
    ///
    /// Clients must not choose either: a reader that begins behind the end of the topic would have nothing for the other subscriptions.
    fn join(&self, topic: &str, reached: u64, cursor: Option<&String>) -> Arc<Tail> {
        let mut tails = lock(&self.by_topic);
        if let Some(tail) = tails.get(topic).and_then(Weak::upgrade).filter(|tail| lock(&tail.window).end.is_none()) {
            return tail;
        }
        tails.retain(|_, tail| tail.strong_count() > 0);
        let window = Window { start: reached, ..Window::default() };
        let window = Arc::new(Mutex::new(window));
        let (sender, changes) = watch::channel(());
        let stop = CancellationToken::new();
        let reader = Reader {
            groups: self.groups.clone(),
            context: self.context.clone(),
            topic: topic.to_owned(),
            start: cursor.map_or(Start::FromOffset(reached), |cursor| Start::Cursor(cursor.clone())),
            meters: self.meters.clone(),
            window: window.clone(),
            changes: sender,
        };
        let stopped = stop.clone();
        self.tasks.spawn(async move {
            stopped.run_until_cancelled_owned(reader.run()).await;
        });
        let tail = Arc::new(Tail { window, changes, _stop: stop.drop_guard() });
        tails.insert(topic.to_owned(), Arc::downgrade(&tail));
        tail
    }
}

/// The end of a topic. Its reader ends when the last subscription has dropped it.
struct Tail {
    window: Arc<Mutex<Window>>,
    changes: watch::Receiver<()>,
    _stop: DropGuard,
}

/// The last records of a topic.
#[derive(Default)]
struct Window {
    /// The window has every record with this offset or a greater one, as far as the reader has come.
    start: u64,
    records: VecDeque<Arc<SharedRecord>>,
    bytes: usize,
    /// The newest records. Their payloads stay parsed for filters.
    parsed: VecDeque<Arc<SharedRecord>>,
    parsed_bytes: usize,
    /// Present when the reader has ended.
    end: Option<Result<(), Error>>,
}

/// What a window has for a subscription.
enum Lookup {
    Record(Arc<SharedRecord>),
    /// The window begins behind the position, at this offset.
    Behind(u64),
    /// Nothing yet.
    Nothing,
    /// The reader has ended.
    End(Result<(), Error>),
}

impl Window {
    fn add(&mut self, record: SharedRecord) {
        let record = Arc::new(record);
        self.bytes += record.size;
        self.records.push_back(record.clone());
        self.parsed_bytes += record.payload_bytes();
        self.parsed.push_back(record);
        while (self.parsed.len() > WINDOW_RECORDS || self.parsed_bytes > PARSED_BYTES)
            && self.parsed.len() > 1
            && let Some(oldest) = self.parsed.pop_front()
        {
            self.parsed_bytes -= oldest.payload_bytes();
            oldest.forget_parsed_payload();
        }
        while (self.records.len() > WINDOW_RECORDS || self.bytes > WINDOW_BYTES)
            && self.records.len() > 1
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= oldest.size;
            self.start = oldest.offset.saturating_add(1);
        }
    }

    /// Looks for the first record with this offset or a greater one.
    fn lookup(&self, next_offset: u64) -> Lookup {
        if next_offset < self.start {
            return Lookup::Behind(self.start);
        }
        let index = self.records.partition_point(|record| record.offset < next_offset);
        match (self.records.get(index), &self.end) {
            (Some(record), _) => Lookup::Record(record.clone()),
            (None, None) => Lookup::Nothing,
            (None, Some(end)) => Lookup::End(end.as_ref().copied().map_err(Error::for_client)),
        }
    }
}

/// Reads the end of a topic.
struct Reader {
    groups: Arc<StreamGroups>,
    context: Context,
    topic: String,
    start: Start,
    meters: Option<FanOutMeters>,
    window: Arc<Mutex<Window>>,
    /// Dropped with the reader, so that subscriptions notice it.
    changes: watch::Sender<()>,
}

impl Reader {
    async fn run(self) {
        let end = self.read().await;
        self.change(|window| window.end = Some(end));
    }

    async fn read(&self) -> Result<(), Error> {
        let records = self.groups.open_read(&self.context, &self.topic, self.start.clone(), 0, true).await?;
        let mut pages = records.ready_chunks(PAGE);
        while let Some(page) = pages.next().await {
            let mut failure = None;
            self.change(|window| {
                for record in page {
                    match record {
                        Ok(record) => window.add(SharedRecord::new(record, self.meters.clone())),
                        Err(error) => failure = Some(error),
                    }
                }
            });
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Window)) {
        change(&mut lock(&self.window));
        self.changes.send_replace(());
    }
}

/// Where a subscription reads.
enum ReadPlace {
    /// From the backend, up to its end.
    Backlog(Messages<Record>),
    /// It has to join the tail.
    Joining,
    /// From the window of the tail.
    Tail(Arc<Tail>, watch::Receiver<()>),
}

/// One subscription to a topic.
struct Subscription {
    tails: Arc<Tails>,
    context: Context,
    topic: String,
    /// Where the request begins.
    start: Start,
    /// Behind the last record; `None`: none was read yet.
    cursor: Option<String>,
    /// The offset of the next record, or a smaller one.
    next_offset: u64,
    /// An offset that the topic has reached. At the end of the backlog, the subscription has every record below it.
    covered: u64,
    place: ReadPlace,
}

impl Subscription {
    /// Reads from the backend, behind the last record.
    async fn read_backlog(&mut self) -> Result<(), Error> {
        let start = self.cursor.as_ref().map_or_else(|| self.start.clone(), |cursor| Start::Cursor(cursor.clone()));
        self.place = ReadPlace::Backlog(self.tails.groups.open_read(&self.context, &self.topic, start, 0, false).await?);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<SubscriptionItem>, Error> {
        loop {
            match &mut self.place {
                ReadPlace::Backlog(records) => {
                    if let Some(record) = records.next().await.transpose()? {
                        self.advance(record.offset, &record.cursor);
                        return Ok(Some(SubscriptionItem::own(record)));
                    }
                    self.next_offset = self.next_offset.max(self.covered);
                    self.place = ReadPlace::Joining;
                }
                ReadPlace::Joining => {
                    let tail = self.tails.join(&self.topic, self.covered, self.cursor.as_ref());
                    let changes = tail.changes.clone();
                    self.place = ReadPlace::Tail(tail, changes);
                }
                ReadPlace::Tail(tail, changes) => {
                    changes.mark_unchanged();
                    let found = lock(&tail.window).lookup(self.next_offset);
                    match found {
                        Lookup::Record(record) => {
                            self.advance(record.offset, record.cursor());
                            return Ok(Some(SubscriptionItem::Shared(record)));
                        }
                        Lookup::Behind(start) => {
                            self.covered = start;
                            self.read_backlog().await?;
                        }
                        Lookup::Nothing => changes.changed().await.map_err(|_| Error::shutting_down())?,
                        Lookup::End(end) => return end.map(|()| None),
                    }
                }
            }
        }
    }

    /// Goes on behind a record.
    fn advance(&mut self, offset: u64, cursor: &str) {
        self.next_offset = offset.saturating_add(1);
        self.covered = self.covered.max(self.next_offset);
        cursor.clone_into(self.cursor.get_or_insert_default());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
