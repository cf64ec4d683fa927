//! KeyValue: one ordered map for each keyspace, under a lock that is held for single steps only.

mod basic;
mod batch;
mod cas;
mod scan;
#[cfg(test)]
mod tests;
mod transact;
mod ttl;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
pub use scan::Scan;

use super::shared::{OVERHEAD, Shared};
use prism_call::{Error, proto::models::keyvalue::v1::Entry};
use prism_driver::{
    Limits,
    time::{self, Millis},
    transactions::Numbers,
};

/// Expired entries that a write removes on its way, so that they go even when the sweeper is late.
const SWEPT_BY_WRITE: usize = 4;
/// Expired entries that are removed under one hold of the lock.
const SWEPT_AT_ONCE: usize = 512;

/// The entries of one keyspace.
pub struct Store {
    shared: Arc<Shared>,
    limits: Limits,
    map: RwLock<Map>,
}

struct Map {
    entries: BTreeMap<Bytes, Stored>,
    /// The entries that expire, in the order in which they do.
    expiring: BTreeSet<(Millis, Bytes)>,
    /// The revision of the last write; one counter for all keys.
    revision: u64,
}

struct Stored {
    value: Bytes,
    flags: u64,
    numbers: Numbers,
    expires: Option<Millis>,
}

/// A write that has been checked: its bytes are its own copies and not parts of a larger request.
struct Write {
    key: Bytes,
    /// `None` deletes.
    value: Option<Bytes>,
    flags: u64,
    expires: Option<Millis>,
}

impl Store {
    pub fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        let map = Map { entries: BTreeMap::new(), expiring: BTreeSet::new(), revision: 0 };
        Self { shared, limits, map: RwLock::new(map) }
    }

    /// Removes what has expired, a bounded number of entries under each hold of the lock.
    pub fn sweep(&self) {
        let now = time::now();
        while self.write_lock().sweep(&self.shared, now, SWEPT_AT_ONCE) == SWEPT_AT_ONCE {}
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, Map>, Error> {
        self.shared.open()?;
        Ok(self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, now: Millis) -> Result<RwLockWriteGuard<'_, Map>, Error> {
        self.shared.open()?;
        let mut map = self.write_lock();
        map.sweep(&self.shared, now, SWEPT_BY_WRITE);
        Ok(map)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let map = self.map.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.shared.release(map.entries.iter().map(|(key, stored)| stored.size(key)).sum());
    }
}

impl Map {
    /// The entry of a key, if it has not expired.
    fn live(&self, key: &[u8], now: Millis) -> Option<&Stored> {
        self.entries.get(key).filter(|stored| stored.is_live(now))
    }

    /// The revision of a key; 0 when it is not there.
    fn revision(&self, key: &[u8], now: Millis) -> u64 {
        self.live(key, now).map_or(0, |stored| stored.numbers.revision)
    }

    /// Takes from the budget what all writes together need beyond what they replace. Keys are different.
    fn make_room(&mut self, shared: &Shared, writes: &[Write], now: Millis) -> Result<(), Error> {
        if self.try_make_room(shared, writes).is_ok() {
            return Ok(());
        }
        // Perhaps only what has expired fills it.
        while self.sweep(shared, now, SWEPT_AT_ONCE) == SWEPT_AT_ONCE {}
        self.try_make_room(shared, writes)
    }

    fn try_make_room(&self, shared: &Shared, writes: &[Write]) -> Result<(), Error> {
        let (mut needs, mut frees) = (0, 0);
        for Write { key, value, .. } in writes {
            needs += value.as_ref().map_or(0, |value| size(key, value));
            frees += self.entries.get(key).map_or(0, |stored| stored.size(key));
        }
        if needs > frees {
            shared.reserve(needs - frees)
        } else {
            shared.release(frees - needs);
            Ok(())
        }
    }

    /// Does a write for which there [is room](Self::make_room), and gives what was there, expired or not.
    fn apply(&mut self, write: Write, revision: u64, now: Millis) -> Option<Stored> {
        let Write { key, value, flags, expires } = write;
        let Some(value) = value else {
            let (key, old) = self.entries.remove_entry(&key)?;
            self.unschedule(key, old.expires);
            return Some(old);
        };
        if let Some(expires) = expires {
            self.expiring.insert((expires, key.clone()));
        }
        let mut stored = Stored { value, flags, numbers: Numbers { revision, create_revision: revision, version: 1 }, expires };
        if let Some(present) = self.entries.get_mut(&key) {
            if present.is_live(now) {
                stored.numbers.create_revision = present.numbers.create_revision;
                stored.numbers.version = present.numbers.version + 1;
            }
            let old = std::mem::replace(present, stored);
            if old.expires != expires {
                self.unschedule(key, old.expires);
            }
            return Some(old);
        }
        self.entries.insert(key, stored)
    }

    fn unschedule(&mut self, key: Bytes, expires: Option<Millis>) {
        if let Some(expires) = expires {
            self.expiring.remove(&(expires, key));
        }
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Removes up to `limit` expired entries and tells how many there were.
    fn sweep(&mut self, shared: &Shared, now: Millis, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit
            && let Some((expires, _)) = self.expiring.first()
            && *expires <= now
            && let Some((_, key)) = self.expiring.pop_first()
        {
            if let Some(stored) = self.entries.remove(&key) {
                shared.release(stored.size(&key));
            }
            swept += 1;
        }
        swept
    }
}

impl Stored {
    fn is_live(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    fn size(&self, key: &[u8]) -> u64 {
        size(key, &self.value)
    }

    fn entry(&self, key: Bytes) -> Entry {
        let Numbers { revision, create_revision, version } = self.numbers;
        let (value, expire_time) = (self.value.clone(), self.expires.map(time::timestamp));
        Entry { key, value, revision, expire_time, flags: self.flags, create_revision, version }
    }
}

impl Write {
    fn set(key: &[u8], value: &[u8], flags: u64, expires: Option<Millis>) -> Self {
        Self { key: Bytes::copy_from_slice(key), value: Some(Bytes::copy_from_slice(value)), flags, expires }
    }

    /// The key is only looked up, so it needs no copy.
    fn delete(key: Bytes) -> Self {
        Self { key, value: None, flags: 0, expires: None }
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}
