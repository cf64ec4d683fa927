//! The stream of one watcher.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{
    Change, ChangeKind, ChangeLog, Head, WatchedKeys,
    cursor::{RemainingEntries, WatchCursor},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{CaughtUp, Entry, ScanResponse, WatchGap, WatchRequest, WatchResponse, watch_response::Event},
};

/// Changes of other keys after which the watcher receives a new cursor.
const SKIPPED_CHANGES: usize = 1000;

/// Checks the request and starts to watch. `permit` is dropped with the stream.
pub async fn watch(
    log: Arc<dyn ChangeLog>,
    context: &Context,
    request: WatchRequest,
    permit: impl Send + 'static,
) -> Result<Messages<WatchResponse>, Error> {
    let WatchRequest { key, prefix, changes_only, cursor } = request;
    let keys = WatchedKeys::new(log.limits(), key, prefix)?;
    let cursor = WatchCursor::decode(&cursor)?;
    let context = context.without_metadata();
    let head = log.head(&context).await?;
    let mut watcher = Watcher::new(log, context, keys, changes_only, head);
    watcher.begin(cursor, head).await?;
    Ok(Box::pin(stream::try_unfold((watcher, permit), |(mut watcher, permit)| async move {
        Ok(Some((watcher.next().await?, (watcher, permit))))
    })))
}

/// The state of a watch.
struct Watcher {
    log: Arc<dyn ChangeLog>,
    context: Context,
    keys: WatchedKeys,
    changes_only: bool,
    epoch: u64,
    /// The position of the last change that was processed.
    position: u64,
    /// The rest of the current entries.
    entries: Option<OpenEntries>,
    /// The rest of the last page, and its end.
    page: VecDeque<Arc<Change>>,
    page_end: u64,
    /// The position from which on the watcher has caught up; `None` if it has.
    target: Option<u64>,
    /// Changes of other keys since the last event.
    skipped: usize,
    /// Whether the changes after the cursor are gone.
    lost: bool,
}

struct OpenEntries {
    stream: Messages<ScanResponse>,
    /// Entries with a greater revision come as changes.
    revision: u64,
}

impl Watcher {
    fn new(log: Arc<dyn ChangeLog>, context: Context, keys: WatchedKeys, changes_only: bool, head: Head) -> Self {
        let Head { epoch, position, .. } = head;
        let (entries, page) = (None, VecDeque::new());
        Self { log, context, keys, changes_only, epoch, position, entries, page, page_end: position, target: None, skipped: 0, lost: false }
    }

    /// Begins at a cursor, or with all entries.
    async fn begin(&mut self, cursor: Option<WatchCursor>, head: Head) -> Result<(), Error> {
        match cursor {
            None => self.restart(head).await,
            // The cursor is of data that is gone.
            Some(cursor) if cursor.epoch != head.epoch || cursor.position > head.position => {
                self.lost = true;
                Ok(())
            }
            Some(WatchCursor { position, entries, .. }) => {
                self.position = position;
                if let Some(RemainingEntries { revision, after }) = entries.filter(|_| !self.changes_only) {
                    self.open_entries(revision, &after).await
                } else {
                    self.target = Some(head.position);
                    Ok(())
                }
            }
        }
    }

    /// Begins with all entries, or after the last change if the client wants only changes.
    async fn restart(&mut self, head: Head) -> Result<(), Error> {
        self.epoch = head.epoch;
        self.position = head.position;
        self.page.clear();
        if self.changes_only {
            self.target = Some(head.position);
            return Ok(());
        }
        self.open_entries(head.revision, b"").await
    }

    async fn open_entries(&mut self, revision: u64, after: &[u8]) -> Result<(), Error> {
        let stream = self.log.entries(&self.context, self.keys.scan(after)).await?;
        self.entries = Some(OpenEntries { stream, revision });
        self.target = None;
        Ok(())
    }

    /// Returns the next event.
    async fn next(&mut self) -> Result<WatchResponse, Error> {
        loop {
            tokio::task::consume_budget().await;
            if std::mem::take(&mut self.lost) {
                return self.gap().await;
            }
            if let Some(event) = self.next_entry().await? {
                return Ok(event);
            }
            if self.target.is_some_and(|target| self.position >= target) {
                self.target = None;
                return Ok(self.event(Event::CaughtUp(CaughtUp {})));
            }
            let Some(change) = self.page.pop_front() else {
                self.next_page().await?;
                continue;
            };
            self.position = if self.page.is_empty() { self.page_end } else { change.position };
            if self.keys.contains(change.key()) {
                return Ok(self.event(match &change.kind {
                    ChangeKind::Stored(entry) => Event::Stored(entry.clone()),
                    ChangeKind::Removed(removed) => Event::Removed(removed.clone()),
                }));
            }
            self.skipped += 1;
            if self.skipped >= SKIPPED_CHANGES && self.target.is_none() {
                return Ok(self.event(Event::CaughtUp(CaughtUp {})));
            }
        }
    }

    /// Returns the next of the current entries; `None` after the last one.
    async fn next_entry(&mut self) -> Result<Option<WatchResponse>, Error> {
        let Some(entries) = &mut self.entries else { return Ok(None) };
        let revision = entries.revision;
        while let Some(item) = entries.stream.next().await {
            if let ScanResponse { entry: Some(entry), .. } = item?
                && entry.revision <= revision
                && self.keys.contains(&entry.key)
            {
                return Ok(Some(self.entry_event(entry, revision)));
            }
        }
        self.entries = None;
        let head = self.log.head(&self.context).await?;
        // In another history, this position never comes, and reading reports the gap.
        self.target = Some(head.position.max(self.position));
        Ok(None)
    }

    /// Reads the next changes, or waits for them. Sets `lost` if some are missing.
    async fn next_page(&mut self) -> Result<(), Error> {
        let Some(page) = self.log.read(&self.context, self.epoch, self.position).await? else {
            self.lost = true;
            return Ok(());
        };
        self.page_end = page.end.max(self.position);
        self.page = page.changes.into();
        if self.page.is_empty() {
            self.position = self.page_end;
            if self.target.is_none_or(|target| self.position < target) {
                self.log.changed(self.epoch, self.position).await?;
            }
        }
        Ok(())
    }

    /// Begins anew after a gap, and returns its event.
    async fn gap(&mut self) -> Result<WatchResponse, Error> {
        let head = self.log.head(&self.context).await?;
        self.restart(head).await?;
        let entries = self.entries.as_ref().map(|entries| RemainingEntries { revision: entries.revision, after: Bytes::new() });
        Ok(self.event_before(Event::Gap(WatchGap {}), entries))
    }

    fn event(&mut self, event: Event) -> WatchResponse {
        self.event_before(event, None)
    }

    fn entry_event(&mut self, entry: Entry, revision: u64) -> WatchResponse {
        let after = entry.key.clone();
        self.event_before(Event::Entry(entry), Some(RemainingEntries { revision, after }))
    }

    /// An event, with the entries that come behind it.
    fn event_before(&mut self, event: Event, entries: Option<RemainingEntries>) -> WatchResponse {
        self.skipped = 0;
        let cursor = WatchCursor { epoch: self.epoch, position: self.position, entries }.encode();
        WatchResponse { event: Some(event), cursor }
    }
}
