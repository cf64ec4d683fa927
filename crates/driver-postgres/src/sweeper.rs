//! Removes expired data in the background.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{database::Database, keyvalue};
use prism_call::{Code, Context};

/// Starts the task of a database. It ends when the database is dropped.
pub fn start(database: &Arc<Database>, every: Duration) -> AbortHandle {
    tokio::spawn(sweep(Arc::downgrade(database), every)).abort_handle()
}

async fn sweep(database: Weak<Database>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        match keyvalue::sweep(&database, &Context::internal("")).await {
            // The pool has logged that the server is not reachable.
            Err(error) if error.code() != Code::Unavailable => {
                tracing::warn!(%error, "expired data could not be removed; the next sweep tries again");
            }
            _ => {}
        }
    }
}
