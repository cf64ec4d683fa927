//! The copies in the slot `cache`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{
    loads::Loads,
    record::{Known, Record},
};
use crate::keyvalue::settings::CacheSettings;
use prism_call::{
    BackgroundTasks, CacheMeters, CacheRead, Context, Error,
    proto::models::keyvalue::v1::{CompareAndSwapRequest, DeleteRequest, Entry, GetRequest, KeyValueBasic, KeyValueCas, SetRequest},
};
use prism_slot::{Limits, time};

/// How long the mark of a change stays. A load that began before the change must have ended by then.
const MARK_MILLIS: i64 = 3_000;
/// A load that took longer keeps no copy.
const LONGEST_LOAD: Duration = Duration::from_secs(1);
/// The longest life of the knowledge that a key is absent, so that requests for random keys fill no cache.
const ABSENT_MILLIS: i64 = 10_000;
/// After a failed call, the cache is left alone for this time, so that a broken cache delays few calls.
const REST_MILLIS: i64 = 1_000;
/// Greatest difference between the clocks of gateways that share a cache.
const CLOCK_SKEW_MILLIS: i64 = 1_000;
/// Calls of the cache that one call has in flight.
pub const CONCURRENCY: usize = 16;

/// The copies of one namespace.
pub struct Copies {
    pub basic: Arc<dyn KeyValueBasic>,
    pub cas: Arc<dyn KeyValueCas>,
    pub settings: CacheSettings,
    /// Those of the backend of the cache.
    pub limits: Limits,
    pub loads: Loads,
    pub tasks: BackgroundTasks,
    pub context: Context,
    pub meters: Option<CacheMeters>,
    /// Older copies are not used: this gateway could not remove them when their keys changed, or it does not know what changed.
    trusted_since: AtomicI64,
    /// When a change last had no room for its mark. Loads that began before keep no copy.
    unmarked_at: AtomicI64,
    /// Until then the cache is left alone.
    resting_until: AtomicI64,
}

/// What a look into the cache found.
pub enum Found {
    /// What the storage has, or had a moment ago.
    Copy(Option<Entry>),
    /// Nothing that can be used. Whoever loads the key may keep a copy in place of this revision (0: of nothing).
    Missing(u64),
    /// The key changed a moment ago, or the cache can't have it, or doesn't answer.
    Unusable,
}

impl Copies {
    pub fn new(
        basic: Arc<dyn KeyValueBasic>,
        cas: Arc<dyn KeyValueCas>,
        settings: CacheSettings,
        limits: Limits,
        tasks: BackgroundTasks,
        context: Context,
        meters: Option<CacheMeters>,
    ) -> Self {
        let (trusted_since, unmarked_at, resting_until) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
        Self { basic, cas, settings, limits, loads: Loads::default(), tasks, context, meters, trusted_since, unmarked_at, resting_until }
    }

    /// Looks for a copy.
    pub async fn find(&self, key: &Bytes) -> Found {
        let found = match self.record(key).await {
            None => Found::Unusable,
            Some(None) => Found::Missing(0),
            Some(Some((revision, record))) => self.judge(revision, record),
        };
        if let Some(meters) = &self.meters {
            meters.count(match found {
                Found::Copy(_) => CacheRead::Hit,
                Found::Missing(_) => CacheRead::Miss,
                Found::Unusable => CacheRead::Bypass,
            });
        }
        found
    }

    fn judge(&self, revision: u64, record: Option<Record>) -> Found {
        let Some(Record { made, known }) = record else { return Found::Missing(revision) };
        let is_trusted = made >= self.trusted_since.load(Ordering::Relaxed);
        match known {
            Known::Changed => Found::Unusable,
            Known::Absent if is_trusted => Found::Copy(None),
            Known::Present(entry) if is_trusted && !has_expired(&entry) => Found::Copy(Some(entry)),
            Known::Absent | Known::Present(_) => Found::Missing(revision),
        }
    }

    /// Reads what the cache has under a key, with its revision. The outer `None`: the cache can't be asked.
    async fn record(&self, key: &Bytes) -> Option<Option<(u64, Option<Record>)>> {
        if key.len() as u64 > self.limits.max_key_bytes {
            return None;
        }
        let found = self.ask(self.basic.get(&self.context, GetRequest { key: key.clone() })).await?;
        Some(found.entry.map(|entry| (entry.revision, Record::decode(key, entry.value))))
    }

