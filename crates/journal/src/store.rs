//! The keys and values of the journal in the slot.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::TryStreamExt as _;

use super::replica::JournalHead;
use prism_call::{
    Context, Error,
    proto::{
        journal::v1::{Entry, Head, Part, Snapshot},
        models::keyvalue::v1::{
            CompareAndSwapRequest, Condition, DeleteOperation, DeleteRequest, GetRequest, KeyValueBasic, KeyValueCas, KeyValueScan,
            KeyValueTransactional, Operation as Action, ScanKeysRequest, ScanRequest, SetOperation, SetRequest, TransactRequest,
            condition::Predicate, operation::Action as Kind,
        },
    },
};

const HEAD: Bytes = Bytes::from_static(b"head");

/// Number of keys that are removed with one transaction, which takes at most 128.
const CLEARED: usize = 100;

/// The interfaces of the backend that the journal uses.
pub struct Store {
    /// Reads `head`, and writes parts of snapshots.
    pub basic: Arc<dyn KeyValueBasic>,
    /// Reads several entries.
    pub scan: Arc<dyn KeyValueScan>,
    /// Writes `head`.
    pub swap: AtomicWrite,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("swap", &self.swap).finish_non_exhaustive()
    }
}

/// The interface that writes `head` atomically.
pub enum AtomicWrite {
    /// One round trip.
    Transactional(Arc<dyn KeyValueTransactional>),
    /// Two round trips, since the previous entry must be written first.
    Cas(Arc<dyn KeyValueCas>),
}

impl fmt::Debug for AtomicWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transactional(_) => "Transactional",
            Self::Cas(_) => "Cas",
        })
    }
}

impl Store {
    /// Reads `head`, and the entry in it.
    pub(super) async fn head(&self, context: &Context) -> Result<Option<(JournalHead, Entry)>, Error> {
        let Some(found) = self.basic.get(context, GetRequest { key: HEAD }).await?.entry else { return Ok(None) };
        let head: Head = decode(&HEAD, found.value)?;
        let last: Entry = decode(&HEAD, head.entry.clone())?;
        Ok(Some((JournalHead::new(found.revision, head, &last), last)))
    }

    /// Replaces `head` if it is still `at`. The entry in the replaced head is first stored under its own key. Returns the new revision,
    /// or `None` if another writer was first.
    pub(super) async fn append(&self, context: &Context, at: &JournalHead, next: &JournalHead) -> Result<Option<u64>, Error> {
        // If only the snapshot changes, the entry stays in `head`.
        let before = (at.position > 0 && at.position < next.position).then(|| (entry_key(at.position), at.entry.clone()));
        let head = next.head();
        match &self.swap {
            AtomicWrite::Transactional(interface) => {
                let predicate = if at.revision == 0 { Predicate::Exists(false) } else { Predicate::RevisionEquals(at.revision) };
                let set = |key, value| Action { action: Some(Kind::Set(SetOperation { key, value, ..SetOperation::default() })) };
                let mut then_operations: Vec<_> = before.into_iter().map(|(key, entry)| set(key, entry)).collect();
                then_operations.push(set(HEAD, head));
                let conditions = vec![Condition { key: HEAD, predicate: Some(predicate) }];
                let done =
                    interface.transact(context, TransactRequest { conditions, then_operations, else_operations: Vec::new() }).await?;
                Ok(done.succeeded.then_some(done.revision))
            }
            AtomicWrite::Cas(interface) => {
                if let Some((key, value)) = before
                    && !self.store_entry(context, &**interface, at, key, value).await?
                {
                    return Ok(None);
                }
                compare_and_swap(&**interface, context, HEAD, at.revision, head).await
            }
        }
    }

    /// Stores the entry of `head` under its own key. Returns `false` if `head` has changed.
    ///
    /// A slow writer must not overwrite an entry of a storage that was restored from a backup and has new entries. So an existing entry
    /// is replaced only after a check that `head` is still `at`.
    async fn store_entry(
        &self,
        context: &Context,
        interface: &dyn KeyValueCas,
        at: &JournalHead,
        key: Bytes,
        value: Bytes,
    ) -> Result<bool, Error> {
        if compare_and_swap(interface, context, key.clone(), 0, value.clone()).await?.is_some() {
            return Ok(true);
        }
        match self.basic.get(context, GetRequest { key: key.clone() }).await?.entry {
            Some(there) if there.value == value => Ok(true),
            Some(there) => {
                let is_head = self.head(context).await?.is_some_and(|(place, _)| place == *at);
                Ok(is_head && compare_and_swap(interface, context, key, there.revision, value).await?.is_some())
            }
            // The key was removed by a compaction, so there is a snapshot and another head.
            None => Ok(false),
        }
    }

