//! Removes expired data in the background.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{database::Database, keyvalue};
use prism_call::{Code, Context, Error};

/// How often histories are shortened.
const HISTORIES: Duration = Duration::from_secs(5);

/// Starts the task of a database. It ends when the database is dropped.
pub fn start(database: &Arc<Database>, every: Duration) -> AbortHandle {
    tokio::spawn(sweep(Arc::downgrade(database), every)).abort_handle()
}

async fn sweep(database: Weak<Database>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut histories = Instant::now();
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        let with_histories = histories.elapsed() >= HISTORIES;
        if with_histories {
            histories = Instant::now();
        }
        match sweep_once(&database, with_histories).await {
            // The pool has logged that the server is not reachable.
            Err(error) if error.code() != Code::Unavailable => {
                tracing::warn!(%error, "expired data could not be removed; the next sweep tries again");
            }
            _ => {}
        }
    }
}

async fn sweep_once(database: &Database, with_histories: bool) -> Result<(), Error> {
    let context = Context::internal("");
    keyvalue::sweep(database, &context).await?;
    if with_histories { keyvalue::sweep_histories(database, &context).await } else { Ok(()) }
}
