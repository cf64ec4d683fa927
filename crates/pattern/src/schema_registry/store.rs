//! The keys of the journal in the slot.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;

use super::replica::Place;
use prism_call::{
    Context, Error,
    proto::{
        journal::v1::{Entry, Head, Operation, Part, Snapshot},
        models::keyvalue::v1::{
            CompareAndSwapRequest, Condition, DeleteOperation, DeleteRequest, GetRequest, KeyValueBasic, KeyValueCas, KeyValueScan,
            KeyValueTransactional, Operation as Action, ScanKeysRequest, ScanRequest, SetOperation, SetRequest, TransactRequest,
            condition::Predicate, operation::Action as Kind,
        },
    },
};

pub(super) const HEAD: Bytes = Bytes::from_static(b"head");

/// Keys that are removed at once; a transaction takes 128.
const CLEARED: usize = 100;

/// What a backend has to do for a journal.
pub(super) struct Store {
    pub basic: Arc<dyn KeyValueBasic>,
    pub scan: Arc<dyn KeyValueScan>,
    pub swap: Swap,
}

/// The atomic step.
pub(super) enum Swap {
    /// In one round trip.
    Transactional(Arc<dyn KeyValueTransactional>),
    /// In two, since the entry before it has to be there first.
    Cas(Arc<dyn KeyValueCas>),
}

impl Store {
    /// `head` as it is now, and the entry in it.
    pub async fn head(&self, context: &Context) -> Result<Option<(Place, Entry)>, Error> {
        let Some(found) = self.basic.get(context, GetRequest { key: HEAD }).await?.entry else { return Ok(None) };
        let head: Head = read(&HEAD, found.value)?;
        let last: Entry = read(&HEAD, head.entry.clone())?;
        Ok(Some((Place::new(found.revision, head, &last), last)))
    }

    /// Writes `head` if it is still at this place, after the entry that it takes the place of lies under its own key. The new
    /// revision, or `None` if someone else was first.
    pub async fn append(&self, context: &Context, at: &Place, next: &Place) -> Result<Option<u64>, Error> {
        // A head with the same entry, but another snapshot, takes the place of no entry.
        let before = (at.position > 0 && at.position < next.position).then(|| (entry_key(at.position), at.entry.clone()));
        let head = next.head();
        match &self.swap {
            Swap::Transactional(interface) => {
                let predicate = if at.revision == 0 { Predicate::Exists(false) } else { Predicate::RevisionEquals(at.revision) };
                let set = |key, value| Action { action: Some(Kind::Set(SetOperation { key, value, ..SetOperation::default() })) };
                let mut then_operations: Vec<_> = before.into_iter().map(|(key, entry)| set(key, entry)).collect();
                then_operations.push(set(HEAD, head));
                let conditions = vec![Condition { key: HEAD, predicate: Some(predicate) }];
                let done =
                    interface.transact(context, TransactRequest { conditions, then_operations, else_operations: Vec::new() }).await?;
                Ok(done.succeeded.then_some(done.revision))
            }
            Swap::Cas(interface) => {
                if let Some((key, value)) = before
                    && !self.keep(context, &**interface, at, key, value).await?
                {
                    return Ok(None);
                }
                swap(&**interface, context, HEAD, at.revision, head).await
            }
        }
    }

    /// Makes sure that the entry of `head` lies under its own key; `false` if `head` is another one now.
    ///
    /// Whoever is late must not write over the entry of a storage that was put back to an older state and has gone on since. So
    /// what is there is only replaced by who has seen that `head` says otherwise.
    async fn keep(&self, context: &Context, interface: &dyn KeyValueCas, at: &Place, key: Bytes, value: Bytes) -> Result<bool, Error> {
        if swap(interface, context, key.clone(), 0, value.clone()).await?.is_some() {
            return Ok(true);
        }
        match self.basic.get(context, GetRequest { key: key.clone() }).await?.entry {
            Some(there) if there.value == value => Ok(true),
            Some(there) => {
                let is_head = self.head(context).await?.is_some_and(|(place, _)| place == *at);
                Ok(is_head && swap(interface, context, key, there.revision, value).await?.is_some())
            }
            // Cleared, so there is a snapshot, and another head.
            None => Ok(false),
        }
    }

    /// The entries of these positions, as far as they are there without a gap.
    pub async fn entries(&self, context: &Context, first: u64, last: u64) -> Result<Vec<Entry>, Error> {
        let range = ScanRequest { start_key: entry_key(first), end_key: entry_key(last.saturating_add(1)), ..ScanRequest::default() };
        let mut found = self.scan.scan(context, range).await?;
        let mut entries = Vec::new();
        let mut position = first;
        while let Some(item) = found.try_next().await? {
            let entry = item.entry.unwrap_or_default();
            if entry.key != entry_key(position) {
                break;
            }
            entries.push(read(&entry.key, entry.value)?);
            position += 1;
        }
        Ok(entries)
    }

