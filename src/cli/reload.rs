//! Watches the files of a configuration, and loads it again when one of them changes, or on SIGHUP.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::Duration,
};

use tokio::{
    signal::unix::Signal,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{Failure, Loaded};
use crate::app::{Reload, ReloadRequest};

/// How often the files are looked at. Unlike notifications of the system, this works with every file system, and with files that are
/// replaced by links, as Kubernetes does.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// What changes when a file is written or replaced; `None`: there is no such file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The state of files.
type Stamps = BTreeMap<PathBuf, Stamp>;

fn stamps(files: &BTreeSet<PathBuf>) -> Stamps {
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    files.iter().map(|path| (path.clone(), stamp(path))).collect()
}

/// Sends the configuration whenever one of its files changes or `hangup` arrives, until the receiver is closed. The files of a refused
/// configuration are watched too, because correcting one of them may be all that it needs.
pub async fn watch<L>(load: L, mut files: BTreeSet<PathBuf>, mut hangup: Signal, requests: mpsc::Sender<ReloadRequest>)
where
    L: Fn() -> Loaded + Clone + Send + 'static,
{
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loaded = stamps(&files);
    let mut seen = loaded.clone();
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = ticks.tick() => {
                let now = stamps(&files);
                let is_stable = now == seen;
                seen = now;
                // A file that is still being written is not read.
                if seen == loaded || !is_stable {
                    continue;
                }
            }
        }
        loaded = stamps(&files);
        let result = match tokio::task::spawn_blocking(load.clone()).await {
            Ok(Loaded { result, files: read }) => {
                loaded.extend(stamps(&read.difference(&files).cloned().collect()));
                loaded.retain(|path, _| read.contains(path));
                files = read;
                result
            }
            Err(error) => Err(Failure(error.to_string())),
        };
        let request = match result {
            Ok((config, plan)) => ReloadRequest::Serve(Box::new(Reload { config, plan })),
            Err(failure) => ReloadRequest::Refuse(failure.0),
        };
        seen = loaded.clone();
        if requests.send(request).await.is_err() {
            return;
        }
    }
}
