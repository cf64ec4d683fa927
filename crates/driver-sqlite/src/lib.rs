//! The SQLite driver: all data is in one file on the machine of the gateway, durable without a server.
//!
//! The file is in WAL mode: one thread writes (`writer`), a pool of connections reads (`readers`), and neither waits for the
//! other. Several processes of one machine may share a file. All keyspaces are in the same tables (`schema`), where each has an id.

mod backend;
mod checkpoint;
mod database;
mod document;
mod error;
mod functions;
mod graph;
mod history;
mod keyspace;
mod keyvalue;
mod list;
mod members;
mod open;
mod pop_queue;
mod queue;
mod readers;
mod reserve;
mod scan;
mod schema;
mod set;
mod settings;
mod signals;
mod sortedset;
mod stream;
mod sweeper;
#[cfg(test)]
mod tests;
mod timeseries;
mod writer;

use prism_driver::{Kind, check_settings, settings_schema};

pub use settings::{Durability, SqliteSettings};

/// The kind `sqlite`.
pub static KIND: Kind = Kind {
    name: "sqlite",
    interfaces: backend::interfaces,
    schema: settings_schema::<SqliteSettings>,
    check: check_settings::<SqliteSettings>,
    connect: backend::connect,
};
