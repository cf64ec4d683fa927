//! KeyValue over a table. The documentation of the crate has the layout of a row.

mod basic;
mod batch;
mod cas;
mod history;
mod position;
mod row;
mod scan;
mod ttl;
mod watch;

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;

use self::{history::HistoryState, row::Row, watch::Watch};
use crate::{
    client::{Client, Deadline},
    names::{Names, key_tokens},
    signals::Signals,
    table::{Conflicts, Table},
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::{Limits, subscriptions::SubscriptionLimits, time::Millis};

/// The key-value interfaces over one keyspace.
#[derive(Clone)]
pub struct KeyValue {
    table: Arc<Table>,
    history: Arc<HistoryState>,
    limits: Limits,
    max_scan_keys: usize,
}

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(keyvalue: &Arc<KeyValue>, signals: &Arc<Signals>, subscriptions: &Arc<SubscriptionLimits>, interfaces: &mut Interfaces) {
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_scan = Some(keyvalue.clone());
    interfaces.keyvalue_ttl = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    interfaces.keyvalue_watch = Some(Arc::new(Watch::new((**keyvalue).clone(), signals.clone(), subscriptions.clone())));
}

/// What a write does with the row that it found.
enum Change {
    /// Leaves it as it is.
    Keep,
    /// Removes it.
    Remove,
    /// Replaces it.
    Replace(HeaderMap, Bytes),
}

impl KeyValue {
    pub fn new(client: Arc<Client>, names: &Names, limits: Limits, max_scan_keys: usize) -> Self {
        let table = Arc::new(Table::new(client, names, "kv", &serde_json::json!({})));
        Self { history: Arc::new(HistoryState::new(table.clone())), table, limits, max_scan_keys }
    }

    fn deadline(&self, context: &Context) -> Deadline {
        self.table.client().deadline(context)
    }

    /// Reads the row of a checked key. Returns `None` if there is none or it has expired.
    async fn read(&self, deadline: &Deadline, key: &[u8]) -> Result<Option<Row>, Error> {
        let row = self.table.get(deadline, &key_tokens(key)).await?.map(Row::parse).transpose()?;
        Ok(row.filter(Row::is_alive))
    }

    /// Reads the row of a checked key and changes it, until no other write comes in between. `decide` gets the row if there is one that has
    /// not expired. Returns the row, and the sequence of a new one.
    async fn change(
        &self,
        context: &Context,
        key: &[u8],
        mut decide: impl FnMut(Option<&Row>) -> Result<Change, Error>,
    ) -> Result<(Option<Row>, u64), Error> {
        let (deadline, tokens) = (self.deadline(context), key_tokens(key));
        let mut conflicts = Conflicts::default();
        loop {
            let stored = self.table.get(&deadline, &tokens).await?.map(Row::parse).transpose()?;
            let sequence = stored.as_ref().map_or(0, Row::sequence);
            let row = stored.as_ref().filter(|row| row.is_alive());
            let is_alive = row.is_some();
            let done = match (decide(row)?, row) {
                (Change::Keep, _) | (Change::Remove, None) => return Ok((stored.filter(|_| is_alive), 0)),
                (Change::Remove, Some(row)) => self.history.remove(&deadline, &tokens, row).await?.then_some(0),
                (Change::Replace(mut headers, value), _) => {
                    if let Some(former) = &stored {
                        former.add_expiration(&mut headers);
                    }
                    self.table.put(&deadline, &tokens, sequence, headers, value).await?
                }
            };
            match done {
                Some(sequence) => return Ok((stored.filter(|_| is_alive), sequence)),
                None => conflicts.pause(&deadline).await?,
            }
        }
    }

    /// Stores a value over the row that is there. Returns the new revision.
    async fn write(&self, context: &Context, key: &[u8], value: &Bytes, expires: Option<Millis>, flags: u64) -> Result<u64, Error> {
        let replace = |row: Option<&Row>| Ok(Change::Replace(Row::headers_of_write(row, expires, flags), value.clone()));
        Ok(self.change(context, key, replace).await?.1)
    }

    /// Removes a row. Returns the revision that it had.
    async fn remove(&self, context: &Context, key: &[u8]) -> Result<Option<u64>, Error> {
        let decide = |row: Option<&Row>| Ok(if row.is_some() { Change::Remove } else { Change::Keep });
        let (row, _) = self.change(context, key, decide).await?;
        Ok(row.map(|row| row.metadata().numbers.revision))
    }
}
