//! `keyvalue_watch`. Writes record changes in the same transaction; other processes on the file are noticed by its data version.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

use super::{
    KeyValue,
    rows::{read_metadata, unsigned},
};
use crate::{
    error::DatabaseResult,
    history::{self, EXPIRED, STORED},
    signals::Topic,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{KeyValueScan, KeyValueWatch, RemovedKey, ScanRequest, ScanResponse, WatchRequest, WatchResponse},
};
use prism_driver::{
    Limits, time,
    watch::{self, Change, ChangeKind, ChangeLog, HISTORY_MILLIS, Head, PAGE_BYTES, PAGE_CHANGES, Page, Renewal, TailSlot},
};

/// `keyvalue_watch` over one keyspace.
pub struct Watch {
    keyvalue: Arc<KeyValue>,
    tail: TailSlot<Changes>,
}

/// The history of a keyspace, as watchers read it.
struct Changes {
    keyvalue: Arc<KeyValue>,
    renewal: Renewal,
}

impl Watch {
    pub fn new(keyvalue: Arc<KeyValue>) -> Self {
        let changes = Changes { keyvalue: keyvalue.clone(), renewal: Renewal::default() };
        Self { keyvalue, tail: TailSlot::new(Arc::new(changes)) }
    }
}

#[async_trait]
impl KeyValueWatch for Watch {
    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        let permit = self.keyvalue.keyspace.watch_permit()?;
        watch::watch(self.tail.tail(), context, request, permit).await
    }
}

#[async_trait]
impl ChangeLog for Changes {
    fn limits(&self) -> &Limits {
        self.keyvalue.keyspace.limits()
    }

    fn is_closed(&self) -> bool {
        self.keyvalue.keyspace.is_closed()
    }

    async fn head(&self, _: &Context) -> Result<Head, Error> {
        let recent = self.keyvalue.keyspace.quick(|connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let history = history::find(&snapshot, keyspace)?.filter(|history| history.until > time::now() + HISTORY_MILLIS / 2);
            history.map(|history| Ok((history, revision(&snapshot, keyspace)?))).transpose()
        });
        let (history, revision) = if let Some(found) = recent.await? {
            found
        } else {
            let start = |tx: &crate::writer::Tx<'_>, keyspace| {
                let history = tx.histories.start(tx.connection, keyspace)?;
                Ok((history, tx.last_number(keyspace)?))
            };
            self.keyvalue.keyspace.write(start).await?
        };
        self.renewal.renewed();
        Ok(Head { epoch: history.epoch.cast_unsigned(), position: unsigned(history.last), revision: unsigned(revision) })
    }

    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        if self.renewal.is_due() {
            self.head(context).await?;
        }
        let read = move |connection: &Connection, keyspace| {
            // One snapshot: no change is removed between the check and the read.
            let snapshot = connection.unchecked_transaction()?;
            let Some(history) = history::find(&snapshot, keyspace)? else { return Ok(None) };
            let in_history = unsigned(history.removed) <= after && after <= unsigned(history.last);
            if history.epoch.cast_unsigned() != epoch || !in_history {
                return Ok(None);
            }
            let mut page = read_page(&snapshot, keyspace, after)?;
            if page.end == 0 {
                page.end = unsigned(history.last);
            }
            Ok(Some(page))
        };
        self.keyvalue.keyspace.read(read).await
    }

    async fn changed(&self, _: u64, after: u64) -> Result<(), Error> {
        let mut waiter = self.keyvalue.keyspace.wait(Topic::Watch).await?;
        let last =
            self.keyvalue.keyspace.quick(|connection, keyspace| Ok(history::find(connection, keyspace)?.map(|history| history.last)));
        if last.await?.map(unsigned) == Some(after) {
            self.renewal.before_due(waiter.changed()).await;
        }
        Ok(())
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        self.keyvalue.scan(context, request).await
    }
}

/// The last revision of a keyspace.
fn revision(connection: &Connection, keyspace: i64) -> DatabaseResult<i64> {
    Ok(connection.prepare_cached("SELECT revision FROM keyspaces WHERE id = ?1")?.query_row([keyspace], |row| row.get(0))?)
}

/// Reads changes after a position. `end` is 0 if there are no more.
fn read_page(connection: &Connection, keyspace: i64, after: u64) -> rusqlite::Result<Page> {
    let mut select = connection.prepare_cached(
        "SELECT revision, expires, create_revision, version, flags, position, kind, key, value FROM changes
         WHERE keyspace = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    let most = i64::try_from(PAGE_CHANGES).unwrap_or(i64::MAX);
    let mut rows = select.query((keyspace, i64::try_from(after).unwrap_or(i64::MAX), most))?;
    let (mut page, mut bytes) = (Page::default(), 0);
    while let Some(row) = rows.next()? {
        let (position, kind): (i64, i64) = (row.get(5)?, row.get(6)?);
        let key = Bytes::copy_from_slice(row.get_ref(7)?.as_blob()?);
        let value = row.get_ref(8)?.as_blob()?;
        bytes += key.len() + value.len();
        let metadata = read_metadata(row, 0)?;
        let kind = if kind == STORED {
            ChangeKind::Stored(metadata.into_entry(key, Bytes::copy_from_slice(value)))
        } else {
            ChangeKind::Removed(RemovedKey { key, previous_revision: metadata.numbers.revision, expired: kind == EXPIRED })
        };
        page.changes.push(Arc::new(Change { position: unsigned(position), kind }));
        if bytes >= PAGE_BYTES || page.changes.len() == PAGE_CHANGES {
            page.end = unsigned(position);
            break;
        }
    }
    Ok(page)
}
