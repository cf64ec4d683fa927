//! The end of a history, which one task reads for all watchers of a keyspace.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{Change, ChangeLog, Head, Page};
use crate::{Limits, lock::lock};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::keyvalue::v1::{ScanRequest, ScanResponse},
};

/// Most changes in memory.
const WINDOW_CHANGES: usize = 1024;
/// Most bytes of changes in memory. The last change is kept even if it is larger.
const WINDOW_BYTES: u64 = 4 << 20;
/// How long the reader waits for a backend that is not reachable before all watchers end with the error.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause before the reader tries again.
const RETRY: Duration = Duration::from_millis(250);

/// Where the tail of a keyspace is while it has watchers.
pub struct TailSlot<L> {
    log: Arc<L>,
    tail: Mutex<Weak<Tail<L>>>,
}

impl<L: ChangeLog> TailSlot<L> {
    /// A slot without a tail.
    pub fn new(log: Arc<L>) -> Self {
        Self { log, tail: Mutex::default() }
    }

    /// Returns the tail, and starts its reader if there is none. The reader ends when all watchers have dropped the tail. Must be called
    /// inside a Tokio runtime.
    pub fn tail(&self) -> Arc<Tail<L>> {
        let mut slot = lock(&self.tail);
        if let Some(tail) = slot.upgrade() {
            return tail;
        }
        let shared = Arc::new(SharedWindow { window: Mutex::default(), state: watch::Sender::new(State::default()) });
        let reader = tokio::spawn(Reader { log: self.log.clone(), shared: shared.clone() }.run()).abort_handle();
        let tail = Arc::new(Tail { log: self.log.clone(), shared, reader });
        *slot = Arc::downgrade(&tail);
        tail
    }
}

/// The last changes of a keyspace. Serves them from memory, and older ones from the history.
pub struct Tail<L> {
    log: Arc<L>,
    shared: Arc<SharedWindow>,
    reader: AbortHandle,
}

impl<L> Drop for Tail<L> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct SharedWindow {
    window: Mutex<Window>,
    state: watch::Sender<State>,
}

/// What watchers wait for.
#[derive(Clone, Debug, Default)]
struct State {
    /// The history; `None` before the reader has read it.
    epoch: Option<u64>,
    end: u64,
    failure: Option<Failure>,
}

/// Why the reader can't read, for the error of each watcher.
#[derive(Clone, Debug)]
struct Failure {
    code: Code,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Failure {
    fn new(error: &Error) -> Self {
        let (reason, message) = (error.reason().to_owned(), error.message().to_owned());
        Self { code: error.code(), reason, message, retry_after: error.retry_after() }
    }

    fn into_error(self) -> Error {
        let error = Error::new(self.code, self.reason, self.message);
        match self.retry_after {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        }
    }
}

/// Changes that follow each other without a gap.
#[derive(Debug, Default)]
struct Window {
    epoch: u64,
    /// The position after which the window has every change.
    start: u64,
    end: u64,
    changes: VecDeque<Arc<Change>>,
    bytes: u64,
}

impl Window {
    fn begin(head: Head) -> Self {
        Self { epoch: head.epoch, start: head.position, end: head.position, ..Self::default() }
    }

    fn add(&mut self, page: &Page) {
        for change in &page.changes {
            self.bytes += change.bytes();
            self.changes.push_back(change.clone());
        }
        self.end = self.end.max(page.end);
        while (self.changes.len() > WINDOW_CHANGES || self.bytes > WINDOW_BYTES)
            && self.changes.len() > 1
            && let Some(oldest) = self.changes.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.start = oldest.position;
        }
    }

    /// The changes after a position; `None` if the window does not have all of them.
    fn page(&self, epoch: u64, after: u64) -> Option<Page> {
        if epoch != self.epoch || after < self.start || after > self.end {
            return None;
        }
        let first = self.changes.partition_point(|change| change.position <= after);
        Some(Page::first(self.changes.range(first..), self.end))
    }
}

#[async_trait]
impl<L: ChangeLog> ChangeLog for Tail<L> {
    fn limits(&self) -> &Limits {
        self.log.limits()
    }

    fn is_closed(&self) -> bool {
        self.log.is_closed()
    }

