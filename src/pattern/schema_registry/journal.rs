//! The journal: every gateway repeats the same changes, in the same order, and appends its own.
//!
//! A read first asks the storage for `head`; if that is the one that the state in memory was made from, the state is up to date,
//! and otherwise the entries between are repeated. So a read sees every write that was acknowledged before it came, on every gateway.
//! A change is planned on the state and appended on condition that `head` is still the one that the state was made from; otherwise it
//! is planned again. What is decided in a plan, such as the next id, is therefore decided once, however many gateways there are and
//! whenever one of them ends. `prism/journal/v1/journal.proto` tells what lies where.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::Mutex;

use super::{
    snapshot,
    state::State,
    store::{Found, Store, aside_key, snapshot_key},
};
use crate::{
    call::{Code, Context, Error},
    proto::journal::v1::{Entry, Head, Operation, Part},
};

/// Operations of more bytes lie aside, so that `head`, which every read fetches, stays small.
const INLINE_BYTES: usize = 4 << 10;
/// Entries without a snapshot, before there is one; also half as many as the state has versions.
const SNAPSHOT_ENTRIES: u64 = 1024;
/// Size of a snapshot's part, unless a single operation is larger.
const PART_BYTES: usize = 256 << 10;
/// How old what never changes may be, its disappearance for good excepted.
const TOUCH_MILLIS: u64 = 500;
/// How often a change is planned again because others were first.
const MAX_ATTEMPTS: u32 = 100;
/// How often the journal is read again because it was cleared meanwhile.
const MAX_READS: u32 = 20;
/// Entries that a writer who lost the answer knows again.
const REMEMBERED: usize = 256;

/// A journal, and the state that it comes to.
pub(super) struct Journal {
    store: Store,
    replica: RwLock<Replica>,
    /// Number of checks that were begun.
    begun: AtomicU64,
    /// Number of the last check that ended well. Held while one goes on, so that those who come meanwhile share the next one.
    check: Mutex<u64>,
    /// Held by who appends, so that writers of one gateway don't get into each other's way.
    turn: Mutex<()>,
    snapshotting: AtomicBool,
    born: Instant,
    /// When the state was last brought up to date in the background, milliseconds after `born`.
    touched: AtomicU64,
}

/// The state, and what it was made from.
#[derive(Default)]
struct Replica {
    state: State,
    at: Place,
    /// Nonces of the last entries.
    recent: VecDeque<Bytes>,
}

/// What is known of `head`.
#[derive(Clone, Default)]
struct Place {
    revision: u64,
    position: u64,
    nonce: Bytes,
    /// The entry, encoded as it will lie under its own key.
    entry: Bytes,
    snapshot_position: u64,
    snapshot_parts: u32,
}

/// What a change comes to: the operations, none if everything is as it should be, and the answer.
pub(super) type Plan<T> = (Vec<Operation>, T);

