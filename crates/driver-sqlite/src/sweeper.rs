//! What happens without anybody asking: expired data goes, and writes of other processes are noticed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use super::{keyvalue, queue, space::Database, stream};
use prism_call::Error;

/// How often those who wait hear of writes of other processes.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Starts the tasks of a database. They keep nothing of it alive.
pub fn start(database: &Arc<Database>, sweep_interval: Duration) -> [AbortHandle; 3] {
    let weak = || Arc::downgrade(database);
    [
        tokio::spawn(sweep(weak(), sweep_interval)).abort_handle(),
        tokio::spawn(renew(weak())).abort_handle(),
        tokio::spawn(look(weak())).abort_handle(),
    ]
}

async fn sweep(database: Weak<Database>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if let Err(error) = sweep_once(&database).await {
            tracing::warn!(%error, "expired data could not be removed; it will be tried again");
        }
    }
}

async fn sweep_once(database: &Database) -> Result<(), Error> {
    keyvalue::sweep(database).await?;
    stream::sweep(database).await?;
    queue::sweep(database).await
}

/// Tells the other gateways on the file that the members of consumer groups here are still here.
async fn renew(database: Weak<Database>) {
    let mut ticks = interval(stream::RENEW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if let Err(error) = stream::renew(&database).await {
            tracing::warn!(%error, "members of consumer groups could not be renewed; it will be tried again");
        }
    }
}

/// A look costs a microsecond, but keeps the processor awake: only while somebody waits.
async fn look(database: Weak<Database>) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        if !database.signals.is_empty() {
            database.writer.look();
        }
    }
}
