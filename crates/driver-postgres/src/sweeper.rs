//! Removes expired data in the background.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{database::Database, document, keyspace::Services, keyvalue, notifications::Notifications, pubsub, stream, timeseries};
use prism_call::{Code, Context, Error};

/// How often histories are shortened.
const HISTORIES: Duration = Duration::from_secs(5);

/// Starts the task of a backend. It ends when the database is dropped.
pub fn start(services: &Services, every: Duration) -> AbortHandle {
    let Services { database, notifications, .. } = services.clone();
    tokio::spawn(sweep(Arc::downgrade(&database), notifications, every)).abort_handle()
}

async fn sweep(database: Weak<Database>, notifications: Arc<Notifications>, every: Duration) {
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
        sweep_once(&database, &notifications, with_histories).await;
    }
}

fn report(result: Result<(), Error>) {
    match result {
        // The pool has logged that the server is not reachable.
        Err(error) if error.code() != Code::Unavailable => {
            tracing::warn!(%error, "expired data could not be removed; the next sweep tries again");
        }
        _ => {}
    }
}

/// Sweeps each model, even if another one fails.
async fn sweep_once(database: &Database, notifications: &Notifications, with_histories: bool) {
    let context = Context::internal("");
    report(keyvalue::sweep(database, &context).await);
    report(document::sweep(database, &context).await);
    report(stream::sweep(database, notifications, &context).await);
    report(timeseries::sweep(database, &context).await);
    if with_histories {
        report(keyvalue::sweep_histories(database, &context).await);
        report(pubsub::sweep(database, &context).await);
    }
}
