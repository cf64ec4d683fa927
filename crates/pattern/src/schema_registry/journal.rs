//! The journal: every gateway repeats the same changes, in the same order, and appends its own.
//!
//! A read first asks the storage for `head`; if that is the one that the state in memory was made from, the state is up to date,
//! and otherwise the entries between are repeated. So a read sees every write that was acknowledged before it came, on every gateway.
//! A change is planned on the state and appended on condition that `head` is still the one that the state was made from; otherwise it
//! is planned again. What is decided in a plan, such as the next id, is therefore decided once, however many gateways there are and
//! whenever one of them ends. `prism/journal/v1/journal.proto` tells what lies where.

use std::{
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
    replica::{Place, Replica, Way},
    snapshot,
    state::State,
    store::{Store, aside_key, snapshot_key},
};
use prism_call::{
    Code, Context, Error,
    proto::journal::v1::{Entry, Operation, Part, Snapshot},
};

/// How long it is waited for that what is too old gets new.
const MAX_WAIT: Duration = Duration::from_millis(100);
/// How long ago a change may have seen what it is appended to. A storage that was put back to an older state can come to have
/// another head of the same revision, so that the condition alone would not notice.
const CHANGE_AGE: Duration = Duration::from_secs(1);
/// How often a change is planned again because others were first.
const MAX_ATTEMPTS: u32 = 100;
/// How often the journal is read again because it was cleared meanwhile.
const MAX_READS: u32 = 20;
/// Operations that lie aside are read so many at a time.
const MAX_ASIDE_READS: usize = 16;
/// How long looking after it in the background may take.
const TOUCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a snapshot may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_mins(1);

/// What lies where, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Operations of more bytes lie aside, so that `head`, which every read fetches, stays small.
    pub inline_bytes: usize,
    /// Entries without a snapshot, before there is one; also half as many as the state has versions.
    pub snapshot_entries: u64,
    /// Whether it is time for one is looked at each time that so many entries are there: counting takes its time.
    pub look_entries: u64,
    /// Size of a snapshot's part, unless a single operation is larger.
    pub part_bytes: usize,
    /// How old what never changes may be before it is looked after in the background, its disappearance for good excepted.
    pub touch_age: Duration,
    /// How old it may be before that is waited for: so long after a deletion for good, other gateways may tell what is gone.
    pub max_age: Duration,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            inline_bytes: 4 << 10,
            snapshot_entries: 1024,
            look_entries: 64,
            part_bytes: 256 << 10,
            touch_age: Duration::from_millis(500),
            max_age: Duration::from_secs(5),
        }
    }
}

/// A journal, and the state that it comes to.
pub(super) struct Journal {
    store: Store,
    sizes: Sizes,
    replica: RwLock<Replica>,
    /// Number of checks that were begun.
    begun: AtomicU64,
    /// Number of the last check that ended well. Held while one goes on, so that those who come meanwhile share the next one.
    check: Mutex<u64>,
    /// Held by who appends, so that writers of one gateway don't get into each other's way.
    turn: Mutex<()>,
    snapshotting: AtomicBool,
    born: Instant,
    /// When the state was last known to be up to date, and when that was last begun in the background: milliseconds after `born`.
    seen: AtomicU64,
    touched: AtomicU64,
}

/// What a change comes to: the operations, none if everything is as it should be, and the answer.
pub(super) type Plan<T> = (Vec<Operation>, T);

impl Journal {
    pub fn new(store: Store, sizes: Sizes) -> Arc<Self> {
        Arc::new(Self {
            store,
            sizes,
            replica: RwLock::default(),
            begun: AtomicU64::new(0),
            check: Mutex::new(0),
            turn: Mutex::new(()),
            snapshotting: AtomicBool::new(false),
            born: Instant::now(),
            seen: AtomicU64::new(0),
            touched: AtomicU64::new(0),
        })
    }

