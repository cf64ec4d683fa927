//! Removes what is left of writes that a crash has interrupted.

use std::{
    fs::{self, File},
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::task::AbortHandle;

use crate::{error::map_io_error, folder::Folder, private_file::ignore_missing};

/// Starts the task.
pub fn start(folder: &Arc<Folder>, interval: Duration) -> AbortHandle {
    tokio::spawn(run(Arc::downgrade(folder), interval)).abort_handle()
}

/// Sweeps at once, and then at each interval, until the backend is dropped.
async fn run(folder: Weak<Folder>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(folder) = folder.upgrade() else { return };
        let uploads = folder.uploads();
        match folder.run(move || sweep(&uploads).map_err(map_io_error)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed the remains of interrupted writes"),
            Err(error) => tracing::warn!(error = ?error, "the remains of interrupted writes can't be removed"),
        }
    }
}

/// Removes the files that nobody has locked, and returns how many. A process that has ended has no locks.
pub fn sweep(uploads: &std::path::Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(uploads)? {
        let path = entry?.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Removed while it is locked here, so a writer that has just created it sees that it is gone.
        if file.try_lock().is_ok() {
            fs::remove_file(&path).or_else(ignore_missing)?;
            removed += 1;
        }
    }
    Ok(removed)
}
