//! The relay: publishes the waiting messages of a namespace, on the gateway that holds the lease.
//!
//! # Behavior
//! - A message is removed after the backend has taken it. So a gateway that is killed loses none, and the next holder publishes again those
//!   that were published and not removed.
//! - Messages of a lane are published one after the other. A message that fails holds up its lane, and no other one.
//! - Each pass publishes what a listing has found, and knows from a write before it which messages the listing can't have missed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use prost::Message as _;
use tokio::time::{sleep, sleep_until, timeout};

use super::{
    backlog::Backlog,
    lease::{Lease, Stop, Tenure},
    order::{self, ENTRIES, EntryKey, Lane, Waiting},
    retries::{Retries, pause},
};
use crate::producer::target::Target;
use prism_call::{
    BackgroundTasks, Code, Context, Error, OutboxMeters,
    proto::{
        messaging::v1::OutboxEntry,
        models::keyvalue::v1::{GetRequest, KeyValueBasic, KeyValueScan, ScanKeysRequest},
        patterns::producer::v1::OutgoingMessage,
    },
};
use prism_slot::{WRITE_ID, time};

/// Lanes that are published at the same time.
const LANES: usize = 32;
/// Messages of a lane that are in memory at the same time.
const READ_AHEAD: usize = 2;
/// Most messages that one transaction removes.
const CHUNK: usize = 64;
/// Transactions that remove messages at the same time.
const REMOVALS: usize = 2;
/// How long a pass begins to publish messages, so that new ones of other lanes don't wait for a lane with many.
const PASS_TIME: Duration = Duration::from_millis(250);
/// How long the publication of a message may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the storage may take for a listing or a read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the shutdown waits until the lease is given back.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(500);

/// Publishes the messages of one namespace.
pub struct Relay {
    pub lease: Lease,
    pub basic: Arc<dyn KeyValueBasic>,
    pub scan: Arc<dyn KeyValueScan>,
    pub target: Target,
    pub backlog: Arc<Backlog>,
    pub context: Context,
    /// The lifetime of the lease.
    pub lifetime: Duration,
    pub poll_interval: Duration,
    pub meters: Option<OutboxMeters>,
}

/// What became of a message.
enum Outcome {
    Published { lane: u64, key: Bytes },
    Failed { lane: u64, error: Error },
}

/// What one holder knows from one pass to the next.
#[derive(Default)]
struct Progress {
    retries: Retries,
    /// Messages that were published, but may not be removed, because the storage failed.
    unremoved: Vec<Bytes>,
    /// Messages that the last pass has left.
    left: u64,
}

/// What one pass has done.
#[derive(Default)]
struct Pass {
    published: u64,
    /// The lanes that failed as if the whole backend were away.
    outages: Vec<(u64, Error)>,
    /// The time was over, so messages may be left that could be published at once.
    is_cut: bool,
}

impl Relay {
    /// Publishes whenever this gateway has the lease, until the shutdown, or until a reload has put a new namespace in the place of this one: the
    /// calls that this one still has may take long, and the new one publishes their messages too.
    pub async fn run(self, tasks: BackgroundTasks) {
        let end = tasks.replacement().clone();
        loop {
            let Some(tenure) = end.run_until_cancelled(self.acquire()).await else { return };
            tracing::debug!(namespace = %self.context.namespace, "this gateway publishes the messages of the outbox");
            let ended = end.run_until_cancelled(self.serve(&tenure)).await;
            self.observe(0, None);
            if ended.is_none() {
                // Without it, the next gateway waits until the lease has expired.
                let _ = timeout(RELEASE_TIMEOUT, self.lease.release(&tenure)).await;
                return;
            }
            tracing::warn!(namespace = %self.context.namespace, "this gateway lost the lease of the outbox; if this goes on, compare its clock with that of the storage");
            // If its clock is far behind, it gets the lease at once and loses it at once.
            if end.run_until_cancelled(sleep(self.acquire_interval())).await.is_none() {
                return;
            }
        }
    }

    /// Returns the pause between attempts to take the lease.
    fn acquire_interval(&self) -> Duration {
        (self.lifetime / 10).min(Duration::from_millis(500))
    }

    /// Waits until this gateway has the lease.
    pub async fn acquire(&self) -> Tenure {
        let mut has_warned = false;
        loop {
            match self.lease.acquire().await {
                Ok(Some(tenure)) => return tenure,
                Ok(None) => has_warned = false,
                Err(error) => self.warn(&error, &mut has_warned),
            }
            sleep(self.acquire_interval()).await;
        }
    }

    /// Publishes until the lease is lost.
    pub async fn serve(&self, tenure: &Tenure) {
        tokio::select! {
            () = self.keep(tenure) => {}
            () = self.publish_all(tenure) => {}
        }
    }

