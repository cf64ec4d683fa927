//! The open transactions of one keyspace.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{id, lock::lock};
use prism_call::{Code, Error, proto::models::keyvalue::v1::Entry};

/// How long a transaction stays open when its request does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a transaction may stay open.
pub const MAX_TIMEOUT: Duration = Duration::from_mins(5);
/// Different keys that a transaction reads, and those that it writes.
const MAX_KEYS: usize = 128;

/// How much the open transactions of one keyspace may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Open transactions.
    pub transactions: usize,
    /// Bytes of keys and values that one transaction remembers.
    pub bytes_each: usize,
    /// Bytes of keys and values that all of them remember.
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { transactions: 1000, bytes_each: 64 << 20, bytes: 256 << 20 }
    }
}

/// A write that waits for the commit.
#[derive(Debug)]
pub enum Write {
    Set { value: Bytes, ttl: Option<prost_types::Duration>, flags: u64 },
    Delete,
}

/// Whether a transaction can answer a read by itself.
pub enum Read {
    Known(Option<Entry>),
    Unknown,
}

/// What a transaction that has ended had read and wanted to write.
#[derive(Debug, Default)]
pub struct Ended {
    /// The entry that each key had; `None` is an absent one.
    pub(super) reads: BTreeMap<Bytes, Option<Entry>>,
    /// The last write of each key.
    pub(super) writes: BTreeMap<Bytes, Write>,
}

/// An open transaction.
pub struct Open {
    ends: Instant,
    held: Ended,
    bytes: usize,
}

pub struct Table {
    capacity: Capacity,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashMap<u128, Open>,
    /// The same transactions in the order in which their time is over.
    ends: BTreeSet<(Instant, u128)>,
    bytes: usize,
}

impl Table {
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Opens one and gives its handle.
    pub fn begin(&self, timeout: Duration) -> Result<String, Error> {
        let mut state = self.state();
        if state.open.len() >= self.capacity.transactions {
            return Err(Error::new(
                Code::ResourceExhausted,
                "TOO_MANY_TRANSACTIONS",
                format!("{} transactions are open, which is the limit; end some or try again later", state.open.len()),
            )
            .with("limit", self.capacity.transactions.to_string()));
        }
        let (id, ends) = (id::random(), Instant::now() + timeout);
        state.ends.insert((ends, id));
        state.open.insert(id, Open { ends, held: Ended::default(), bytes: 0 });
        Ok(id::to_text(id))
    }

    /// Looks at an open one.
    pub fn with<T>(&self, handle: &str, look: impl FnOnce(&Open) -> T) -> Result<T, Error> {
        let state = self.state();
        id::parse(handle).and_then(|id| state.open.get(&id)).map(look).ok_or_else(not_found)
    }

    /// Changes an open one. The change gets how many more bytes it may remember, and leaves the transaction as it was
    /// when it fails.
    pub fn change<T>(&self, handle: &str, change: impl FnOnce(&mut Open, usize) -> Result<T, Error>) -> Result<T, Error> {
        let mut guard = self.state();
        let state = &mut *guard;
        let open = id::parse(handle).and_then(|id| state.open.get_mut(&id)).ok_or_else(not_found)?;
        let before = open.bytes;
        let room = (self.capacity.bytes_each - before).min(self.capacity.bytes.saturating_sub(state.bytes));
        let answer = change(open, room)?;
        state.bytes = state.bytes - before + open.bytes;
        Ok(answer)
    }

    /// Ends one; `None` when it is not open.
    pub fn end(&self, handle: &str) -> Option<Ended> {
        let mut state = self.state();
        state.remove(id::parse(handle)?)
    }

    /// The state without the transactions whose time is over.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        while let Some(&(ends, id)) = state.ends.first()
            && ends <= now
        {
            state.remove(id);
        }
        state
    }
}

impl State {
    fn remove(&mut self, id: u128) -> Option<Ended> {
        let open = self.open.remove(&id)?;
        self.ends.remove(&(open.ends, id));
        self.bytes -= open.bytes;
        Some(open.held)
    }
}

impl Open {
    /// What it knows of a key: its own write, or what its first read saw.
    pub fn read(&self, key: &Bytes) -> Read {
        match (self.held.writes.get(key), self.held.reads.get(key)) {
            (Some(Write::Set { value, flags, .. }), _) => {
                Read::Known(Some(Entry { key: key.clone(), value: value.clone(), flags: *flags, ..Entry::default() }))
            }
            (Some(Write::Delete), _) => Read::Known(None),
            (None, Some(seen)) => Read::Known(seen.clone()),
            (None, None) => Read::Unknown,
        }
    }

