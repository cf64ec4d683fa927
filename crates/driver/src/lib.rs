//! The contract between Prism and its drivers, and what drivers share.
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
//! errors that the contracts name, cursors, subscription buffers and interactive transactions.
//!
//! The table of drivers is `src/driver.rs`; a driver's line there is all that the rest of Prism knows of it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::future::BoxFuture;

use prism_call::{Error, proto::Interfaces};

pub mod check;
pub mod cursor;
pub mod duration;
pub mod id;
pub mod keyvalue;
pub mod lock;
pub mod pubsub;
pub mod queue;
pub mod range;
pub mod stream;
pub mod time;
pub mod transactions;

/// A backend that is being made.
pub type Connecting = BoxFuture<'static, Result<Arc<dyn Backend>, Error>>;

/// A kind of backend that this build has a driver for.
pub struct Kind {
    /// Name in the configuration (`type: sqlite`) and in `registry/backends/<name>.yaml`.
    pub name: &'static str,
    /// Names of the interfaces that its keyspaces implement, read from the very value that [`Backend::keyspace`] gives.
    pub interfaces: fn() -> Vec<&'static str>,
    /// JSON Schema of its settings, for editors and for checking a configuration without connecting.
    pub schema: fn() -> schemars::Schema,
    /// Checks the settings and makes a backend of them. A server that can't be reached is no error here: the driver goes on
    /// trying in the background, calls answer `UNAVAILABLE`, and [`Backend::health`] tells.
    pub connect: fn(Settings) -> Connecting,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the configuration says about one backend.
#[derive(Clone)]
pub struct Settings {
    /// Name of the backend, as `redis-main`.
    pub name: String,
    /// Everything beside `type`, secrets resolved.
    pub values: serde_json::Map<String, serde_json::Value>,
}

/// Only the names of the values: they may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).field("values", &self.values.keys().collect::<Vec<_>>()).finish()
    }
}

impl Settings {
    /// The values as the driver's own type. A problem is `INVALID_ARGUMENT` with the setting's name as the field.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(serde_json::Value::Object(self.values.clone()))
            .map_err(|error| Error::invalid(format!("backends.{}", self.name), error.to_string()))
    }
}

/// The data of one slot of one namespace. Keyspaces of the same backend never see each other's data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keyspace {
    /// Name of the namespace.
    pub namespace: String,
    /// Name of the slot.
    pub slot: String,
}

/// Greatest sizes that a driver takes; the tighter of these and the namespace's limits holds.
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
        Self { max_key_bytes: 1024, max_value_bytes: 1 << 20, max_batch_items: 1000 }
    }
}

/// A connected backend, shared by all namespaces that name it.
///
/// # Behavior
/// - All methods may be called at the same time from many tasks; dropping a call's future cancels it, and a cancelled write
///   has either happened as a whole or not at all.
/// - Connections are pooled or multiplexed and come back by themselves, with backoff and jitter.
/// - Errors carry no namespace, method or slot: the slot adds them.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The interfaces over one keyspace. Makes what the keyspace needs on first use; cheap afterwards.
    fn keyspace(&self, keyspace: &Keyspace) -> Interfaces;

    /// Sizes that this driver takes.
    fn limits(&self) -> Limits;

    /// Whether calls have a chance now. Answers within two seconds.
    async fn health(&self) -> Result<(), Error>;

    /// Writes out what is pending and closes connections; calls after it answer `UNAVAILABLE`.
    async fn close(&self);
}
