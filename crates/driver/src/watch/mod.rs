//! Watches: current entries, then changes, from the history of a keyspace.
//!
//! A driver keeps a history, a bounded log of changes, and implements [`ChangeLog`] over it. The rest is the same for all drivers:
//! [`watch`] makes the stream of one watcher, and a [`Tail`] reads the end of the history once for all watchers of a keyspace. A
//! watcher has no queue of its own. It reads the next changes when its client has taken the last ones, so a slow one delays nobody,
//! and gets a gap when its next change has left the history.

mod cursor;
mod permits;
mod renewal;
mod tail;
mod watcher;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Limits, check};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{Entry, RemovedKey, ScanRequest, ScanResponse},
};

pub use permits::WatchPermits;
pub use renewal::Renewal;
pub use tail::{Tail, TailSlot};
pub use watcher::watch;

/// Most changes of a history.
pub const HISTORY_CHANGES: usize = 10_000;
/// Most bytes of keys and values of a history. The last change is kept even if it is larger.
pub const HISTORY_BYTES: u64 = 64 << 20;
/// Most changes of a page.
pub const PAGE_CHANGES: usize = 256;
/// A page ends after the change with which it has this many bytes.
pub const PAGE_BYTES: usize = 4 << 20;
/// How long a history is kept, and continued, after the last watcher of a keyspace has left, in milliseconds.
pub const HISTORY_MILLIS: i64 = 3_600_000;

/// The history of one keyspace.
///
/// # Behavior
/// - Positions increase with every change, and changes of one key are in the order in which they happened.
/// - What [`read`](Self::read) returns is final: no later change gets a position at or before the end of a page.
#[async_trait]
pub trait ChangeLog: Send + Sync + 'static {
    /// The limits of keys.
    fn limits(&self) -> &Limits;

    /// Whether the backend was closed, so that waiting for it is useless.
    fn is_closed(&self) -> bool;

    /// Returns the end of the history, and starts to record one if that is necessary. Every write that is not in the history before
    /// the end is one that [`entries`](Self::entries) returns from now on, or that a later page has.
    async fn head(&self, context: &Context) -> Result<Head, Error>;

    /// Returns the changes after a position, at most a page. `None`: the history no longer has all of them, or it is another one.
    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error>;

    /// Returns when there may be changes after a position. May return earlier.
    async fn changed(&self, epoch: u64, after: u64) -> Result<(), Error>;

    /// Returns entries as `keyvalue_scan.Scan` does.
    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error>;
}

/// The end of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Distinguishes histories: positions of another one mean nothing.
    pub epoch: u64,
    /// The position of the last change.
    pub position: u64,
    /// No write up to this position has a greater revision, and every write with a greater one comes in a later change.
    pub revision: u64,
}

/// Changes that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order of their positions.
    pub changes: Vec<Arc<Change>>,
    /// All changes up to this position are in the page or before it.
    pub end: u64,
}

impl Page {
    /// The first page of changes that follow each other. `end` is the position up to which these are all.
    pub fn first<'c>(changes: impl Iterator<Item = &'c Arc<Change>>, end: u64) -> Self {
        let (mut page, mut bytes) = (Self { changes: Vec::new(), end }, 0);
        for change in changes {
            if let Some(last) = page.changes.last()
                && (page.changes.len() >= PAGE_CHANGES || bytes >= PAGE_BYTES as u64)
            {
                page.end = last.position;
                break;
            }
            bytes += change.bytes();
            page.changes.push(change.clone());
        }
        page
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the history.
    pub position: u64,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeKind {
    /// A value was written.
    Stored(Entry),
    /// The key was deleted or has expired.
    Removed(RemovedKey),
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &Bytes {
        match &self.kind {
            ChangeKind::Stored(entry) => &entry.key,
            ChangeKind::Removed(removed) => &removed.key,
        }
    }

    /// Bytes of the key and the value.
    pub fn bytes(&self) -> u64 {
        let value = match &self.kind {
            ChangeKind::Stored(entry) => entry.value.len(),
            ChangeKind::Removed(_) => 0,
        };
        (self.key().len() + value) as u64
    }
}

/// The keys that a watcher asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WatchedKeys {
    /// One key.
    Key(Bytes),
    /// All keys with a prefix, which may be empty.
    Prefix(Bytes),
}

impl WatchedKeys {
    fn new(limits: &Limits, key: Bytes, prefix: Bytes) -> Result<Self, Error> {
        check::key_bound(limits, "key", &key)?;
        check::key_bound(limits, "prefix", &prefix)?;
        match (key.is_empty(), prefix.is_empty()) {
            (true, _) => Ok(Self::Prefix(prefix)),
            (false, true) => Ok(Self::Key(key)),
            (false, false) => Err(Error::invalid("prefix", "must be empty if `key` is set")),
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(one) => one == key,
            Self::Prefix(prefix) => key.starts_with(prefix),
        }
    }

    /// The scan of the entries behind a key; an empty key: of all. It may return others.
    fn scan(&self, after: &[u8]) -> ScanRequest {
        let cursor = crate::cursor::encode(after);
        match self {
            // Another key, if this one does not exist.
            Self::Key(key) => ScanRequest { start_key: key.clone(), limit: 1, cursor, ..ScanRequest::default() },
            Self::Prefix(prefix) => ScanRequest { prefix: prefix.clone(), cursor, ..ScanRequest::default() },
        }
    }
}