    /// Keeps a copy of what was loaded, unless the cache got something else meanwhile. Returns whether it did.
    pub async fn keep(&self, key: &Bytes, revision: u64, loaded: Option<&Entry>, began: Instant) -> bool {
        let now = time::now();
        let most = i64::try_from(self.settings.ttl.as_millis()).unwrap_or(i64::MAX);
        let left = match loaded {
            None => most.min(ABSENT_MILLIS),
            Some(entry) => entry.expire_time.as_ref().map_or(most, |expiry| most.min(time::millis(expiry).saturating_sub(now))),
        };
        if began.elapsed() > LONGEST_LOAD || left <= 0 {
            return false;
        }
        // When the load began, not when it ended: a change in between must not pass for older than the copy.
        let made = now - i64::try_from(began.elapsed().as_millis()).unwrap_or(0);
        if made <= self.unmarked_at.load(Ordering::Relaxed) {
            return false;
        }
        let known = loaded.map_or(Known::Absent, |entry| Known::Present(entry.clone()));
        let value = Record { made, known }.encode();
        if value.len() as u64 > (*self.settings.max_value_size).min(self.limits.max_value_bytes) {
            return false;
        }
        let ttl = Some(time::duration(left));
        let swap = CompareAndSwapRequest { key: key.clone(), expected_revision: revision, value, ttl, flags: 0 };
        // Another call may have kept a copy, or the key may have changed: both are fine. A full cache is, too.
        self.ask(self.cas.compare_and_swap(&self.context, swap)).await.is_some_and(|done| done.swapped)
    }

    /// Marks keys as changed, so that no copy of them is used or kept for a while.
    pub async fn mark(&self, keys: &[Bytes]) {
        let fitting: Vec<_> = keys.iter().filter(|key| key.len() as u64 <= self.limits.max_key_bytes).cloned().collect();
        let marks = stream::iter(fitting).map(|key| self.mark_one(key)).buffer_unordered(CONCURRENCY);
        let all = marks.fold(true, |all, done| std::future::ready(all && done)).await;
        if !all {
            self.distrust();
        }
    }

    async fn mark_one(&self, key: Bytes) -> bool {
        let value = Record { made: time::now(), known: Known::Changed }.encode();
        let set = SetRequest { key: key.clone(), value, ttl: Some(time::duration(MARK_MILLIS)), flags: 0 };
        if self.ask(self.basic.set(&self.context, set)).await.is_some() {
            return true;
        }
        // A full cache has no room for the mark, but the copy can go. A load that began before must not bring it back when there is room again.
        self.unmarked_at.fetch_max(time::now(), Ordering::Relaxed);
        self.ask(self.basic.delete(&self.context, DeleteRequest { key })).await.is_some()
    }

    /// Marks a key that somebody has changed, unless the cache knows the change.
    pub async fn mark_if_older(&self, key: &Bytes, revision: Option<u64>) {
        let is_known = match self.record(key).await {
            Some(Some((_, Some(Record { known: Known::Present(entry), .. })))) => {
                revision.is_some_and(|revision| entry.revision >= revision)
            }
            Some(Some((_, Some(Record { known: Known::Changed, .. })))) => true,
            _ => false,
        };
        if !is_known {
            self.mark(std::slice::from_ref(key)).await;
        }
    }

    /// Stops using the copies that exist.
    pub fn distrust(&self) {
        self.trusted_since.fetch_max(time::now() + CLOCK_SKEW_MILLIS, Ordering::Relaxed);
    }

    /// Calls the cache. `None`: it failed, took too long, or is left alone after that.
    async fn ask<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Option<T> {
        if time::now() < self.resting_until.load(Ordering::Relaxed) {
            return None;
        }
        let error = match tokio::time::timeout(*self.settings.timeout, work).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) if error.reason() == "BACKEND_FULL" => return None,
            Ok(Err(error)) => error,
            Err(_) => Error::deadline_exceeded(),
        };
        let now = time::now();
        // The calls that were in flight fail together. One line tells it.
        if self.resting_until.fetch_max(now + REST_MILLIS, Ordering::Relaxed) <= now {
            tracing::warn!(namespace = %self.context.namespace, %error, "the cache does not answer; it is left alone for a second");
        }
        None
    }
}

fn has_expired(entry: &Entry) -> bool {
    entry.expire_time.as_ref().is_some_and(|expiry| time::millis(expiry) <= time::now())
}
