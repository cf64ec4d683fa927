//! Removes rows. While a table has a history, a marker takes the place of a removed row, so that watchers see the removal.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::row::Row;
use crate::{
    client::Deadline,
    table::{MARKER_SECONDS, Table, has_history},
};
use prism_call::{Code, Error};
use prism_driver::{
    lock::lock,
    time::{self, Millis},
};

/// How long a gateway believes that a table has no history.
const WITHOUT_HISTORY: Duration = Duration::from_secs(1);
/// How long a gateway believes that it has one. The stream may be deleted.
const WITH_HISTORY: Duration = Duration::from_mins(1);
/// How long after the begin of a history, in milliseconds, all gateways know of it.
const BEGIN_MILLIS: Millis = 1500;

/// What this gateway knows of the history of a table.
pub struct HistoryState {
    table: Arc<Table>,
    known: Mutex<Option<(Instant, bool)>>,
}

impl HistoryState {
    pub fn new(table: Arc<Table>) -> Self {
        Self { table, known: Mutex::default() }
    }

    /// Begins a history, if there is none. Returns when all gateways leave markers.
    pub async fn begin(&self, deadline: &Deadline) -> Result<(), Error> {
        let since = self.table.begin_history(deadline).await?;
        *lock(&self.known) = Some((Instant::now(), true));
        let left = since.saturating_add(BEGIN_MILLIS).saturating_sub(time::now()).clamp(0, BEGIN_MILLIS);
        if left > 0 {
            tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await;
        }
        Ok(())
    }

    /// Removes a row. Returns false if another write came first.
    pub async fn remove(&self, deadline: &Deadline, tokens: &str, row: &Row) -> Result<bool, Error> {
        if !self.exists(deadline).await? {
            return self.table.remove(deadline, row.sequence()).await;
        }
        let put = async |expected| {
            let headers = row.headers_of_removal(MARKER_SECONDS);
            self.table.put(deadline, tokens, expected, headers, Bytes::new()).await
        };
        match put(row.sequence()).await {
            // There is no room, not even for the marker.
            Err(error) if error.code() == Code::ResourceExhausted => {
                let removed = self.table.remove(deadline, row.sequence()).await?;
                if removed {
                    // There is now. If another value has come meanwhile, watchers see that.
                    let _ = put(0).await;
                }
                Ok(removed)
            }
            marker => Ok(marker?.is_some()),
        }
    }

    async fn exists(&self, deadline: &Deadline) -> Result<bool, Error> {
        let known = *lock(&self.known);
        if let Some((since, exists)) = known
            && since.elapsed() < if exists { WITH_HISTORY } else { WITHOUT_HISTORY }
        {
            return Ok(exists);
        }
        let before = Instant::now();
        let exists = self.table.info(deadline).await?.is_some_and(|info| has_history(&info));
        *lock(&self.known) = Some((before, exists));
        Ok(exists)
    }
}
