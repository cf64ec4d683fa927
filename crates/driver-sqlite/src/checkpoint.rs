//! Moves the log into the file, beside the writer.
//!
//! SQLite by itself would do it inside the commit that makes the log long enough, and every write that comes meanwhile would wait
//! for two more flushes of the disk. Here a thread of its own does it while writing goes on. Only if the log grows much longer
//! all the same, because the writing never pauses, the writer does the rest itself, so that the log has a bound.

use std::{
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, hooks::Wal};

use super::open;

/// Pages in the log from which on it is moved: 4 MiB.
const MOVE: i32 = 1000;
/// Pages in the log from which on the writer waits for it: 64 MiB.
const WAIT: i32 = 16_000;

/// The thread.
pub struct Checkpointer(JoinHandle<()>);

impl Checkpointer {
    /// Starts it for what the connection writes.
    pub fn start(writer: &mut Connection, path: &Path) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let path = path.to_owned();
        let thread = thread::Builder::new().name("sqlite-checkpoint".into()).spawn(move || run(&path, &woken))?;
        // How long the log must be to wake the thread again. A log that was moved as a whole begins anew.
        let mut next = MOVE;
        let hook = move |wal: &mut Wal, pages: i32| {
            if pages < next - MOVE {
                next = MOVE;
            }
            if pages >= WAIT {
                // Others may hinder it; the next commit tries again.
                let _ = wal.checkpoint();
            } else if pages >= next {
                next = pages + MOVE;
                // Full: it is woken already. Closed: the next start moves the log.
                let _ = wake.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(std::io::Error::other)?;
        Ok(Self(thread))
    }

    /// Ends it, so that the writer's connection is the last one and can put the log away.
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
        // It moves what it can without waiting for anybody; the rest goes the next time.
        if let Some(Err(error)) = connection.as_ref().map(checkpoint) {
            tracing::warn!(%error, "the log could not be moved into the database file; it will be tried again");
        }
    }
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}