    /// Looks at the state as it is in memory: up to date only behind [`Journal::fresh`].
    pub fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.read().state)
    }

    /// Keeps the state from getting old: in the background if that was not done for a while, and at once if for long. A storage
    /// that doesn't answer is no reason not to look.
    pub async fn touch(self: &Arc<Self>, context: &Context) {
        let Sizes { touch_age, max_age, .. } = self.sizes;
        let age = self.age();
        if age <= touch_age {
            return;
        }
        let (now, last) = (self.clock(), self.touched.load(Ordering::Relaxed));
        let due = Duration::from_millis(now.saturating_sub(last)) > touch_age;
        if due && self.touched.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let (journal, context) = (self.clone(), Context::internal(context.namespace.clone()).with_timeout(TOUCH_TIMEOUT));
            tokio::spawn(async move {
                if let Err(error) = journal.fresh(&context).await {
                    tracing::debug!(namespace = %context.namespace, %error, "the journal of the schema registry could not be read in the background");
                }
            });
        }
        if age > max_age {
            // Whether it succeeds or not: what is known is told.
            let _ = tokio::time::timeout(MAX_WAIT, self.fresh(context)).await;
        }
    }

    /// Looks at the state as it is now.
    pub async fn now<T>(&self, context: &Context, read: impl FnOnce(&State) -> T) -> Result<T, Error> {
        self.fresh(context).await?;
        Ok(self.look(read))
    }

    /// Makes sure that the state has everything that was acknowledged before this was called.
    pub async fn fresh(&self, context: &Context) -> Result<(), Error> {
        let seen = self.begun.load(Ordering::SeqCst);
        let mut ended = self.check.lock().await;
        if *ended > seen {
            // One that was begun after this call came, and ended while it waited.
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.clock();
        self.catch_up(context).await?;
        self.seen.fetch_max(now, Ordering::Relaxed);
        *ended = number;
        Ok(())
    }

    /// Changes the state: `plan` is called until what it says could be appended to the state that it was said of.
    pub async fn change<T>(
        self: &Arc<Self>,
        context: &Context,
        mut plan: impl FnMut(&State) -> Result<Plan<T>, Error>,
    ) -> Result<T, Error> {
        let _turn = self.turn.lock().await;
        // A state that is behind is no harm to a change, since that can't be appended to it. But a refusal, or that there is
        // nothing to do, has to be said of what is now.
        let mut fresh = self.age() > CHANGE_AGE;
        if fresh {
            self.fresh(context).await?;
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
            self.fresh(context).await?;
            fresh = true;
        }
        Err(Error::new(Code::Aborted, "CONTENTION", "others changed the registry each time before this change could be made; try again")
            .with_retry_after(Duration::from_millis(100)))
    }

    /// Appends an entry behind the place; whether it could be.
    async fn append(&self, context: &Context, at: &Place, operations: Vec<Operation>) -> Result<bool, Error> {
        let position = at.position + 1;
        let nonce = nonce();
        let mut entry = Entry { nonce: nonce.clone(), previous: at.nonce.clone(), operations, aside: false };
        let mut aside = None;
        if entry.encoded_len() > self.sizes.inline_bytes {
            let part = Part { operations: std::mem::take(&mut entry.operations) };
            let key = aside_key(position, &nonce);
            self.store.set(context, key.clone(), part.encode_to_vec().into()).await?;
            entry.aside = true;
            aside = Some((key, part.operations));
        }
        let encoded = Bytes::from(entry.encode_to_vec());
        let place = Place { revision: 0, position, nonce: nonce.clone(), entry: encoded, snapshot: at.snapshot.clone() };
        let now = self.clock();
        match self.store.append(context, at, &place).await {
            Ok(Some(revision)) => {
                let operations = aside.map_or(entry.operations, |(_, operations)| operations);
                let way = Way { base: None, entries: vec![(nonce, operations)] };
                self.write().follow(at, way, Place { revision, ..place });
                self.seen.fetch_max(now, Ordering::Relaxed);
                Ok(true)
            }
            Ok(None) => {
                if let Some((key, _)) = aside {
                    // If this fails, the next snapshot takes it away.
                    let _ = self.store.delete(context, key).await;
                }
                Ok(false)
            }
            // It may have been appended all the same. If it is not there, that may still come, so it isn't tried again.
            Err(error) => match self.fresh(context).await {
                Ok(()) if self.read().has(&nonce) => Ok(true),
                _ => Err(error),
            },
        }
    }

    async fn catch_up(&self, context: &Context) -> Result<(), Error> {
        let mut anew = false;
        for _ in 0..MAX_READS {
            let from = self.read().at.clone();
            let Some((to, last)) = self.store.head(context).await? else {
                let mut replica = self.write();
                if replica.at != from {
                    continue;
                }
                if from.position > 0 {
                    tracing::warn!(namespace = %context.namespace, "the storage of the schema registry is empty now");
                    replica.clear();
                }
                return Ok(());
            };
            // Other entries with the same revision: the storage was put back to an older state, and has gone on since.
            if to == from {
                return Ok(());
            }
            match self.way(context, &from, &to, last, anew).await? {
                Found::Way(way) => {
                    if anew {
                        tracing::warn!(namespace = %context.namespace, position = to.position, "the storage of the schema registry has another history now");
                    }
                    if self.write().follow(&from, way, to) {
                        return Ok(());
                    }
                }
                Found::Changed => {}
                Found::Other => anew = true,
            }
        }
        Err(Error::backend_unavailable("the journal of the schema registry can't be read as a whole", Duration::from_secs(1)))
    }

    /// What is between a place and `head`, or, if `anew`, all that comes to `head`.
    async fn way(&self, context: &Context, from: &Place, to: &Place, last: Entry, anew: bool) -> Result<Found, Error> {
        if !anew && to.position <= from.position {
            // With the same entry, only the snapshot is another one.
            let same = to.position == from.position && to.nonce == from.nonce;
            return Ok(if same { Found::Way(Way::default()) } else { Found::Other });
        }
        let (mut base, mut position, mut previous) = (None, from.position, Some(from.nonce.clone()));
        if to.snapshot.position > position || anew && to.snapshot.position > 0 {
            let Some(operations) = self.store.snapshot(context, &to.snapshot).await? else { return Ok(Found::Changed) };
            (base, position, previous) = (Some(operations), to.snapshot.position, None);
        } else if anew {
            (base, position, previous) = (Some(Vec::new()), 0, Some(Bytes::new()));
        }
        let mut entries = Vec::new();
        if to.position > position {
            let behind = position + 1;
            let mut found = if to.position > behind { self.store.entries(context, behind, to.position - 1).await? } else { Vec::new() };
            found.push(last);
            if found.len() as u64 != to.position - position {
                return Ok(Found::Changed);
            }
            for entry in &found {
                if previous.is_some_and(|previous| previous != entry.previous) {
                    return Ok(if anew { Found::Changed } else { Found::Other });
                }
                previous = Some(entry.nonce.clone());
            }
            let read = stream::iter(found.into_iter().zip(behind..)).map(|(entry, number)| async move {
                let nonce = entry.nonce.clone();
                let operations = self.store.operations(context, number, entry).await?;
                Ok::<_, Error>(operations.map(|operations| (nonce, operations)))
            });
            let read: Vec<_> = read.buffered(MAX_ASIDE_READS).try_collect().await?;
            let Some(read) = read.into_iter().collect() else { return Ok(Found::Changed) };
            entries = read;
        }
        Ok(Found::Way(Way { base, entries }))
    }

    /// Writes a snapshot in the background, if there are many entries since the last one.
    fn snapshot_if_due(self: &Arc<Self>, context: &Context) {
        let (due, at) = {
            let Replica { state, at, .. } = &*self.read();
            let since = at.position.saturating_sub(at.snapshot.position);
            let look = since >= self.sizes.snapshot_entries && at.position % self.sizes.look_entries == 0;
            // What a later release has said would be missing in it.
            (look && !state.is_partial() && since >= state.versions() as u64 / 2, at.position)
        };
        if !due || self.snapshotting.swap(true, Ordering::SeqCst) {
            return;
        }
        let (journal, context) = (self.clone(), Context::internal(context.namespace.clone()).with_timeout(SNAPSHOT_TIMEOUT));
        tokio::spawn(async move {
            if let Err(error) = journal.snapshot(&context).await {
                tracing::warn!(namespace = %context.namespace, position = at, %error, "no snapshot of the schema registry could be written; it is tried again");
            }
            journal.snapshotting.store(false, Ordering::SeqCst);
        });
    }

    /// Writes a snapshot of the state in memory, and removes what it makes superfluous.
    pub async fn snapshot(&self, context: &Context) -> Result<(), Error> {
        let (position, line, parts) = {
            let replica = self.read();
            (replica.at.position, replica.line, snapshot::parts(&replica.state, self.sizes.part_bytes))
        };
        let snapshot = Snapshot { position, parts: u32::try_from(parts.len()).unwrap_or(u32::MAX), nonce: nonce() };
        for (part, number) in parts.into_iter().zip(0..) {
            self.store.set(context, snapshot_key(&snapshot, number), part).await?;
        }
        if self.publish(context, &snapshot, line).await? { self.store.clear(context, position).await } else { Ok(()) }
    }

    /// Tells of a snapshot in `head`, unless another gateway was first, or the storage has another history now: then the next
    /// clearing takes its parts away.
    async fn publish(&self, context: &Context, snapshot: &Snapshot, line: u64) -> Result<bool, Error> {
        let _turn = self.turn.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            self.fresh(context).await?;
            let (at, now) = {
                let replica = self.read();
                (replica.at.clone(), replica.line)
            };
            if now != line || at.snapshot.position >= snapshot.position {
                return Ok(false);
            }
            let place = Place { snapshot: snapshot.clone(), ..at.clone() };
            if let Some(revision) = self.store.append(context, &at, &place).await? {
                self.write().follow(&at, Way::default(), Place { revision, ..place });
                return Ok(true);
            }
        }
        Err(Error::new(Code::Aborted, "CONTENTION", "others were always first"))
    }

    /// How long ago the state was up to date.
    fn age(&self) -> Duration {
        Duration::from_millis(self.clock().saturating_sub(self.seen.load(Ordering::Relaxed)))
    }

    /// Milliseconds since this was made.
    fn clock(&self) -> u64 {
        self.born.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn read(&self) -> RwLockReadGuard<'_, Replica> {
        self.replica.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Replica> {
        self.replica.write().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Found {
    Way(Way),
    /// The storage was changed under the reader.
    Changed,
    /// The storage has another history than what is known; everything has to be read.
    Other,
}

fn nonce() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; 16]>())
}
