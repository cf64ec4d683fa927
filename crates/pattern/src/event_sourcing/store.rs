//! The keys and values of the log in the slot `events`.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message;

use crate::required_interface;
use prism_call::{
    Code, Context, Error, Messages,
    proto::{
        event_sourcing::v1::{AggregateVersion, Commit, EventReference, StoredEvent},
        models::keyvalue::v1::{
            BatchSetItem, BatchSetRequest, CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueBatch, KeyValueCas, KeyValueScan,
            ScanRequest, SetRequest,
        },
        patterns::event_sourcing::v1::Event,
    },
};
use prism_slot::Slot;

const HEAD: Bytes = Bytes::from_static(b"head");
/// Calls of one request that are in flight.
const CONCURRENCY: usize = 16;
/// Tries to raise the version of an aggregate that others raise at the same time.
const MAX_TRIES: usize = 16;

/// The interfaces of the slot.
pub struct Store {
    basic: Arc<dyn KeyValueBasic>,
    scan: Arc<dyn KeyValueScan>,
    cas: Arc<dyn KeyValueCas>,
    batch: Option<Arc<dyn KeyValueBatch>>,
}

/// The last commit, and the revision of the key that holds it.
#[derive(Clone, Default)]
pub struct Head {
    /// 0: there is no commit yet.
    pub revision: u64,
    pub commit: Commit,
}

impl Head {
    /// The position of the last event; 0: there is none.
    pub fn position(&self) -> u64 {
        (self.commit.first_position + self.commit.events.len() as u64).saturating_sub(1)
    }

    /// The version of the last event in its aggregate.
    pub fn version(&self) -> u64 {
        (self.commit.first_version + self.commit.events.len() as u64).saturating_sub(1)
    }
}

impl Store {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        Ok(Self {
            basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
            scan: required_interface(slot, "keyvalue_scan", slot.interfaces.keyvalue_scan.clone())?,
            cas: required_interface(slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?,
            batch: slot.interfaces.keyvalue_batch.clone(),
        })
    }

    /// Reads the last commit.
    pub async fn head(&self, context: &Context) -> Result<Head, Error> {
        let found = self.read::<Commit>(context, HEAD).await?;
        Ok(found.map(|(commit, revision)| Head { revision, commit }).unwrap_or_default())
    }

    /// Replaces the last commit, if it is still this one. Returns the new head, or `None` if somebody else was first.
    pub async fn replace(&self, context: &Context, head: &Head, commit: Commit) -> Result<Option<Head>, Error> {
        let value = commit.encode_to_vec().into();
        let request = CompareAndSwapRequest { key: HEAD, expected_revision: head.revision, value, ..CompareAndSwapRequest::default() };
        let done = self.cas.compare_and_swap(context, request).await?;
        Ok(done.swapped.then_some(Head { revision: done.revision, commit }))
    }

    /// Stores the events of a commit under their own keys, unless somebody has done it. Repeating it changes nothing.
    pub async fn settle(&self, context: &Context, head: &Head) -> Result<(), Error> {
        let Commit { aggregate, first_version, first_position, append_time, events, .. } = &head.commit;
        // The version is written last.
        if events.is_empty() || self.version(context, aggregate).await? >= head.version() {
            return Ok(());
        }
        let entries = events.iter().zip(0..).flat_map(|(event, index)| {
            let (version, position) = (first_version + index, first_position + index);
            let stored = StoredEvent { event: Some(event.clone()), position, append_time: *append_time };
            let reference = EventReference { aggregate: aggregate.clone(), version };
            [(event_key(aggregate, version), stored.encode_to_vec()), (position_key(position), reference.encode_to_vec())]
        });
        self.set_all(context, entries.map(|(key, value)| (key, value.into())).collect()).await?;
        self.raise_version(context, aggregate, head.version()).await
    }

    async fn set_all(&self, context: &Context, entries: Vec<(Bytes, Bytes)>) -> Result<(), Error> {
        if let Some(batch) = &self.batch {
            let items = entries.into_iter().map(|(key, value)| BatchSetItem { key, value, ..BatchSetItem::default() }).collect();
            batch.batch_set(context, BatchSetRequest { items }).await?;
            return Ok(());
        }
        let set = |(key, value)| self.basic.set(context, SetRequest { key, value, ..SetRequest::default() });
        let calls: Vec<_> = entries.into_iter().map(set).collect();
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_for_each(async |_| Ok(())).await
    }

