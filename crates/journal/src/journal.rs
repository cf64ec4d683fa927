//! Reading and changing a state through its journal.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use tokio::sync::Mutex;

use super::{
    options::JournalOptions,
    replica::{JournalHead, JournalSegment, Replica},
    snapshot::encode_parts,
    state::JournalState,
    store::{Store, aside_key, decode_operations, snapshot_key},
};
use prism_call::{
    BackgroundTasks, Code, Context, Error,
    proto::journal::v1::{Entry, Part, Snapshot},
};

/// How long a read waits for the refresh of a state that is too old.
const MAX_WAIT: Duration = Duration::from_millis(100);
/// Greatest age of the state that a change is planned on without a refresh. A storage that was restored from a backup can reach another
/// head with the same revision; the condition on the revision alone would not detect that.
const CHANGE_AGE: Duration = Duration::from_secs(1);
/// Greatest number of plans for one change, if other writers append first each time.
const MAX_ATTEMPTS: u32 = 100;
/// Greatest number of attempts to read the journal, if it is compacted during each.
const MAX_READS: u32 = 20;
/// Number of operations under keys of their own (`aside`) that are read concurrently.
const MAX_ASIDE_READS: usize = 16;
/// Timeout of a refresh in the background.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of writing a snapshot.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_mins(1);

/// A journal, and the state that results from it.
pub struct Journal<S: JournalState> {
    store: Store,
    options: JournalOptions,
    /// Refreshes and snapshots in the background.
    tasks: BackgroundTasks,
    replica: RwLock<Replica<S>>,
    /// Number of checks that were started.
    checks_started: AtomicU64,
    /// Number of the last check that succeeded. Locked during a check, so that all callers that arrive meanwhile share the next one.
    last_check: Mutex<u64>,
    /// Locked during an append, so that writers of one gateway don't conflict with each other.
    append_lock: Mutex<()>,
    snapshotting: AtomicBool,
    created: Instant,
    /// When the state was last known to be up to date, and when the last refresh in the background started: milliseconds after
    /// `created`.
    fresh_at: AtomicU64,
    refresh_started_at: AtomicU64,
}

/// A planned change: its operations (none if there is nothing to change), and the result for the caller.
pub type Plan<S, T> = (Vec<<S as JournalState>::Operation>, T);

impl<S: JournalState> fmt::Debug for Journal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<S: JournalState> Journal<S> {
    /// Opens the journal in a store, without reading it. Its work in the background is among `tasks`.
    pub fn new(store: Store, options: JournalOptions, tasks: BackgroundTasks) -> Arc<Self> {
        Arc::new(Self {
            store,
            options,
            tasks,
            replica: RwLock::default(),
            checks_started: AtomicU64::new(0),
            last_check: Mutex::new(0),
            append_lock: Mutex::new(()),
            snapshotting: AtomicBool::new(false),
            created: Instant::now(),
            fresh_at: AtomicU64::new(0),
            refresh_started_at: AtomicU64::new(0),
        })
    }

    /// Reads the state in memory, without a refresh.
    pub fn read_known<T>(&self, read: impl FnOnce(&S) -> T) -> T {
        read(&self.read().state)
    }

