//! The contract between Prism and its drivers, and code that drivers share.
//!
//! Each driver is a crate of its own, `crates/driver-<kind>`. The same files have the same names in all of them:
//!
//! | file | content |
//! |---|---|
//! | `lib.rs` | documentation of the driver, and its [`Kind`] |
//! | `backend.rs` | the [`Backend`] |
//! | `settings.rs` | its settings |
//! | `error.rs` | maps errors of the backend to [`Error`]; nothing else does |
//! | `keyvalue/`, `stream/` … | one folder for each data model |
//! | `keyvalue/mod.rs` | the type that implements the interfaces of the model |
//! | `keyvalue/basic.rs`, `keyvalue/cas.rs` … | one file for each interface (`keyvalue_basic`, `keyvalue_cas` …) |
//!
//! Other files of a driver hold what only this driver needs. Code that several drivers need is in this crate: checks of requests,
//! errors that the contracts name, cursors, buffers and limits of subscriptions, interactive transactions, the pauses between attempts
//! to connect, and TLS.
//!
//! The table of drivers is `src/driver.rs`; a driver's line there is all that the rest of Prism knows of it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::future::BoxFuture;

pub use prism_call::ConnectionStats;
use prism_call::{Error, proto::Interfaces};
pub use prism_settings::{self as settings, BackendSettings, CheckSettings, SettingProblem, settings_schema};

pub mod attributes;
pub mod blob;
pub mod check;
pub mod connections;
pub mod cursor;
pub mod document;
pub mod graph;
pub mod hash;
pub mod id;
pub mod index;
pub mod keyvalue;
pub mod list;
pub mod lock;
pub mod pages;
pub mod pubsub;
pub mod queue;
pub mod range;
pub mod results;
pub mod retry;
pub mod set;
pub mod sortedset;
pub mod stream;
pub mod subscriptions;
pub mod time;
pub mod timeseries;
pub mod tls;
pub mod transactions;
pub mod watch;

/// A backend that is being connected.
pub type Connecting = BoxFuture<'static, Result<Arc<dyn Backend>, Error>>;

/// The driver for one kind of backend.
pub struct Kind {
    /// Name in the configuration (`type: sqlite`) and in `registry/backends/<name>.yaml`.
    pub name: &'static str,
    /// Returns the names of the interfaces that its keyspaces implement. They are read from the value that [`Backend::keyspace`] returns.
    pub interfaces: fn() -> Vec<&'static str>,
    /// Returns the JSON Schema of the settings, for editors and documentation.
    pub schema: fn() -> schemars::Schema,
    /// Parses and checks the settings without connecting. The error has every problem.
    pub check: fn(&BackendSettings) -> Result<(), Vec<SettingProblem>>,
    /// Parses the settings as `check` does, and connects. A server that is not reachable is not an error: the driver retries in the
    /// background, calls fail with `UNAVAILABLE`, and [`Backend::health`] reports it.
    pub connect: fn(BackendSettings) -> Connecting,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks the settings of a backend without connecting, for [`Kind::check`].
pub fn check_settings<T: CheckSettings>(settings: &BackendSettings) -> Result<(), Vec<SettingProblem>> {
    settings.parse::<T>().map(drop)
}

/// Parses the settings of a backend, for [`Kind::connect`].
pub fn parse_settings<T: CheckSettings>(settings: &BackendSettings) -> Result<T, Error> {
    settings.parse().map_err(|problems| invalid_settings(&settings.name, &problems))
}

/// `INVALID_ARGUMENT INVALID_FIELD`, with one violation for each problem.
pub fn invalid_settings(backend: &str, problems: &[SettingProblem]) -> Error {
    let mut texts = problems.iter().map(|problem| (format!("backends.{backend}.{}", problem.setting), problem.kind.to_string()));
    let (field, description) = texts.next().unwrap_or_default();
    texts.fold(Error::invalid(field, description), |error, (field, description)| error.with_violation(field, description))
}

/// The data of one slot of one namespace. A keyspace has no access to the data of another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keyspace {
    /// Name of the namespace.
    pub namespace: String,
    /// Name of the slot.
    pub slot: String,
}

/// An interface that a driver emulates, because a setting accepts the cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// Name of the interface.
    pub interface: &'static str,
    /// How it works, and at what cost.
    pub cost: &'static str,
}

/// Limits of a driver. If the namespace has a lower limit, that one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a key.
    pub max_key_bytes: u64,
    /// Bytes of a value or a payload.
    pub max_value_bytes: u64,
    /// Items in one batch.
    pub max_batch_items: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_key_bytes: 1024, max_value_bytes: 4 << 20, max_batch_items: 1000 }
    }
}

/// A connected backend. All namespaces that refer to it share it.
///
/// # Behavior
/// - All methods may be called concurrently. Dropping the future of a call cancels it. A cancelled write is done completely or not at
///   all.
/// - Connections are pooled or multiplexed, and reconnect automatically with backoff and jitter.
/// - Errors contain no namespace, method or slot. The slot adds them.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns the interfaces of a keyspace. The first call creates what the keyspace needs; later calls are cheap.
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces;

    /// Returns those interfaces of its keyspaces that the driver emulates. Most drivers emulate none.
    fn emulations(&self) -> Vec<Emulation> {
        Vec::new()
    }

    /// Returns the limits of the driver.
    fn limits(&self) -> Limits;

    /// Returns what its connections do now, for the metrics. Does not wait. `None`: the driver has no connections.
    fn connections(&self) -> Option<ConnectionStats>;

    /// Checks whether the backend can serve calls. Returns within two seconds.
    async fn health(&self) -> Result<(), Error>;

    /// Flushes pending writes and closes connections. Later calls fail with `UNAVAILABLE`.
    async fn close(&self);
}
