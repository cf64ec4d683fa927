//! Background tasks: they remove expired data, renew members of consumer groups, and notice writes of other processes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{database::Database, document, keyvalue, list, queue, stream, timeseries};
use prism_call::Error;

/// How often writes of other processes are looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Starts the tasks of a database. They end when it is dropped.
pub fn start(database: &Arc<Database>, sweep_interval: Duration) -> [AbortHandle; 4] {
    let weak = || Arc::downgrade(database);
    [
        tokio::spawn(sweep(weak(), sweep_interval)).abort_handle(),
        tokio::spawn(renew(weak())).abort_handle(),
        tokio::spawn(renew_waits(weak())).abort_handle(),
        tokio::spawn(check_for_writes(weak())).abort_handle(),
    ]
}

async fn sweep(database: Weak<Database>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        sweep_once(&database).await;
    }
}

/// Sweeps each model, even if another one fails.
async fn sweep_once(database: &Database) {
    report(keyvalue::sweep(database).await);
    report(document::sweep(database).await);
    report(stream::sweep(database).await);
    report(queue::sweep(database).await);
    report(list::sweep(database).await);
    report(timeseries::sweep(database).await);
}

fn report(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "expired data could not be removed; the next sweep tries again");
    }
}

/// Renews the members of consumer groups in this process, so that other processes don't remove them.
async fn renew(database: Weak<Database>) {
    let mut ticks = interval(stream::RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if let Err(error) = stream::renew(&database).await {
            tracing::warn!(%error, "members of consumer groups could not be renewed; the next renewal tries again");
        }
    }
}

/// Renews the calls in this process that wait for elements of lists, so that calls of other processes don't overtake them.
async fn renew_waits(database: Weak<Database>) {
    let mut ticks = interval(list::RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if let Err(error) = list::renew(&database).await {
            tracing::warn!(%error, "calls that wait for elements of lists could not be renewed; the next renewal tries again");
        }
    }
}

/// Looks for writes of other processes while calls are waiting. A look takes a microsecond, but keeps the processor awake.
async fn check_for_writes(database: Weak<Database>) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if !database.signals.is_empty() {
            database.writer.check_for_writes();
        }
    }
}
