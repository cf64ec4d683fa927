//! The backend: one folder, and the task that removes the remains of interrupted writes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use crate::{
    blob::{self, Blobs},
    folder::{Folder, LIMITS},
    settings::{Durability, FilesSettings},
    sweeper,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Backend, BackendSettings, Connecting, Keyspace, Limits, parse_settings, settings::HumanDuration};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(1500);

/// One folder.
pub struct Files {
    folder: Arc<Folder>,
    sweeper: AbortHandle,
}

/// Parses the settings, and opens the folder or creates it.
pub fn connect(settings: BackendSettings) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Files::open(&settings).await?) as Arc<dyn Backend>) })
}

/// The names of the interfaces that every keyspace has.
pub fn interfaces() -> Vec<&'static str> {
    let settings =
        FilesSettings { path: PathBuf::new(), durability: Durability::Full, sweep_interval: HumanDuration::from_millis(600_000) };
    keyspace_interfaces(&Arc::new(Folder::new(&settings)), PathBuf::new()).names()
}

fn keyspace_interfaces(folder: &Arc<Folder>, path: PathBuf) -> Interfaces {
    let mut interfaces = Interfaces::default();
    blob::add(&Arc::new(Blobs::new(folder.clone(), path)), &mut interfaces);
    interfaces
}

impl Files {
    /// Opens the folder, or creates it. Must be called inside a Tokio runtime.
    async fn open(settings: &BackendSettings) -> Result<Self, Error> {
        let mut settings: FilesSettings = parse_settings(settings)?;
        // An absolute path still names the same folder after the process has changed its own.
        settings.path = std::path::absolute(&settings.path).map_err(|error| Error::invalid("path", error.to_string()))?;
        let interval = *settings.sweep_interval;
        let folder = tokio::task::spawn_blocking(move || Folder::open(&settings)).await;
        let folder = Arc::new(folder.map_err(|error| Error::internal("opening the folder was interrupted").with_source(error))??);
        let sweeper = sweeper::start(&folder, interval);
        Ok(Self { folder, sweeper })
    }
}

#[async_trait]
impl Backend for Files {
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces {
        keyspace_interfaces(&self.folder, self.folder.keyspace(keyspace))
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn connections(&self) -> Option<prism_driver::ConnectionStats> {
        None
    }

    async fn health(&self) -> Result<(), Error> {
        let folder = self.folder.clone();
        let check = self.folder.run(move || folder.check_writable());
        tokio::time::timeout(HEALTH_TIMEOUT, check).await.unwrap_or_else(|_| {
            Err(Error::backend_unavailable("the folder of the blobs does not respond; its disk may be slow", Duration::from_secs(1)))
        })
    }

    async fn close(&self) {
        self.sweeper.abort();
        self.folder.close();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}