    /// Renews the lease until it is lost.
    async fn keep(&self, tenure: &Tenure) {
        let mut wait = self.lifetime / 3;
        loop {
            sleep(wait).await;
            wait = match self.lease.renew(tenure).await {
                Ok(_) => self.lifetime / 3,
                Err(Stop::LeaseLost) => return,
                Err(Stop::Failed(_)) if tenure.remaining().is_zero() => return,
                Err(Stop::Failed(_)) => self.lifetime / 20,
            };
        }
    }

    async fn publish_all(&self, tenure: &Tenure) {
        let mut progress = Progress::default();
        let (mut failures, mut has_warned) = (0_u32, false);
        loop {
            match self.pass(tenure, &mut progress).await {
                Ok(true) => (failures, has_warned) = (0, false),
                Ok(false) => {
                    (failures, has_warned) = (0, false);
                    self.wait(&progress).await;
                }
                Err(Stop::LeaseLost) => return,
                Err(Stop::Failed(error)) => {
                    self.warn(&error, &mut has_warned);
                    failures = failures.saturating_add(1);
                    sleep(pause(failures)).await;
                }
            }
        }
    }

    /// Waits until there are messages to publish.
    async fn wait(&self, progress: &Progress) {
        let next = progress.retries.next();
        loop {
            tokio::select! {
                () = self.backlog.stored.notified() => return,
                () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => return,
                () = sleep(self.poll_interval) => {}
            }
            // Only the holder removes messages, so another number means messages of other gateways. An error is reported by the next pass.
            if self.backlog.count(&self.context.clone().with_timeout(READ_TIMEOUT)).await.ok() != Some(progress.left) {
                return;
            }
        }
    }

    /// Publishes the messages that wait. Returns whether there may be more to do at once.
    async fn pass(&self, tenure: &Tenure, progress: &mut Progress) -> Result<bool, Stop> {
        let horizon = self.lease.renew(tenure).await?;
        while !progress.unremoved.is_empty() {
            let from = progress.unremoved.len().saturating_sub(CHUNK);
            self.lease.remove(tenure, &progress.unremoved[from..]).await?;
            progress.unremoved.truncate(from);
        }
        let start = self.backlog.start_count();
        let waiting = self.list().await?;
        let all = waiting.len() as u64;
        self.backlog.set(all, start);
        self.observe(all, waiting.iter().map(|one| one.key.millis).min());
        let (lanes, newer) = order::lanes(waiting, horizon);
        progress.retries.keep(&lanes);
        let Pass { published, mut outages, is_cut } = self.publish_lanes(tenure, lanes, progress).await?;
        progress.left = all.saturating_sub(published);
        if published == 0
            && let Some((_, error)) = outages.pop()
        {
            return Err(error.into());
        }
        // The backend has taken other messages, so only these lanes wait.
        for (lane, _) in &outages {
            progress.retries.record_failure(*lane);
        }
        if progress.left == 0 {
            self.backlog.set(0, start);
            self.observe(0, None);
        }
        Ok(newer > 0 || is_cut || !outages.is_empty())
    }

    /// Publishes lanes side by side, and removes what was published.
    async fn publish_lanes(&self, tenure: &Tenure, lanes: Vec<Lane>, progress: &mut Progress) -> Result<Pass, Stop> {
        let now = Instant::now();
        let until = now + PASS_TIME;
        let due = lanes.into_iter().filter(|lane| progress.retries.is_due(lane.id, now)).collect::<Vec<_>>();
        let is_halted = AtomicBool::new(false);
        let outcomes = stream::iter(due).map(|lane| self.publish_lane(tenure, lane, until, &is_halted)).flatten_unordered(LANES);
        // In their order: the failure of a lane must not be forgotten because of a success before it.
        let mut settled = outcomes.ready_chunks(CHUNK).map(|chunk| self.settle(tenure, chunk)).buffered(REMOVALS);
        let mut pass = Pass::default();
        while let Some((outcomes, removed)) = settled.next().await {
            let mut keys = Vec::new();
            for outcome in outcomes {
                match outcome {
                    Outcome::Published { lane, key } => {
                        progress.retries.record_success(lane);
                        keys.push(key);
                    }
                    Outcome::Failed { lane, error } if is_outage(&error) => {
                        is_halted.store(true, Ordering::Relaxed);
                        pass.outages.push((lane, error));
                    }
                    Outcome::Failed { lane, error } => self.log_failure(&error, progress.retries.record_failure(lane)),
                }
            }
            pass.published += keys.len() as u64;
            if let Err(stop) = removed {
                progress.unremoved.append(&mut keys);
                return Err(stop);
            }
        }
        pass.is_cut = Instant::now() >= until;
        Ok(pass)
    }