    /// Reads the entries from `first` to `last`, up to the first gap.
    pub(super) async fn entries(&self, context: &Context, first: u64, last: u64) -> Result<Vec<Entry>, Error> {
        let range = ScanRequest { start_key: entry_key(first), end_key: entry_key(last.saturating_add(1)), ..ScanRequest::default() };
        let mut found = self.scan.scan(context, range).await?;
        let mut entries = Vec::new();
        let mut position = first;
        while let Some(item) = found.try_next().await? {
            let entry = item.entry.unwrap_or_default();
            if entry.key != entry_key(position) {
                break;
            }
            entries.push(decode(&entry.key, entry.value)?);
            position += 1;
        }
        Ok(entries)
    }

    /// Returns the encoded operations of an entry; `None` if they were under a key of their own that no longer exists.
    pub(super) async fn operations(&self, context: &Context, position: u64, entry: Entry) -> Result<Option<Vec<Bytes>>, Error> {
        if !entry.aside {
            return Ok(Some(entry.operations));
        }
        let key = aside_key(position, &entry.nonce);
        let Some(found) = self.basic.get(context, GetRequest { key: key.clone() }).await?.entry else { return Ok(None) };
        Ok(Some(decode::<Part>(&key, found.value)?.operations))
    }

    /// Reads the encoded operations of a snapshot; `None` if a part is missing.
    pub(super) async fn snapshot(&self, context: &Context, snapshot: &Snapshot) -> Result<Option<Vec<Bytes>>, Error> {
        let range = ScanRequest { prefix: snapshot_prefix(snapshot), ..ScanRequest::default() };
        let mut found = self.scan.scan(context, range).await?;
        let mut operations = Vec::new();
        let mut count = 0;
        while let Some(item) = found.try_next().await? {
            let entry = item.entry.unwrap_or_default();
            if entry.key != snapshot_key(snapshot, count) {
                break;
            }
            operations.extend(decode::<Part>(&entry.key, entry.value)?.operations);
            count += 1;
        }
        Ok((count == snapshot.parts).then_some(operations))
    }

    pub(super) async fn set(&self, context: &Context, key: Bytes, value: Bytes) -> Result<(), Error> {
        self.basic.set(context, SetRequest { key, value, ..SetRequest::default() }).await?;
        Ok(())
    }

    pub(super) async fn delete(&self, context: &Context, key: Bytes) -> Result<(), Error> {
        self.basic.delete(context, DeleteRequest { key }).await?;
        Ok(())
    }

    /// Removes the keys that a snapshot makes unnecessary: entries up to its position with their operations, and older snapshots.
    pub(super) async fn clear(&self, context: &Context, position: u64) -> Result<(), Error> {
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

    /// Removes keys, with one transaction if the backend has transactions: each call may wait for a disk.
    async fn remove(&self, context: &Context, keys: impl Iterator<Item = Bytes> + Send) -> Result<(), Error> {
        match &self.swap {
            AtomicWrite::Transactional(interface) => {
                let delete = |key| Action { action: Some(Kind::Delete(DeleteOperation { key })) };
                let then_operations = keys.map(delete).collect();
                interface.transact(context, TransactRequest { then_operations, ..TransactRequest::default() }).await?;
            }
            AtomicWrite::Cas(_) => {
                for key in keys {
                    self.delete(context, key).await?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a key if it has the expected revision. Returns the new revision, or `None` if the key has another one.
async fn compare_and_swap(
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

fn decode<M: prost::Message + Default>(key: &[u8], value: Bytes) -> Result<M, Error> {
    M::decode(value).map_err(|error| {
        let key = String::from_utf8_lossy(key).into_owned();
        Error::internal(format!("the key {key:?} of the journal can't be decoded: {error}; another program has written to it"))
    })
}

/// Decodes the operations of an entry or a snapshot.
pub(super) fn decode_operations<O: prost::Message + Default>(encoded: Vec<Bytes>) -> Result<Vec<O>, Error> {
    let decode = |operation| {
        O::decode(operation).map_err(|error| {
            Error::internal(format!("an operation of the journal can't be decoded: {error}; another program has written to the storage"))
        })
    };
    encoded.into_iter().map(decode).collect()
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