impl Journal {
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self {
            store,
            replica: RwLock::default(),
            begun: AtomicU64::new(0),
            check: Mutex::new(0),
            turn: Mutex::new(()),
            snapshotting: AtomicBool::new(false),
            born: Instant::now(),
            touched: AtomicU64::new(0),
        })
    }

    /// Looks at the state as it is in memory: up to date only behind [`Journal::fresh`].
    pub fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.read().state)
    }

    /// Brings the state up to date in the background, if that was not done for a while.
    pub fn touch(self: &Arc<Self>, context: &Context) {
        let now = self.born.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let last = self.touched.load(Ordering::Relaxed);
        if now.saturating_sub(last) < TOUCH_MILLIS
            || self.touched.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (journal, context) = (self.clone(), Context::internal(context.namespace.clone()));
        tokio::spawn(async move {
            if let Err(error) = journal.fresh(&context).await {
                tracing::debug!(namespace = %context.namespace, %error, "the journal of the schema registry could not be read in the background");
            }
        });
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
        self.catch_up(context).await?;
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
        let mut fresh = false;
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
        let nonce = Bytes::from(rand::random::<[u8; 16]>().to_vec());
        let mut entry = Entry { nonce: nonce.clone(), previous: at.nonce.clone(), operations, aside: false };
        let mut aside = None;
        if entry.encoded_len() > INLINE_BYTES {
            let part = Part { operations: std::mem::take(&mut entry.operations) };
            let key = aside_key(position, &nonce);
            self.store.set(context, key.clone(), part.encode_to_vec().into()).await?;
            entry.aside = true;
            aside = Some((key, part.operations));
        }
        let place = Place {
            revision: 0,
            position,
            nonce: nonce.clone(),
            entry: entry.encode_to_vec().into(),
            snapshot_position: at.snapshot_position,
            snapshot_parts: at.snapshot_parts,
        };
        let before = (at.position > 0).then(|| (at.position, at.entry.clone()));
        match self.store.append(context, at.revision, before, place.head(entry.clone())).await {
            Ok(Some(revision)) => {
                let operations = aside.map_or(entry.operations, |(_, operations)| operations);
                self.write().advance(at.position, Place { revision, ..place }, operations);
                Ok(true)
            }
            Ok(None) => {
                if let Some((key, _)) = aside {
                    // If this fails, the next snapshot takes it away.
                    let _ = self.store.delete(context, key).await;
                }
                Ok(false)
            }
            // It may have been appended all the same.
            Err(error) => {
                self.fresh(context).await.map_err(|_| error)?;
                Ok(self.read().recent.contains(&nonce))
            }
        }
    }

    async fn catch_up(&self, context: &Context) -> Result<(), Error> {
        let mut anew = false;
        for _ in 0..MAX_READS {
            let known = if anew { Place::default() } else { self.read().at.clone() };
            let Some(found) = self.store.head(context).await? else {
                if known.position > 0 || anew {
                    tracing::warn!(namespace = %context.namespace, "the storage of the schema registry is empty now");
                    *self.write() = Replica::default();
                }
                return Ok(());
            };
            if found.revision == known.revision {
                return Ok(());
            }
            match self.step(context, &known, found, anew).await? {
                Step::Done => return Ok(()),
                Step::Again => {}
                Step::Anew => anew = true,
            }
        }
        Err(Error::backend_unavailable("the journal of the schema registry can't be read as a whole", Duration::from_secs(1)))
    }

    /// From one place to `head`.
    async fn step(&self, context: &Context, known: &Place, found: Found, anew: bool) -> Result<Step, Error> {
        let Found { revision, head: Head { position, entry, snapshot_position, snapshot_parts } } = found;
        let last = entry.unwrap_or_default();
        let place =
            Place { revision, position, nonce: last.nonce.clone(), entry: last.encode_to_vec().into(), snapshot_position, snapshot_parts };
        if position == known.position && place.nonce == known.nonce {
            self.write().advance(position, place, Vec::new());
            return Ok(Step::Done);
        }
        if position <= known.position {
            // An older storage was put back.
            return Ok(Step::Anew);
        }
        let from_snapshot = snapshot_position > known.position;
        let (mut base, mut nonce) = (known.position, Some(known.nonce.clone()));
        let mut operations = Vec::new();
        if from_snapshot {
            let Some(found) = self.store.snapshot(context, snapshot_position, snapshot_parts).await? else { return Ok(Step::Again) };
            operations = found;
            (base, nonce) = (snapshot_position, None);
        }
        let mut recent = Vec::new();
        if position > base {
            let mut entries = if position > base + 1 { self.store.entries(context, base + 1, position - 1).await? } else { Vec::new() };
            if entries.len() as u64 != position - base - 1 {
                return Ok(Step::Again);
            }
            entries.push(last);
            for (entry, number) in entries.into_iter().zip(base + 1..) {
                if nonce.as_ref().is_some_and(|nonce| *nonce != entry.previous) {
                    return Ok(if anew { Step::Again } else { Step::Anew });
                }
                nonce = Some(entry.nonce.clone());
                recent.push(entry.nonce.clone());
                let Some(found) = self.store.operations(context, number, entry).await? else { return Ok(Step::Again) };
                operations.extend(found);
            }
        }
        let mut replica = self.write();
        if from_snapshot || anew {
            *replica = Replica::default();
            replica.at.position = known.position;
        }
        replica.recent.extend(recent);
        replica.advance(known.position, place, operations);
        Ok(Step::Done)
    }

    /// Writes a snapshot in the background, if there are many entries since the last one.
    fn snapshot_if_due(self: &Arc<Self>, context: &Context) {
        let (due, at) = {
            let Replica { state, at, .. } = &*self.read();
            let since = at.position - at.snapshot_position;
            // Counting takes time, so it isn't done each time.
            let due = since >= SNAPSHOT_ENTRIES && at.position % 64 == 0 && since >= state.versions() as u64 / 2;
            (due, at.position)
        };
        if !due || self.snapshotting.swap(true, Ordering::SeqCst) {
            return;
        }
        let (journal, context) = (self.clone(), Context::internal(context.namespace.clone()));
        tokio::spawn(async move {
            if let Err(error) = journal.snapshot(&context).await {
                tracing::warn!(namespace = %context.namespace, position = at, %error, "no snapshot of the schema registry could be written; it is tried again");
            }
            journal.snapshotting.store(false, Ordering::SeqCst);
        });
    }

    async fn snapshot(&self, context: &Context) -> Result<(), Error> {
        let (position, parts) = {
            let replica = self.read();
            (replica.at.position, parts(snapshot::operations(&replica.state)))
        };
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (part, number) in parts.into_iter().zip(0..) {
            self.store.set(context, snapshot_key(position, number), part).await?;
        }
        let _turn = self.turn.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            self.fresh(context).await?;
            let at = self.read().at.clone();
            if at.snapshot_position >= position {
                // Another gateway was first; its clearing takes ours away.
                return Ok(());
            }
            let place = Place { snapshot_position: position, snapshot_parts: count, ..at.clone() };
            let entry = Entry::decode(at.entry.clone())?;
            if let Some(revision) = self.store.append(context, at.revision, None, place.head(entry)).await? {
                self.write().advance(at.position, Place { revision, ..place }, Vec::new());
                return self.store.clear(context, position).await;
            }
        }
        Err(Error::new(Code::Aborted, "CONTENTION", "others were always first"))
    }

    fn read(&self) -> RwLockReadGuard<'_, Replica> {
        self.replica.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Replica> {
        self.replica.write().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Step {
    Done,
    /// The storage was changed under the reader.
    Again,
    /// What is known is not what the storage has; everything has to be read.
    Anew,
}

impl Place {
    fn head(&self, entry: Entry) -> Bytes {
        let head = Head {
            position: self.position,
            entry: Some(entry),
            snapshot_position: self.snapshot_position,
            snapshot_parts: self.snapshot_parts,
        };
        head.encode_to_vec().into()
    }
}

impl Replica {
    /// Goes on from a position, unless somebody has done so meanwhile.
    fn advance(&mut self, from: u64, place: Place, operations: Vec<Operation>) {
        if self.at.position != from || self.at.revision > place.revision {
            return;
        }
        for operation in operations {
            self.state.apply(operation);
        }
        if self.recent.back() != Some(&place.nonce) {
            self.recent.push_back(place.nonce.clone());
        }
        let many = self.recent.len().saturating_sub(REMEMBERED);
        self.recent.drain(..many);
        self.at = place;
    }
}

/// Operations in parts of a size.
fn parts(operations: impl Iterator<Item = Operation>) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let (mut part, mut size) = (Part::default(), 0);
    for operation in operations {
        let length = operation.encoded_len();
        if size > 0 && size + length > PART_BYTES {
            parts.push(std::mem::take(&mut part).encode_to_vec().into());
            size = 0;
        }
        size += length;
        part.operations.push(operation);
    }
    parts.push(part.encode_to_vec().into());
    parts
}
