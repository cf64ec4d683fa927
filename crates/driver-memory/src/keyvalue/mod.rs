//! KeyValue: one ordered map for each keyspace, under a lock that is held for short operations only.

mod basic;
mod batch;
mod cas;
mod history;
mod scan;
#[cfg(test)]
mod tests;
mod transactional;
mod ttl;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;

use self::{history::History, scan::Scan, watch::Watch};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{
    Error,
    proto::{Interfaces, models::keyvalue::v1::Entry},
};
use prism_driver::{
    Limits,
    keyvalue::EntryMetadata,
    time::{self, Millis},
    transactions::{Numbers, Transactions},
    watch::Head,
};

/// Expired entries that each write removes, so that they are removed even if the sweeper is late.
const EXPIRED_PER_WRITE: usize = 4;
/// Expired entries that the sweeper removes while it holds the lock once.
const EXPIRED_PER_LOCK: usize = 512;

/// The key-value interfaces over one keyspace.
pub struct KeyValue {
    shared: Arc<SharedState>,
    limits: Limits,
    map: RwLock<EntryMap>,
}

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(keyvalue: &Arc<KeyValue>, transactions: &Arc<Transactions<KeyValue>>, interfaces: &mut Interfaces) {
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    interfaces.keyvalue_scan = Some(Arc::new(Scan(keyvalue.clone())));
    interfaces.keyvalue_transactional = Some(transactions.clone());
    interfaces.keyvalue_ttl = Some(keyvalue.clone());
    interfaces.keyvalue_watch = Some(Arc::new(Watch::new(keyvalue)));
}

/// The entries of one keyspace.
struct EntryMap {
    entries: BTreeMap<Bytes, StoredEntry>,
    /// The entries that expire, by the time at which they do.
    expiring: BTreeSet<(Millis, Bytes)>,
    /// The revision of the last write. All keys share this counter.
    revision: u64,
    /// The last changes; `None` if nobody watches, so that they cost nothing then.
    history: Option<History>,
}

/// The value and the metadata of a key.
struct StoredEntry {
    value: Bytes,
    metadata: EntryMetadata,
}

/// A checked write. Its bytes are copies, not parts of a larger request.
struct Write {
    key: Bytes,
    /// `None` deletes.
    value: Option<Bytes>,
    flags: u64,
    expires: Option<Millis>,
}

