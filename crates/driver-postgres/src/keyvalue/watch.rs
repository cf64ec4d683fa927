//! `keyvalue_watch`, from the history of the keyspace.
//!
//! Transactions commit in another order than they take positions. So a position is read only when all transactions have ended that may
//! have taken it or an earlier one: the last position is read, then a transaction takes a number. When no transaction with a lower number
//! is running, everything up to the position is there.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio_postgres::{Row, types::Type};

use super::{KeyValue, history};
use crate::{
    columns::{read_bytes, read_metadata, unsigned},
    database::Call,
    error,
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::keyvalue::v1::{KeyValueScan, KeyValueWatch, RemovedKey, ScanRequest, ScanResponse, WatchRequest, WatchResponse},
};
use prism_driver::{
    Limits,
    lock::lock,
    watch::{self, Change, ChangeKind, ChangeLog, Head, PAGE_BYTES, PAGE_CHANGES, Page, Renewal, TailSlot},
};

/// Pauses between looks for new changes: the first one after changes of the keyspace, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long a watch waits for transactions that began before it.
const PATIENCE: Duration = Duration::from_secs(10);

static LAST_POSITION: Sql =
    Sql { text: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.change_positions", types: &[] };
static LAST_REVISION: Sql = Sql { text: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.revisions", types: &[] };

/// The number of the first transaction that is running, and that of this one, which is greater than those of all before it.
static TRANSACTIONS: Sql =
    Sql { text: "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_xact_id()::text::bigint", types: &[] };

/// The number of the first transaction that is running.
static RUNNING: Sql = Sql { text: "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", types: &[] };

static READ: Sql = Sql {
    text: "SELECT revision, create_revision, version, flags, expires, position, kind, key, value
           FROM (SELECT *, sum(bytes) OVER (ORDER BY position) - bytes AS before
                 FROM (SELECT * FROM {schema}.changes WHERE keyspace = $1 AND position > $2 AND position <= $3
                       ORDER BY position LIMIT $4) AS page) AS sized
           WHERE before < $5 ORDER BY position",
    types: &[Type::INT8, Type::INT8, Type::INT8, Type::INT8, Type::INT8],
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
    progress: Mutex<Progress>,
    /// The pause before the next look for new changes. It grows until the keyspace has some, also while others have.
    pause: Mutex<Duration>,
}

/// Up to which position all changes are there.
#[derive(Debug, Default)]
struct Progress {
    complete: i64,
    /// A later position, which is complete when all transactions before the one with this number have ended.
    next: Option<(i64, i64)>,
}

impl Progress {
    /// Considers the last position, the first transaction that was running after it was read, and the one that took a number then.
    fn advance(&mut self, position: i64, running: i64, next: i64) -> i64 {
        let waiting = self.next.filter(|(_, transaction)| running < *transaction);
        let ended = self.next.filter(|(_, transaction)| running >= *transaction).map_or(0, |(position, _)| position);
        let now = if running >= next { position } else { 0 };
        self.complete = self.complete.max(ended).max(now);
        self.next = waiting.or((running < next).then_some((position, next)));
        self.complete
    }
}

impl Watch {
    pub fn new(keyvalue: Arc<KeyValue>) -> Self {
        let (progress, pause) = (Mutex::default(), Mutex::new(FIRST_PAUSE));
        let changes = Changes { keyvalue: keyvalue.clone(), renewal: Renewal::default(), progress, pause };
        Self { keyvalue, tail: TailSlot::new(Arc::new(changes)) }
    }
}

#[async_trait]
impl KeyValueWatch for Watch {
    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        let permit = self.keyvalue.keyspace.database.watch_permit()?;
        watch::watch(self.tail.tail(), context, request, permit).await
    }
}

impl Changes {
    /// Returns the position up to which all changes are there. `None`: the server no longer has the position `after`. It was restored, or
    /// another server has replaced it that did not have the last writes.
    async fn complete_position(&self, context: &Context, after: u64) -> Result<Option<i64>, Error> {
        let database = &self.keyvalue.keyspace.database;
        // It is read before the last position, which is lower only if positions were lost.
        let complete = lock(&self.progress).complete;
        let position = number(&database.query(context, &LAST_POSITION, &[]).await?)?;
        if position < complete {
            *lock(&self.progress) = Progress::default();
        }
        if unsigned(position) < after {
            return Ok(None);
        }
        if position == complete {
            return Ok(Some(complete));
        }
        let (running, next) = transaction_numbers(&database.query(context, &TRANSACTIONS, &[]).await?)?;
        Ok(Some(lock(&self.progress).advance(position, running, next)))
    }

    fn next_pause(&self) -> Duration {
        let mut next = lock(&self.pause);
        let pause = *next;
        *next = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Waits until all transactions before the one with a number have ended.
    async fn wait_for_transactions(&self, context: &Context, before: i64) -> Result<(), Error> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        loop {
            let running = self.keyvalue.keyspace.database.query(context, &RUNNING, &[]).await?;
            if number(&running)? >= before {
                return Ok(());
            }
            if began.elapsed() >= PATIENCE {
                return Err(error::unavailable("a transaction that writes to PostgreSQL has been running for too long", LONGEST_PAUSE));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[async_trait]
impl ChangeLog for Changes {
    fn limits(&self) -> &Limits {
        &self.keyvalue.keyspace.limits
    }

    fn is_closed(&self) -> bool {
        self.keyvalue.keyspace.database.is_closed()
    }

    async fn head(&self, context: &Context) -> Result<Head, Error> {
        let database = &self.keyvalue.keyspace.database;
        let id = self.keyvalue.keyspace.id(context).await?;
        let epoch = history::start(database, context, id).await?;
        let [position, revision] = database.query_two(context, (&LAST_POSITION, &[]), (&LAST_REVISION, &[])).await?;
        let (position, revision) = (number(&position)?, number(&revision)?);
        let transactions = database.query(context, &TRANSACTIONS, &[]).await?;
        self.wait_for_transactions(context, transaction_numbers(&transactions)?.1).await?;
        let mut progress = lock(&self.progress);
        progress.complete = progress.complete.max(position);
        drop(progress);
        self.renewal.renewed();
        Ok(Head { epoch: epoch.cast_unsigned(), position: unsigned(position), revision: unsigned(revision) })
    }

    async fn read(&self, context: &Context, epoch: u64, after: u64) -> Result<Option<Page>, Error> {
        if self.renewal.is_due() {
            self.head(context).await?;
        }
        let database = &self.keyvalue.keyspace.database;
        let id = self.keyvalue.keyspace.id(context).await?;
        let Some(complete) = self.complete_position(context, after).await? else { return Ok(None) };
        let Ok(from) = i64::try_from(after) else { return Ok(None) };
        let (most, bytes) = (i64::try_from(PAGE_CHANGES).unwrap_or(i64::MAX), i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX));
        // The history is read after the changes: what was removed in between is missing.
        let read: Call<'_> = (&READ, &[&id, &from, &complete, &most, &bytes]);
        let [rows, history] = database.query_two(context, read, (&history::FIND, &[&id, &0_i64])).await?;
        let Some(history) = history.first() else { return Ok(None) };
        if history.get::<_, i64>(0).cast_unsigned() != epoch || from < history.get::<_, i64>(1) {
            return Ok(None);
        }
        let changes: Vec<_> = rows.iter().map(read_change).map(Arc::new).collect();
        if !changes.is_empty() {
            *lock(&self.pause) = FIRST_PAUSE;
        }
        let read_bytes: u64 = changes.iter().map(|change| change.bytes()).sum();
        let is_full = changes.len() == PAGE_CHANGES || read_bytes >= PAGE_BYTES as u64;
        let end = changes.last().filter(|_| is_full).map_or(unsigned(complete.max(from)), |last| last.position);
        Ok(Some(Page { changes, end }))
    }

    async fn changed(&self, _: u64, after: u64) -> Result<(), Error> {
        let context = Context::internal("");
        let poll = async {
            loop {
                tokio::time::sleep(self.next_pause()).await;
                match self.complete_position(&context, after).await {
                    Ok(Some(position)) if unsigned(position) <= after => {}
                    // A loss or an error comes again when the caller reads.
                    _ => return,
                }
            }
        };
        self.renewal.before_due(poll).await;
        Ok(())
    }

    async fn entries(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        self.keyvalue.scan(context, request).await
    }
}

fn number(rows: &[Row]) -> Result<i64, Error> {
    rows.first().map(|row| row.get(0)).ok_or_else(error::unexpected_reply)
}

fn transaction_numbers(rows: &[Row]) -> Result<(i64, i64), Error> {
    rows.first().map(|row| (row.get(0), row.get(1))).ok_or_else(error::unexpected_reply)
}

fn read_change(row: &Row) -> Change {
    let key = read_bytes(row, 7);
    let metadata = read_metadata(row, 0);
    let kind = match row.get::<_, i16>(6) {
        0 => ChangeKind::Stored(metadata.into_entry(key, read_bytes(row, 8))),
        kind => ChangeKind::Removed(RemovedKey { key, previous_revision: metadata.numbers.revision, expired: kind == 2 }),
    };
    Change { position: unsigned(row.get(5)), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_complete_when_earlier_transactions_have_ended() {
        let mut progress = Progress::default();
        assert_eq!(progress.advance(5, 100, 100), 5);
        // Transaction 100 is running, and may have taken position 6.
        assert_eq!(progress.advance(7, 100, 103), 5);
        assert_eq!(progress.advance(8, 102, 104), 5);
        assert_eq!(progress.advance(9, 103, 105), 7);
        assert_eq!(progress.advance(9, 105, 105), 9);
        assert_eq!(progress.advance(9, 105, 106), 9);
        assert_eq!(progress.advance(10, 107, 107), 10);
    }
}
