//! The open database, which all keyspaces of a backend share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{members::Members, readers::Readers, signals::Signals, writer::Writer};
use prism_driver::Limits;

/// The open database.
pub struct Database {
    /// The connection that writes.
    pub writer: Writer,
    /// The connections that read.
    pub readers: Readers,
    /// Wakes calls that wait for changes.
    pub signals: Arc<Signals>,
    /// Greatest sizes of keys, values and batches.
    pub limits: Limits,
    /// The members of consumer groups in this process.
    pub members: Members,
}

impl Database {
    /// A database without a file, which refuses all calls. It tells which interfaces the driver implements.
    pub fn closed() -> Self {
        Self {
            writer: Writer::closed(),
            readers: Readers::new(PathBuf::new(), 1, Duration::ZERO),
            signals: Arc::default(),
            limits: Limits::default(),
            members: Members::default(),
        }
    }
}