impl KeyValue {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        let map = EntryMap { entries: BTreeMap::new(), expiring: BTreeSet::new(), revision: 0, history: None };
        Self { shared, limits, map: RwLock::new(map) }
    }

    /// Removes expired entries, and lets other calls take the lock after each [`EXPIRED_PER_LOCK`]. Removes the history if it has ended.
    pub fn sweep(&self) {
        let now = time::now();
        while self.write_lock().sweep(&self.shared, now, EXPIRED_PER_LOCK) == EXPIRED_PER_LOCK {}
        let ended = self.write_lock().history.take_if(|history| history.has_ended(now));
        // It has many changes, so it is dropped without the lock.
        drop(ended);
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, EntryMap>, Error> {
        self.shared.check_open()?;
        Ok(self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks the map for a write, and removes a few expired entries.
    fn write(&self, now: Millis) -> Result<RwLockWriteGuard<'_, EntryMap>, Error> {
        self.shared.check_open()?;
        let mut map = self.write_lock();
        map.sweep(&self.shared, now, EXPIRED_PER_WRITE);
        Ok(map)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, EntryMap> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyValue {
    fn drop(&mut self) {
        let map = self.map.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.shared.release(map.entries.iter().map(|(key, stored)| stored.size(key)).sum());
    }
}

impl EntryMap {
    /// The entry of a key; `None` if it does not exist or has expired.
    fn live(&self, key: &[u8], now: Millis) -> Option<&StoredEntry> {
        self.entries.get(key).filter(|stored| stored.is_live(now))
    }

    /// The revision of a key; 0 if it does not exist.
    fn revision(&self, key: &[u8], now: Millis) -> u64 {
        self.live(key, now).map_or(0, |stored| stored.metadata.numbers.revision)
    }

    /// Reserves the bytes that the writes need in addition to those of the entries that they replace. All keys must differ.
    fn reserve(&mut self, shared: &SharedState, writes: &[Write], now: Millis) -> Result<(), Error> {
        if self.try_reserve(shared, writes).is_ok() {
            return Ok(());
        }
        // Expired entries may take the space.
        while self.sweep(shared, now, EXPIRED_PER_LOCK) == EXPIRED_PER_LOCK {}
        let reserved = self.try_reserve(shared, writes);
        if reserved.is_err() && self.history.as_mut().is_some_and(History::clear) {
            return self.try_reserve(shared, writes);
        }
        reserved
    }

    fn try_reserve(&self, shared: &SharedState, writes: &[Write]) -> Result<(), Error> {
        let (mut needed, mut freed) = (0, 0);
        for Write { key, value, .. } in writes {
            needed += value.as_ref().map_or(0, |value| entry_size(key, value));
            freed += self.entries.get(key).map_or(0, |stored| stored.size(key));
        }
        if needed > freed {
            shared.reserve(needed - freed)
        } else {
            shared.release(freed - needed);
            Ok(())
        }
    }

    /// Applies a write whose bytes were [reserved](Self::reserve). Returns the former entry, even if it has expired.
    fn apply(&mut self, write: Write, revision: u64, now: Millis) -> Option<StoredEntry> {
        let Write { key, value, flags, expires } = write;
        let Some(value) = value else {
            let (key, old) = self.entries.remove_entry(&key)?;
            if let Some(history) = &mut self.history {
                history.add_removed(&key, &old, !old.is_live(now));
            }
            self.remove_expiration(key, old.metadata.expires);
            return Some(old);
        };
        if let Some(expires) = expires {
            self.expiring.insert((expires, key.clone()));
        }
        let numbers = Numbers { revision, create_revision: revision, version: 1 };
        let mut stored = StoredEntry { value, metadata: EntryMetadata { numbers, expires, flags } };
        if let Some(present) = self.entries.get_mut(&key) {
            if present.is_live(now) {
                stored.metadata.numbers.create_revision = present.metadata.numbers.create_revision;
                stored.metadata.numbers.version = present.metadata.numbers.version + 1;
            }
            let old = std::mem::replace(present, stored);
            if let Some(history) = &mut self.history {
                if !old.is_live(now) {
                    history.add_removed(&key, &old, true);
                }
                history.add_stored(&key, present);
            }
            if old.metadata.expires != expires {
                self.remove_expiration(key, old.metadata.expires);
            }
            return Some(old);
        }
        if let Some(history) = &mut self.history {
            history.add_stored(&key, &stored);
        }
        self.entries.insert(key, stored)
    }

    fn remove_expiration(&mut self, key: Bytes, expires: Option<Millis>) {
        if let Some(expires) = expires {
            self.expiring.remove(&(expires, key));
        }
    }

    /// The end of the history, if there is one.
    fn head(&self) -> Option<Head> {
        self.history.as_ref().map(|history| history.head(self.revision))
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Removes at most `limit` expired entries, and returns how many.
    fn sweep(&mut self, shared: &SharedState, now: Millis, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit
            && let Some((expires, _)) = self.expiring.first()
            && *expires <= now
            && let Some((_, key)) = self.expiring.pop_first()
        {
            if let Some(stored) = self.entries.remove(&key) {
                if let Some(history) = &mut self.history {
                    history.add_removed(&key, &stored, true);
                }
                shared.release(stored.size(&key));
            }
            swept += 1;
        }
        swept
    }
}

impl StoredEntry {
    fn is_live(&self, now: Millis) -> bool {
        self.metadata.expires.is_none_or(|expires| now < expires)
    }

    fn size(&self, key: &[u8]) -> u64 {
        entry_size(key, &self.value)
    }

    fn to_entry(&self, key: Bytes) -> Entry {
        self.metadata.into_entry(key, self.value.clone())
    }
}

impl Write {
    fn set(key: &[u8], value: &[u8], flags: u64, expires: Option<Millis>) -> Self {
        Self { key: Bytes::copy_from_slice(key), value: Some(Bytes::copy_from_slice(value)), flags, expires }
    }

    /// A deletion. Its key is only looked up, so it is not copied.
    fn delete(key: Bytes) -> Self {
        Self { key, value: None, flags: 0, expires: None }
    }
}

/// Bytes that an entry counts towards `max_bytes`.
fn entry_size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}
