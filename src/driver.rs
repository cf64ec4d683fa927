//! The table of drivers in this build. Each driver is a crate behind a Cargo feature.

pub use prism_driver::*;

#[cfg(feature = "files")]
pub use prism_driver_files as files;
#[cfg(feature = "kafka")]
pub use prism_driver_kafka as kafka;
#[cfg(feature = "memory")]
pub use prism_driver_memory as memory;
#[cfg(feature = "nats")]
pub use prism_driver_nats as nats;
#[cfg(feature = "postgres")]
pub use prism_driver_postgres as postgres;
#[cfg(feature = "redis")]
pub use prism_driver_redis as redis;
#[cfg(feature = "s3")]
pub use prism_driver_s3 as s3;
#[cfg(feature = "sqlite")]
pub use prism_driver_sqlite as sqlite;

/// All drivers of this build, one line each.
pub const KINDS: &[&Kind] = &[
    #[cfg(feature = "memory")]
    &memory::KIND,
    #[cfg(feature = "sqlite")]
    &sqlite::KIND,
    #[cfg(feature = "files")]
    &files::KIND,
    #[cfg(feature = "redis")]
    &redis::KIND,
    #[cfg(feature = "postgres")]
    &postgres::KIND,
    #[cfg(feature = "s3")]
    &s3::KIND,
    #[cfg(feature = "nats")]
    &nats::KIND,
    #[cfg(feature = "kafka")]
    &kafka::KIND,
];

/// Returns the driver for a kind of backend, or `None` if this build has none.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
