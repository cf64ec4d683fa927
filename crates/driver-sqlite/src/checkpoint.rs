//! Checkpoints: copies the write-ahead log into the database file, on a thread of its own.
//!
//! By default, SQLite runs a checkpoint inside the commit that makes the log long enough, and all later writes wait for two more
//! flushes of the disk. Here another thread runs it while writes continue. If writes never pause and the log grows much longer,
//! the writer runs a checkpoint itself, so that the length of the log is limited.

use std::{
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, hooks::Wal};

use crate::open;

/// Pages of new log after which the thread runs a checkpoint: 4 MiB.
const CHECKPOINT_PAGES: i32 = 1000;
/// Pages in the log from which on the writer runs a checkpoint itself: 64 MiB.
const MAX_LOG_PAGES: i32 = 16_000;

/// The thread that runs checkpoints.
pub struct Checkpointer(JoinHandle<()>);

impl Checkpointer {
    /// Starts the thread. It is woken by commits of the connection that make the log long enough.
    pub fn start(writer: &mut Connection, path: &Path) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let path = path.to_owned();
        let thread = thread::Builder::new().name("sqlite-checkpoint".into()).spawn(move || run(&path, &woken))?;
        // The length of the log that wakes the thread next. After a complete checkpoint, SQLite starts the log again.
        let mut next = CHECKPOINT_PAGES;
        let hook = move |wal: &mut Wal, pages: i32| {
            if pages < next - CHECKPOINT_PAGES {
                next = CHECKPOINT_PAGES;
            }
            if pages >= MAX_LOG_PAGES {
                // Readers may prevent it; the next commit tries again.
                let _ = wal.checkpoint();
            } else if pages >= next {
                next = pages + CHECKPOINT_PAGES;
                // Full: the thread is awake already. Closed: the next start of the gateway runs the checkpoint.
                let _ = wake.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        Ok(Self(thread))
    }

    /// Stops the thread, so that the connection of the writer is the last one and can remove the log.
    pub fn stop(self, writer: &mut Connection) {
        // The hook holds the sender that keeps the thread alive.
        if writer.wal_hook(None::<fn(&mut Wal, i32) -> rusqlite::Result<()>>).is_ok() {
            let _ = self.0.join();
        }
    }
}

fn run(path: &Path, woken: &Receiver<()>) {
    let mut connection = None;
    while let Ok(()) = woken.recv() {
        if connection.is_none() {
            connection = open::second_writer(path).ok();
        }
        // A passive checkpoint never waits. It copies what it can; the next one copies the rest.
        if let Some(Err(error)) = connection.as_ref().map(checkpoint) {
            tracing::warn!(%error, "the checkpoint of the database failed; the next one tries again");
        }
    }
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}