    /// The operations of an entry; `None` if they lie aside and are gone.
    pub async fn operations(&self, context: &Context, position: u64, entry: Entry) -> Result<Option<Vec<Operation>>, Error> {
        if !entry.aside {
            return Ok(Some(entry.operations));
        }
        let key = aside_key(position, &entry.nonce);
        let Some(found) = self.basic.get(context, GetRequest { key: key.clone() }).await?.entry else { return Ok(None) };
        Ok(Some(read::<Part>(&key, found.value)?.operations))
    }

    /// The parts of a snapshot; `None` if some are gone.
    pub async fn snapshot(&self, context: &Context, snapshot: &Snapshot) -> Result<Option<Vec<Operation>>, Error> {
        let range = ScanRequest { prefix: snapshot_prefix(snapshot), ..ScanRequest::default() };
        let mut found = self.scan.scan(context, range).await?;
        let mut operations = Vec::new();
        let mut count = 0;
        while let Some(item) = found.try_next().await? {
            let entry = item.entry.unwrap_or_default();
            if entry.key != snapshot_key(snapshot, count) {
                break;
            }
            operations.extend(read::<Part>(&entry.key, entry.value)?.operations);
            count += 1;
        }
        Ok((count == snapshot.parts).then_some(operations))
    }

    pub async fn set(&self, context: &Context, key: Bytes, value: Bytes) -> Result<(), Error> {
        self.basic.set(context, SetRequest { key, value, ..SetRequest::default() }).await?;
        Ok(())
    }

    pub async fn delete(&self, context: &Context, key: Bytes) -> Result<(), Error> {
        self.basic.delete(context, DeleteRequest { key }).await?;
        Ok(())
    }

    /// Removes what a snapshot makes superfluous: entries up to its position, what lies aside of them, and older snapshots.
    pub async fn clear(&self, context: &Context, position: u64) -> Result<(), Error> {
        let behind = position.saturating_add(1);
        let ranges =
            [(entry_key(0), entry_key(behind)), (aside_prefix(0), aside_prefix(behind)), (snapshots_prefix(0), snapshots_prefix(position))];
        for (start_key, end_key) in ranges {
            let keys = self.scan.scan_keys(context, ScanKeysRequest { start_key, end_key, ..ScanKeysRequest::default() }).await?;
            let mut keys = keys.try_ready_chunks(CLEARED).map_err(|error| error.1);
            while let Some(found) = keys.try_next().await? {
                self.remove(context, found.into_iter().map(|found| found.key)).await?;
            }
        }
        Ok(())
    }

    /// Removes keys, in one step if the backend has it: each step may wait for a disk.
    async fn remove(&self, context: &Context, keys: impl Iterator<Item = Bytes> + Send) -> Result<(), Error> {
        match &self.swap {
            Swap::Transactional(interface) => {
                let delete = |key| Action { action: Some(Kind::Delete(DeleteOperation { key })) };
                let then_operations = keys.map(delete).collect();
                interface.transact(context, TransactRequest { then_operations, ..TransactRequest::default() }).await?;
            }
            Swap::Cas(_) => {
                for key in keys {
                    self.delete(context, key).await?;
                }
            }
        }
        Ok(())
    }
}

/// The new revision, if the key had this one.
async fn swap(
    interface: &dyn KeyValueCas,
    context: &Context,
    key: Bytes,
    expected_revision: u64,
    value: Bytes,
) -> Result<Option<u64>, Error> {
    let request = CompareAndSwapRequest { key, expected_revision, value, ..CompareAndSwapRequest::default() };
    let done = interface.compare_and_swap(context, request).await?;
    Ok(done.swapped.then_some(done.revision))
}

pub(super) fn read<M: prost::Message + Default>(key: &[u8], value: Bytes) -> Result<M, Error> {
    M::decode(value).map_err(|error| {
        let key = String::from_utf8_lossy(key).into_owned();
        Error::internal(format!("the key {key:?} of the registry's storage can't be read: {error}; somebody else has written to it"))
    })
}

fn entry_key(position: u64) -> Bytes {
    Bytes::from(format!("entry/{position:016x}"))
}

fn aside_prefix(position: u64) -> Bytes {
    Bytes::from(format!("aside/{position:016x}/"))
}

pub(super) fn aside_key(position: u64, nonce: &[u8]) -> Bytes {
    Bytes::from(format!("aside/{position:016x}/{}", hex(nonce)))
}

fn snapshots_prefix(position: u64) -> Bytes {
    Bytes::from(format!("snapshot/{position:016x}/"))
}

fn snapshot_prefix(Snapshot { position, nonce, .. }: &Snapshot) -> Bytes {
    Bytes::from(format!("snapshot/{position:016x}/{}/", hex(nonce)))
}

pub(super) fn snapshot_key(Snapshot { position, nonce, .. }: &Snapshot, part: u32) -> Bytes {
    Bytes::from(format!("snapshot/{position:016x}/{}/{part:08x}", hex(nonce)))
}

fn hex(nonce: &[u8]) -> String {
    nonce.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