    /// Publishes the messages of a lane in their order, up to the first that fails, or until the time is over.
    fn publish_lane<'a>(&'a self, tenure: &'a Tenure, lane: Lane, until: Instant, is_halted: &'a AtomicBool) -> BoxStream<'a, Outcome> {
        let Lane { id, keys } = lane;
        let reads = stream::iter(keys).map(move |key| self.read(key)).buffered(READ_AHEAD).boxed();
        let steps = stream::unfold(Some(reads), move |reads| async move {
            let mut reads = reads.filter(|_| !is_halted.load(Ordering::Relaxed) && Instant::now() < until)?;
            let (key, stored_key, read) = reads.next().await?;
            let published = match read {
                Ok(Some(entry)) => self.publish(tenure, key, entry).await,
                // An earlier holder has removed it.
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            Some(match published {
                Ok(()) => (Outcome::Published { lane: id, key: stored_key }, Some(reads)),
                Err(error) => (Outcome::Failed { lane: id, error }, None),
            })
        });
        steps.boxed()
    }

    async fn read(&self, key: EntryKey) -> (EntryKey, Bytes, Result<Option<OutboxEntry>, Error>) {
        let stored_key = key.encode();
        let context = self.context.clone().with_timeout(READ_TIMEOUT);
        let read = self.basic.get(&context, GetRequest { key: stored_key.clone() }).await;
        let unreadable = |error| {
            Error::new(Code::DataLoss, "OUTBOX_UNREADABLE", "a message of the outbox can't be read; it was not written by Prism")
                .with_source(error)
        };
        let entry = read.and_then(|found| found.entry.map(|entry| OutboxEntry::decode(entry.value).map_err(unreadable)).transpose());
        (key, stored_key, entry)
    }

    async fn publish(&self, tenure: &Tenure, entry_key: EntryKey, entry: OutboxEntry) -> Result<(), Error> {
        let remaining = tenure.remaining();
        if remaining.is_zero() {
            return Err(Error::deadline_exceeded());
        }
        let OutboxEntry { topic, key, payload, mut headers, id } = entry;
        headers.insert(WRITE_ID.to_owned(), entry_key.to_id());
        let message = OutgoingMessage { payload, key, headers, id, ..OutgoingMessage::default() };
        let context = self.context.clone().with_timeout(remaining.min(PUBLISH_TIMEOUT));
        self.target.write(&context, topic, message, None).await.map(drop)
    }

    /// Removes the messages that were published.
    async fn settle(&self, tenure: &Tenure, outcomes: Vec<Outcome>) -> (Vec<Outcome>, Result<(), Stop>) {
        let published: Vec<Bytes> = outcomes.iter().filter_map(published_key).cloned().collect();
        if let Some(meters) = &self.meters {
            meters.count(published.len(), outcomes.len() - published.len());
        }
        let removed = if published.is_empty() { Ok(()) } else { self.lease.remove(tenure, &published).await };
        (outcomes, removed)
    }

    /// Lists the waiting messages.
    async fn list(&self) -> Result<Vec<Waiting>, Error> {
        let context = self.context.clone().with_timeout(READ_TIMEOUT);
        let request = ScanKeysRequest { prefix: Bytes::from_static(ENTRIES), ..ScanKeysRequest::default() };
        let keys = self.scan.scan_keys(&context, request).await?;
        let waiting = keys.try_filter_map(|found| {
            let key = EntryKey::decode(&found.key);
            std::future::ready(Ok(key.map(|key| Waiting { key, revision: found.revision })))
        });
        waiting.try_collect().await
    }

    /// Sets the gauges: messages that wait, and when the oldest one was stored.
    fn observe(&self, waiting: u64, oldest: Option<u64>) {
        if let Some(meters) = &self.meters {
            let now = u64::try_from(time::now()).unwrap_or_default();
            meters.observe(waiting, Duration::from_millis(oldest.map_or(0, |oldest| now.saturating_sub(oldest))));
        }
    }

    /// Logs an interruption once.
    fn warn(&self, error: &Error, has_warned: &mut bool) {
        if !std::mem::replace(has_warned, true) {
            tracing::warn!(namespace = %self.context.namespace, %error, "the outbox can't publish at the moment; trying again");
        }
    }

    /// Logs the first failure of a lane.
    fn log_failure(&self, error: &Error, failures: u32) {
        if failures == 1 {
            tracing::warn!(namespace = %self.context.namespace, %error, "a message of the outbox was refused; it and later ones with its key wait, and are tried again");
        }
    }
}

fn published_key(outcome: &Outcome) -> Option<&Bytes> {
    match outcome {
        Outcome::Published { key, .. } => Some(key),
        Outcome::Failed { .. } => None,
    }
}

/// Whether an error seems to be about the whole backend, so that other messages would fail as well.
fn is_outage(error: &Error) -> bool {
    // A permission may be missing for one topic.
    matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded) && error.reason() != "BACKEND_PERMISSION"
}