    /// Remembers the first read of a key and answers what that one saw.
    pub fn remember(&mut self, key: Bytes, found: Option<Entry>, room: usize) -> Result<Option<Entry>, Error> {
        if let Some(first) = self.held.reads.get(&key) {
            return Ok(first.clone());
        }
        if self.held.reads.len() >= MAX_KEYS {
            return Err(too_large(&format!("it has read {MAX_KEYS} keys, which is the limit; commit it or roll it back")));
        }
        self.bytes += fits(key.len() + found.as_ref().map_or(0, |entry| entry.value.len()), 0, room)?;
        self.held.reads.insert(key, found.clone());
        Ok(found)
    }

    /// Remembers a write in place of an earlier one.
    pub fn write(&mut self, key: Bytes, write: Write, room: usize) -> Result<(), Error> {
        let earlier = self.held.writes.get(&key);
        if earlier.is_none() && self.held.writes.len() >= MAX_KEYS {
            return Err(too_large(&format!("it has written {MAX_KEYS} keys, which is the limit; commit it or roll it back")));
        }
        let frees = earlier.map_or(0, |earlier| key.len() + earlier.bytes());
        self.bytes = self.bytes - frees + fits(key.len() + write.bytes(), frees, room)?;
        self.held.writes.insert(key, write);
        Ok(())
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Set { value, .. } => value.len(),
            Self::Delete => 0,
        }
    }
}

fn fits(adds: usize, frees: usize, room: usize) -> Result<usize, Error> {
    if adds > room + frees {
        return Err(too_large(&format!("another {adds} bytes of keys and values don't fit; commit it or roll it back, or end others")));
    }
    Ok(adds)
}

fn too_large(problem: &str) -> Error {
    Error::new(Code::ResourceExhausted, "TRANSACTION_TOO_LARGE", format!("the transaction is too large: {problem}"))
}

/// `NOT_FOUND TRANSACTION_NOT_FOUND`
pub fn not_found() -> Error {
    Error::new(
        Code::NotFound,
        "TRANSACTION_NOT_FOUND",
        "no such transaction is open here: it has ended, or its time was over; begin a new one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &'static str) -> Entry {
        Entry { key: "k".into(), value: value.into(), revision: 3, ..Entry::default() }
    }

    fn open(table: &Table) -> String {
        table.begin(DEFAULT_TIMEOUT).unwrap()
    }

    #[test]
    fn ends_by_itself() {
        let table = Table::new(Capacity { transactions: 1, ..Capacity::default() });
        let short = table.begin(Duration::from_millis(20)).unwrap();
        assert_eq!(table.begin(DEFAULT_TIMEOUT).unwrap_err().reason(), "TOO_MANY_TRANSACTIONS");
        std::thread::sleep(Duration::from_millis(25));
        let next = open(&table);
        assert!(table.end(&short).is_none());
        assert!(table.end(&next).is_some());
        assert!(table.end(&next).is_none());
        assert_eq!(table.with("+", |_| ()).unwrap_err().reason(), "TRANSACTION_NOT_FOUND");
    }

    #[test]
    fn the_first_read_and_the_last_write_stay() {
        let table = Table::new(Capacity::default());
        let handle = open(&table);
        let key = Bytes::from("k");
        for value in ["first", "second"] {
            let seen = table.change(&handle, |open, room| open.remember(key.clone(), Some(entry(value)), room)).unwrap();
            assert_eq!(seen.unwrap().value, "first");
        }
        table.change(&handle, |open, room| open.write(key.clone(), Write::Delete, room)).unwrap();
        let read = table.with(&handle, |open| open.read(&key)).unwrap();
        assert!(matches!(read, Read::Known(None)));
        let ended = table.end(&handle).unwrap();
        assert_eq!((ended.reads.len(), ended.writes.len()), (1, 1));
        assert_eq!(table.state().bytes, 0);
    }

    #[test]
    fn remembers_no_more_than_its_capacity() {
        let table = Table::new(Capacity { bytes_each: 10, bytes: 15, ..Capacity::default() });
        let (one, two) = (open(&table), open(&table));
        let write = |handle: &str, size: usize| {
            let value = Bytes::from(vec![0; size]);
            table
                .change(handle, |open, room| open.write("k".into(), Write::Set { value, ttl: None, flags: 0 }, room))
                .map_err(|error| error.reason().to_owned())
        };
        assert_eq!(write(&one, 10), Err("TRANSACTION_TOO_LARGE".into()));
        assert_eq!(write(&one, 9), Ok(()));
        assert_eq!(write(&two, 5), Err("TRANSACTION_TOO_LARGE".into()));
        assert_eq!(write(&one, 2), Ok(()));
        assert_eq!(write(&two, 5), Ok(()));
        table.end(&one);
        assert_eq!(write(&two, 9), Ok(()));
    }
}
