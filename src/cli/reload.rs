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

use super::Failure;
use crate::{
    app::{Reload, ReloadRequest},
    plan::Plan,
};
use prism_config::{Config, Origin};

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

/// Returns the files of a configuration.
pub fn files_of(config: &Config, plan: &Plan) -> BTreeSet<PathBuf> {
    let own = match &config.origin {
        Origin::File(path) => Some(path.clone()),
        Origin::Embedded => None,
    };
    own.into_iter().chain(config.files.iter().cloned()).chain(plan.files().iter().cloned()).collect()
}

/// Sends the configuration whenever it changes or `hangup` arrives, until the receiver is closed.
pub async fn watch<L>(load: L, mut files: BTreeSet<PathBuf>, mut hangup: Signal, requests: mpsc::Sender<ReloadRequest>)
where
    L: Fn() -> Result<(Config, Plan), Failure> + Clone + Send + 'static,
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
        let result = tokio::task::spawn_blocking(load.clone()).await;
        let request = match result.unwrap_or_else(|error| Err(Failure(error.to_string()))) {
            Ok((config, plan)) => {
                let added: BTreeSet<_> = files_of(&config, &plan);
                loaded.extend(stamps(&added.difference(&files).cloned().collect()));
                loaded.retain(|path, _| added.contains(path));
                files = added;
                ReloadRequest::Serve(Box::new(Reload { config, plan }))
            }
            Err(failure) => ReloadRequest::Refuse(failure.0),
        };
        seen = loaded.clone();
        if requests.send(request).await.is_err() {
            return;
        }
    }
}