    async fn head(&self, context: &Context) -> Result<Head, Error> {
        self.log.head(context).await
    }

    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        let page = lock(&self.shared.window).page(epoch, after);
        match page {
            Some(page) => Ok(Some(page)),
            None => self.log.read(context, epoch, after).await,
        }
    }

    async fn changed(&self, epoch: u64, after: u64) -> Result<(), Error> {
        let mut state = self.shared.state.subscribe();
        let is_other = |state: &State| state.epoch.is_some_and(|current| current != epoch);
        let changed = state.wait_for(|state| state.end > after || is_other(state) || state.failure.is_some()).await;
        let (failure, other) = changed.map_or((None, true), |state| (state.failure.clone(), is_other(&state)));
        if let Some(failure) = failure {
            return Err(failure.into_error());
        }
        if other {
            // The reader or the watcher has not noticed the new history yet.
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        self.log.entries(context, request).await
    }
}

/// Reads the history.
struct Reader<L> {
    log: Arc<L>,
    shared: Arc<SharedWindow>,
}

impl<L: ChangeLog> Reader<L> {
    async fn run(self) {
        let context = Context::internal("");
        let mut failing: Option<Instant> = None;
        let mut position = None;
        loop {
            match self.step(&context, &mut position).await {
                Ok(()) => failing = None,
                Err(error) => {
                    let since = *failing.get_or_insert_with(Instant::now);
                    if error.code() != Code::Unavailable || since.elapsed() >= PATIENCE || self.log.is_closed() {
                        self.shared.state.send_modify(|state| state.failure = Some(Failure::new(&error)));
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Reads a page, or waits for one. `position` is that of the epoch and the end of the window.
    async fn step(&self, context: &Context, position: &mut Option<(u64, u64)>) -> Result<(), Error> {
        let page = match *position {
            Some((epoch, after)) => self.log.read(context, epoch, after).await?,
            None => None,
        };
        let Some(page) = page else {
            let head = self.log.head(context).await?;
            *lock(&self.shared.window) = Window::begin(head);
            *position = Some((head.epoch, head.position));
            self.shared.state.send_modify(|state| *state = State { epoch: Some(head.epoch), end: head.position, failure: None });
            return Ok(());
        };
        let Some((epoch, after)) = position else { return Ok(()) };
        *after = page.end.max(*after);
        let (epoch, end) = (*epoch, *after);
        let is_empty = page.changes.is_empty();
        lock(&self.shared.window).add(&page);
        self.shared.state.send_if_modified(|state| {
            let news = state.failure.is_some() || state.end != end;
            (state.end, state.failure) = (end, None);
            news
        });
        if is_empty { self.log.changed(epoch, end).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{ChangeKind, PAGE_CHANGES};
    use prism_call::proto::models::keyvalue::v1::RemovedKey;

    fn page(positions: std::ops::Range<u64>, key_bytes: usize) -> Page {
        let removed = || RemovedKey { key: vec![b'k'; key_bytes].into(), ..RemovedKey::default() };
        let end = positions.end - 1;
        let changes = positions.map(|position| Arc::new(Change { position, kind: ChangeKind::Removed(removed()) })).collect();
        Page { changes, end }
    }

    fn positions(page: Option<Page>) -> Option<(Vec<u64>, u64)> {
        page.map(|page| (page.changes.iter().map(|change| change.position).collect(), page.end))
    }

    #[test]
    fn a_window_has_the_last_changes() {
        let mut window = Window::begin(Head { epoch: 1, position: 10, revision: 0 });
        assert_eq!(positions(window.page(1, 10)), Some((vec![], 10)));
        assert_eq!((positions(window.page(1, 9)), positions(window.page(2, 10)), positions(window.page(1, 11))), (None, None, None));
        window.add(&page(11..14, 1));
        window.add(&Page { changes: Vec::new(), end: 20 });
        assert_eq!(positions(window.page(1, 11)), Some((vec![12, 13], 20)));
        assert_eq!(positions(window.page(1, 15)), Some((vec![], 20)));
        window.add(&page(21..21 + WINDOW_CHANGES as u64, 1));
        assert_eq!(positions(window.page(1, 12)), None);
        let (first, end) = positions(window.page(1, 20)).unwrap();
        assert_eq!((first.len(), first[0], end), (PAGE_CHANGES, 21, 20 + PAGE_CHANGES as u64));
    }

    #[test]
    fn a_window_is_bounded_in_bytes() {
        let mut window = Window::begin(Head { epoch: 1, position: 0, revision: 0 });
        window.add(&page(1..7, 1 << 20));
        assert_eq!(window.start, 2);
        window.add(&page(7..8, 9 << 20));
        assert_eq!(positions(window.page(1, 6)), Some((vec![7], 7)));
        assert_eq!(positions(window.page(1, 5)), None);
    }
}
