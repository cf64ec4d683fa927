//! The last changes of a keyspace, which exist while it is watched, and for some time after that.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{StoredEntry, entry_size};
use crate::state::SharedState;
use prism_call::proto::models::keyvalue::v1::RemovedKey;
use prism_driver::{
    id,
    time::{self, Millis},
    watch::{Change, ChangeKind, HISTORY_MILLIS, Head, Page},
};

/// The last changes of a keyspace. Their bytes count towards `max_bytes`; if that is reached, the history gives them up.
pub struct History {
    shared: Arc<SharedState>,
    epoch: u64,
    /// The changes, without a gap.
    changes: VecDeque<Arc<Change>>,
    /// Position of the last change.
    last: watch::Sender<u64>,
    bytes: u64,
    /// When somebody watched last.
    watched: AtomicI64,
}

impl History {
    pub fn new(shared: Arc<SharedState>) -> Self {
        let (last, watched) = (watch::Sender::new(0), AtomicI64::new(time::now()));
        Self { shared, epoch: id::random_number(), changes: VecDeque::new(), last, bytes: 0, watched }
    }

    /// The end of the history, for a keyspace whose last revision is given.
    pub fn head(&self, revision: u64) -> Head {
        self.note_watch(time::now());
        Head { epoch: self.epoch, position: *self.last.borrow(), revision }
    }

    /// Whether nobody has watched for so long that the history ends. The sweeper calls it regularly.
    pub fn has_ended(&self, now: Millis) -> bool {
        if self.last.receiver_count() > 0 {
            self.note_watch(now);
        }
        now - self.watched.load(Ordering::Relaxed) >= HISTORY_MILLIS
    }

    fn note_watch(&self, now: Millis) {
        self.watched.store(now, Ordering::Relaxed);
    }

    /// The position of the last change, for waiting.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Adds a write of a value.
    pub fn add_stored(&mut self, key: &Bytes, stored: &StoredEntry) {
        self.add(ChangeKind::Stored(stored.to_entry(key.clone())));
    }

    /// Adds the removal of an entry.
    pub fn add_removed(&mut self, key: &Bytes, removed: &StoredEntry, expired: bool) {
        // A copy: the key of a deletion may be a part of a large request.
        let key = Bytes::copy_from_slice(key);
        self.add(ChangeKind::Removed(RemovedKey { key, previous_revision: removed.metadata.numbers.revision, expired }));
    }

    fn add(&mut self, kind: ChangeKind) {
        let position = *self.last.borrow() + 1;
        let change = Change { position, kind };
        let bytes = size(&change);
        let max_changes = self.shared.settings.watch_history.to_usize();
        let max_bytes = *self.shared.settings.max_bytes / 16;
        while !self.changes.is_empty() && (self.changes.len() >= max_changes || self.bytes + bytes > max_bytes) {
            self.remove_oldest();
        }
        while self.shared.reserve(bytes).is_err() {
            if !self.remove_oldest() {
                // Not even this change finds room. Watchers get a gap.
                self.last.send_replace(position);
                return;
            }
        }
        self.bytes += bytes;
        self.changes.push_back(Arc::new(change));
        self.last.send_replace(position);
    }

    /// Gives up all changes. Returns false if there were none.
    pub fn clear(&mut self) -> bool {
        let any = !self.changes.is_empty();
        self.changes.clear();
        self.shared.release(std::mem::take(&mut self.bytes));
        any
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(oldest) = self.changes.pop_front() else { return false };
        let bytes = size(&oldest);
        self.bytes -= bytes;
        self.shared.release(bytes);
        true
    }

    /// The changes after a position; `None` if the history does not have all of them.
    pub fn page(&self, epoch: u64, after: u64) -> Option<Page> {
        self.note_watch(time::now());
        let last = *self.last.borrow();
        let first = self.changes.front().map_or(last + 1, |change| change.position);
        if epoch != self.epoch || after > last || after + 1 < first {
            return None;
        }
        let skip = usize::try_from(after + 1 - first).unwrap_or(usize::MAX).min(self.changes.len());
        Some(Page::first(self.changes.range(skip..), last))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.clear();
    }
}

fn size(change: &Change) -> u64 {
    let value = match &change.kind {
        ChangeKind::Stored(entry) => &entry.value[..],
        ChangeKind::Removed(_) => &[],
    };
    entry_size(change.key(), value)
}
