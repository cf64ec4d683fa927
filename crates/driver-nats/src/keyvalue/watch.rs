//! `keyvalue_watch`: the table is its own history. It has the last message of each key in the order of the sequences, so a change that another
//! one of the same key has replaced is left out.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::{
    KeyValue,
    position::{Part, is_too_old, next_sequence, position, sequence},
    row::Row,
};
use crate::{
    error,
    jetstream::StreamInfo,
    names::parse_key,
    signals::{Listener, Signals},
    table::MARKER_SECONDS,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{KeyValueScan, KeyValueWatch, RemovedKey, ScanRequest, ScanResponse, WatchRequest, WatchResponse},
};
use prism_driver::{
    Limits,
    lock::lock,
    subscriptions::SubscriptionLimits,
    time,
    watch::{self, Change, ChangeKind, ChangeLog, Head, PAGE_CHANGES, Page, TailSlot},
};

/// Bytes after which a page ends.
const PAGE_BYTES: usize = 1 << 20;
/// How long the reader waits at the end before it reads again, if nothing wakes it.
const POLL: Duration = Duration::from_secs(10);
/// How long it is known that there were no changes after the end: less than markers stay.
const END_IS_KNOWN: Duration = Duration::from_secs(MARKER_SECONDS / 2);

/// `keyvalue_watch` over one keyspace.
pub struct Watch {
    subscriptions: Arc<SubscriptionLimits>,
    tail: TailSlot<Changes>,
}

/// The changes of a keyspace, as watchers read them.
struct Changes {
    keyvalue: KeyValue,
    signals: Arc<Signals>,
    /// What wakes the reader, while it does not wait.
    listener: Mutex<Option<Listener>>,
    /// The last sequence of the table, and when there was no later one.
    end: Mutex<Option<(u64, Instant)>>,
}

impl Watch {
    pub fn new(keyvalue: KeyValue, signals: Arc<Signals>, subscriptions: Arc<SubscriptionLimits>) -> Self {
        let changes = Changes { keyvalue, signals, listener: Mutex::default(), end: Mutex::default() };
        Self { subscriptions, tail: TailSlot::new(Arc::new(changes)) }
    }
}

#[async_trait]
impl KeyValueWatch for Watch {
    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        let permit = self.subscriptions.permit()?;
        watch::watch(self.tail.tail(), context, request, permit).await
    }
}

impl Changes {
    /// Whether markers that were stored after a position may be gone.
    fn is_too_old(&self, after: u64) -> bool {
        let end = *lock(&self.end);
        let is_end = end.is_some_and(|(last, at)| next_sequence(after) > last && at.elapsed() < END_IS_KNOWN);
        !is_end && is_too_old(after, time::now())
    }

    /// The changes of a message after a position.
    fn changes(&self, row: Row, after: u64, changes: &mut Vec<Arc<Change>>) -> Result<(), Error> {
        let tokens = row.subject().and_then(|subject| self.keyvalue.table.tokens(subject)).ok_or_else(error::unexpected_response)?;
        let key = Bytes::from(parse_key(tokens).ok_or_else(error::foreign_message)?);
        let at = |part| position(row.sequence(), row.stored_at(), part);
        let removed = |previous_revision, expired| ChangeKind::Removed(RemovedKey { key: key.clone(), previous_revision, expired });
        if let Some((revision, expired)) = row.removal()? {
            changes.push(Arc::new(Change { position: at(Part::Change), kind: removed(revision, expired) }));
            return Ok(());
        }
        if let Some(revision) = row.expired_before()?
            && at(Part::Expiration) > after
        {
            changes.push(Arc::new(Change { position: at(Part::Expiration), kind: removed(revision, true) }));
        }
        // A later expire time is no change, but it may have replaced the message with the value. The watcher may have only the expiration
        // before that value.
        if !row.is_expiration_change() || row.metadata().numbers.revision >= next_sequence(after) {
            changes.push(Arc::new(Change { position: at(Part::Change), kind: ChangeKind::Stored(row.into_entry(key)) }));
        }
        Ok(())
    }
}

fn end_of(info: &StreamInfo) -> Result<u64, Error> {
    Ok(position(info.state.last_seq, info.last_time()?, Part::Change))
}

#[async_trait]
impl ChangeLog for Changes {
    fn limits(&self) -> &Limits {
        &self.keyvalue.limits
    }

    fn is_closed(&self) -> bool {
        self.keyvalue.table.client().connection().is_closed()
    }

    async fn head(&self, context: &Context) -> Result<Head, Error> {
        self.keyvalue.history.begin(&self.keyvalue.deadline(context)).await?;
        // The history may have begun only now, which takes longer than a request.
        let info = self.keyvalue.table.info(&self.keyvalue.deadline(context)).await?.ok_or_else(error::jetstream_unavailable)?;
        Ok(Head { epoch: info.epoch()?, position: end_of(&info)?, revision: info.state.last_seq })
    }

    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        let (deadline, read_at) = (self.keyvalue.deadline(context), Instant::now());
        let Some(info) = self.keyvalue.table.info(&deadline).await? else { return Ok(None) };
        if info.epoch()? != epoch {
            return Ok(None);
        }
        let (from, last) = (next_sequence(after), info.state.last_seq);
        let mut page = Page { changes: Vec::new(), end: after.max(end_of(&info)?) };
        if from <= last {
            if self.is_too_old(after) {
                return Ok(None);
            }
            let rows = self.keyvalue.table.page(&deadline, from, PAGE_CHANGES, PAGE_BYTES).await?;
            for row in rows {
                let row = Row::parse(row)?;
                page.end = position(row.sequence(), row.stored_at(), Part::Change);
                self.changes(row, after, &mut page.changes)?;
            }
        }
        if sequence(page.end) >= last {
            *lock(&self.end) = Some((last, read_at));
        }
        Ok(Some(page))
    }

    async fn changed(&self, _: u64, _: u64) -> Result<(), Error> {
        // If the reader ends while it waits, the listener ends with it.
        let waiting = lock(&self.listener).take();
        let listener = if let Some(mut listener) = waiting {
            let mut link = self.keyvalue.table.client().connection().link();
            let disconnected = async {
                // An error means that the connection was dropped.
                let _ = link.wait_for(|link| !link.connected).await;
            };
            tokio::select! {
                () = listener.changed(POLL) => {}
                // The next read fails, so that the reader knows.
                () = disconnected => {}
            }
            listener
        } else {
            // What came before is noticed by the next read.
            let deadline = self.keyvalue.deadline(&Context::internal(""));
            self.signals.listen(&deadline, &self.keyvalue.table.wake_filter()).await?
        };
        *lock(&self.listener) = Some(listener);
        Ok(())
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        self.keyvalue.scan(context, request).await
    }
}