    /// Sets the version of an aggregate, unless it is higher already: a slow gateway must not set it back.
    async fn raise_version(&self, context: &Context, aggregate: &str, version: u64) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let (current, expected_revision) = self.read::<AggregateVersion>(context, version_key(aggregate)).await?.unwrap_or_default();
            if current.version >= version {
                return Ok(());
            }
            let value = AggregateVersion { version }.encode_to_vec().into();
            let request =
                CompareAndSwapRequest { key: version_key(aggregate), expected_revision, value, ..CompareAndSwapRequest::default() };
            if self.cas.compare_and_swap(context, request).await?.swapped {
                return Ok(());
            }
        }
        Err(Error::new(Code::Aborted, "LOG_BUSY", "others kept changing the version of this aggregate; try again"))
    }

    /// Returns the version of an aggregate, without the events of the last commit if nobody has settled them.
    pub async fn version(&self, context: &Context, aggregate: &str) -> Result<u64, Error> {
        Ok(self.read::<AggregateVersion>(context, version_key(aggregate)).await?.map_or(0, |(found, _)| found.version))
    }

    /// Returns an event that was settled.
    pub async fn event(&self, context: &Context, aggregate: String, version: u64) -> Result<Option<Event>, Error> {
        let found = self.read::<StoredEvent>(context, event_key(&aggregate, version)).await?;
        Ok(found.map(|(stored, _)| to_event(aggregate, version, stored)))
    }

    /// Streams settled events of an aggregate, from `first` to `last`. Both exist.
    pub async fn events(&self, context: &Context, aggregate: String, first: u64, last: u64) -> Result<Messages<Event>, Error> {
        let range = ScanRequest {
            start_key: event_key(&aggregate, first),
            end_key: event_key(&aggregate, last.saturating_add(1)),
            ..ScanRequest::default()
        };
        let entries = self.scan.scan(context, range).await?;
        let events = entries.zip(stream::iter(first..)).map(move |(found, version)| {
            let entry = found?.entry.unwrap_or_default();
            Ok(to_event(aggregate.clone(), version, decode(&entry.key, entry.value)?))
        });
        Ok(Box::pin(events))
    }

    /// Streams the references of settled events, from `first` to `last`, each with its position. Both exist.
    pub async fn references(&self, context: &Context, first: u64, last: u64) -> Result<Messages<(u64, EventReference)>, Error> {
        let range = ScanRequest { start_key: position_key(first), end_key: position_key(last.saturating_add(1)), ..ScanRequest::default() };
        let entries = self.scan.scan(context, range).await?;
        let references = entries.zip(stream::iter(first..)).map(|(found, position)| {
            let entry = found?.entry.unwrap_or_default();
            Ok((position, decode(&entry.key, entry.value)?))
        });
        Ok(Box::pin(references))
    }

    async fn read<M: Message + Default>(&self, context: &Context, key: Bytes) -> Result<Option<(M, u64)>, Error> {
        read(&*self.basic, context, key).await
    }
}

/// Reads a value and its revision.
pub async fn read<M: Message + Default>(basic: &dyn KeyValueBasic, context: &Context, key: Bytes) -> Result<Option<(M, u64)>, Error> {
    let found = basic.get(context, GetRequest { key }).await?.entry;
    found.map(|entry| Ok((decode(&entry.key, entry.value)?, entry.revision))).transpose()
}

fn decode<M: Message + Default>(key: &[u8], value: Bytes) -> Result<M, Error> {
    M::decode(value).map_err(|error| {
        let key = String::from_utf8_lossy(key).into_owned();
        Error::new(Code::DataLoss, "EVENT_UNREADABLE", format!("the key {key:?} can't be read; it was not written by Prism"))
            .with_source(error)
    })
}

fn to_event(aggregate: String, version: u64, stored: StoredEvent) -> Event {
    let StoredEvent { event, position, append_time } = stored;
    let event = event.unwrap_or_default();
    Event { aggregate, version, position, id: event.id, r#type: event.r#type, payload: event.payload, headers: event.headers, append_time }
}

/// No name of an aggregate has a NUL, so no aggregate has keys among those of another one.
fn event_key(aggregate: &str, version: u64) -> Bytes {
    format!("e/{aggregate}\0{version:016x}").into()
}

fn position_key(position: u64) -> Bytes {
    format!("p/{position:016x}").into()
}

fn version_key(aggregate: &str) -> Bytes {
    format!("v/{aggregate}").into()
}