    /// Limits the age of the state: refreshes it in the background after `touch_age`, and waits for the refresh after `max_age`. If the
    /// storage does not answer, the state stays as it is.
    pub async fn limit_age(self: &Arc<Self>, context: &Context) {
        let JournalOptions { touch_age, max_age, .. } = self.options;
        let age = self.age();
        if age <= touch_age {
            return;
        }
        let (now, last) = (self.clock(), self.refresh_started_at.load(Ordering::Relaxed));
        let due = Duration::from_millis(now.saturating_sub(last)) > touch_age;
        if due && self.refresh_started_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.refresh_in_background(&context.namespace);
        }
        if age > max_age {
            // If the refresh fails, the caller reads the old state.
            let _ = tokio::time::timeout(MAX_WAIT, self.refresh(context)).await;
        }
    }

    /// Refreshes the state in the background, so that a later read has less to wait for.
    pub fn refresh_in_background(self: &Arc<Self>, namespace: &Arc<str>) {
        let (journal, context) = (self.clone(), Context::internal(namespace.clone()).with_timeout(BACKGROUND_TIMEOUT));
        self.tasks.spawn(async move {
            if let Err(error) = journal.refresh(&context).await {
                tracing::debug!(namespace = %context.namespace, %error, "the journal of {} could not be read in the background", S::SUBJECT);
            }
        });
    }

    /// Refreshes the state and reads it.
    pub async fn read_fresh<T>(&self, context: &Context, read: impl FnOnce(&S) -> T) -> Result<T, Error> {
        self.refresh(context).await?;
        Ok(self.read_known(read))
    }

    /// Brings the state up to date with everything that was acknowledged before this call.
    pub async fn refresh(&self, context: &Context) -> Result<(), Error> {
        let started = self.checks_started.load(Ordering::SeqCst);
        let mut ended = self.last_check.lock().await;
        if *ended > started {
            // This check started after this call arrived, and ended while this call waited.
            return Ok(());
        }
        let number = self.checks_started.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.clock();
        self.catch_up(context).await?;
        self.fresh_at.fetch_max(now, Ordering::Relaxed);
        *ended = number;
        Ok(())
    }

    /// Changes the state: calls `plan` until its operations could be appended to the state that it planned on.
    pub async fn change<T>(self: &Arc<Self>, context: &Context, mut plan: impl FnMut(&S) -> Result<Plan<S, T>, Error>) -> Result<T, Error> {
        let _turn = self.append_lock.lock().await;
        // An old state does no harm to a change, since appending to it fails. But an error, or a plan without operations, must be based
        // on the current state.
        let mut fresh = self.age() > CHANGE_AGE;
        if fresh {
            self.refresh(context).await?;
        }
        for attempt in 0..MAX_ATTEMPTS {
            let (at, planned) = {
                let replica = self.read();
                (replica.at.clone(), plan(&replica.state))
            };
            match planned {
                Ok((operations, answer)) if !operations.is_empty() => {
                    if self.append(context, &at, operations).await? {
                        self.snapshot_if_due(context);
                        return Ok(answer);
                    }
                    if attempt > 0 {
                        tokio::time::sleep(Duration::from_micros(rand::random_range(0..500 << attempt.min(6)))).await;
                    }
                }
                settled if fresh => return settled.map(|(_, answer)| answer),
                _ => {}
            }
            self.refresh(context).await?;
            fresh = true;
        }
        let message = format!("others changed {} each time before this change could be made; try again", S::SUBJECT);
        Err(Error::new(Code::Aborted, "CONTENTION", message).with_retry_after(Duration::from_millis(100)))
    }

    /// Appends an entry after a head. Returns `false` if the storage has another head now.
    async fn append(&self, context: &Context, at: &JournalHead, operations: Vec<S::Operation>) -> Result<bool, Error> {
        let position = at.position + 1;
        let nonce = nonce();
        let encoded = operations.iter().map(|operation| operation.encode_to_vec().into()).collect();
        let mut entry = Entry { nonce: nonce.clone(), previous: at.nonce.clone(), operations: encoded, aside: false };
        let mut aside = None;
        if entry.encoded_len() > self.options.inline_bytes {
            let part = Part { operations: std::mem::take(&mut entry.operations) };
            let key = aside_key(position, &nonce);
            self.store.set(context, key.clone(), part.encode_to_vec().into()).await?;
            entry.aside = true;
            aside = Some(key);
        }
        let encoded = Bytes::from(entry.encode_to_vec());
        let head = JournalHead { revision: 0, position, nonce: nonce.clone(), entry: encoded, snapshot: at.snapshot.clone() };
        let now = self.clock();
        match self.store.append(context, at, &head).await {
            Ok(Some(revision)) => {
                let segment = JournalSegment { base: None, entries: vec![(nonce, operations)] };
                self.write().advance(at, segment, JournalHead { revision, ..head });
                self.fresh_at.fetch_max(now, Ordering::Relaxed);
                Ok(true)
            }
            Ok(None) => {
                if let Some(key) = aside {
                    // If this fails, the compaction after the next snapshot removes the key.
                    let _ = self.store.delete(context, key).await;
                }
                Ok(false)
            }
            // The entry may have been appended despite the error. If it is not there, it may still arrive, so the append is not retried.
            Err(error) => match self.refresh(context).await {
                Ok(()) if self.read().has_applied(&nonce) => Ok(true),
                _ => Err(error),
            },
        }
    }

    async fn catch_up(&self, context: &Context) -> Result<(), Error> {
        let mut from_scratch = false;
        for _ in 0..MAX_READS {
            let from = self.read().at.clone();
            let Some((to, last)) = self.store.head(context).await? else {
                let mut replica = self.write();
                if replica.at != from {
                    continue;
                }
                if from.position > 0 {
                    tracing::warn!(namespace = %context.namespace, "the storage of {} is now empty", S::SUBJECT);
                    replica.clear();
                }
                return Ok(());
            };
            // Compares all of the head: a restored storage can have other entries under the same revision.
            if to == from {
                return Ok(());
            }
            match self.read_segment(context, &from, &to, last, from_scratch).await? {
                SegmentRead::Complete(segment) => {
                    if from_scratch {
                        tracing::warn!(namespace = %context.namespace, position = to.position, "the storage of {} has another history now", S::SUBJECT);
                    }
                    if self.write().advance(&from, segment, to) {
                        return Ok(());
                    }
                }
                SegmentRead::Changed => {}
                SegmentRead::OtherHistory => from_scratch = true,
            }
        }
        Err(Error::backend_unavailable(format!("the journal of {} can't be read as a whole", S::SUBJECT), Duration::from_secs(1)))
    }

    /// Reads the entries between two heads or, with `from_scratch`, everything up to `to`.
    async fn read_segment(
        &self,
        context: &Context,
        from: &JournalHead,
        to: &JournalHead,
        last: Entry,
        from_scratch: bool,
    ) -> Result<SegmentRead<S::Operation>, Error> {
        if !from_scratch && to.position <= from.position {
            // If the entry is the same, only the snapshot differs.
            let same = to.position == from.position && to.nonce == from.nonce;
            return Ok(if same { SegmentRead::Complete(JournalSegment::default()) } else { SegmentRead::OtherHistory });
        }
        let (mut base, mut position, mut previous) = (None, from.position, Some(from.nonce.clone()));
        if to.snapshot.position > position || from_scratch && to.snapshot.position > 0 {
            let Some(operations) = self.store.snapshot(context, &to.snapshot).await? else { return Ok(SegmentRead::Changed) };
            (base, position, previous) = (Some(decode_operations(operations)?), to.snapshot.position, None);
        } else if from_scratch {
            (base, position, previous) = (Some(Vec::new()), 0, Some(Bytes::new()));
        }
        let mut entries = Vec::new();
        if to.position > position {
            let next = position + 1;
            let mut found = if to.position > next { self.store.entries(context, next, to.position - 1).await? } else { Vec::new() };
            found.push(last);
            if found.len() as u64 != to.position - position {
                return Ok(SegmentRead::Changed);
            }
            for entry in &found {
                if previous.is_some_and(|previous| previous != entry.previous) {
                    return Ok(if from_scratch { SegmentRead::Changed } else { SegmentRead::OtherHistory });
                }
                previous = Some(entry.nonce.clone());
            }
            let read = stream::iter(found.into_iter().zip(next..)).map(|(entry, number)| async move {
                let nonce = entry.nonce.clone();
                let operations = self.store.operations(context, number, entry).await?;
                Ok::<_, Error>(operations.map(decode_operations).transpose()?.map(|operations| (nonce, operations)))
            });
            let read: Vec<_> = read.buffered(MAX_ASIDE_READS).try_collect().await?;
            let Some(read) = read.into_iter().collect() else { return Ok(SegmentRead::Changed) };
            entries = read;
        }
        Ok(SegmentRead::Complete(JournalSegment { base, entries }))
    }

    /// Writes a snapshot in the background, if there are many entries since the last one.
    fn snapshot_if_due(self: &Arc<Self>, context: &Context) {
        let (due, at) = {
            let Replica { state, at, .. } = &*self.read();
            let since = at.position.saturating_sub(at.snapshot.position);
            let look = since >= self.options.snapshot_entries && at.position % self.options.look_entries == 0;
            // A snapshot of a partial state would lose the operations of a later release.
            (look && !state.is_partial() && since >= state.snapshot_len() as u64 / 2, at.position)
        };
        if !due || self.snapshotting.swap(true, Ordering::SeqCst) {
            return;
        }
        let (journal, context) = (self.clone(), Context::internal(context.namespace.clone()).with_timeout(SNAPSHOT_TIMEOUT));
        self.tasks.spawn(async move {
            if let Err(error) = journal.snapshot(&context).await {
                tracing::warn!(namespace = %context.namespace, position = at, %error, "writing a snapshot of {} failed; it will be retried", S::SUBJECT);
            }
            journal.snapshotting.store(false, Ordering::SeqCst);
        });
    }

    /// Writes a snapshot of the state in memory, and removes the keys that are no longer needed.
    pub async fn snapshot(&self, context: &Context) -> Result<(), Error> {
        let (position, generation, parts) = {
            let replica = self.read();
            (replica.at.position, replica.generation, encode_parts(&replica.state, self.options.part_bytes))
        };
        let snapshot = Snapshot { position, parts: u32::try_from(parts.len()).unwrap_or(u32::MAX), nonce: nonce() };
        for (part, number) in parts.into_iter().zip(0..) {
            self.store.set(context, snapshot_key(&snapshot, number), part).await?;
        }
        if self.publish(context, &snapshot, generation).await? { self.store.clear(context, position).await } else { Ok(()) }
    }

    /// Publishes a snapshot in `head`. Returns `false` if another gateway was first, or if the storage has another history now; then
    /// the next compaction removes the parts of this snapshot.
    async fn publish(&self, context: &Context, snapshot: &Snapshot, generation: u64) -> Result<bool, Error> {
        let _turn = self.append_lock.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            self.refresh(context).await?;
            let (at, now) = {
                let replica = self.read();
                (replica.at.clone(), replica.generation)
            };
            if now != generation || at.snapshot.position >= snapshot.position {
                return Ok(false);
            }
            let head = JournalHead { snapshot: snapshot.clone(), ..at.clone() };
            if let Some(revision) = self.store.append(context, &at, &head).await? {
                self.write().advance(&at, JournalSegment::default(), JournalHead { revision, ..head });
                return Ok(true);
            }
        }
        let message = format!("other gateways changed {} each time before the snapshot could be published", S::SUBJECT);
        Err(Error::new(Code::Aborted, "CONTENTION", message))
    }

    /// Returns how long ago the state was up to date.
    fn age(&self) -> Duration {
        Duration::from_millis(self.clock().saturating_sub(self.fresh_at.load(Ordering::Relaxed)))
    }

    /// Returns the milliseconds since the journal was created.
    fn clock(&self) -> u64 {
        self.created.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn read(&self) -> RwLockReadGuard<'_, Replica<S>> {
        self.replica.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Replica<S>> {
        self.replica.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of reading a segment.
enum SegmentRead<O> {
    Complete(JournalSegment<O>),
    /// The storage changed during the read; it must be repeated.
    Changed,
    /// The storage has another history than the known state; everything must be read.
    OtherHistory,
}

fn nonce() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; 16]>())
}
