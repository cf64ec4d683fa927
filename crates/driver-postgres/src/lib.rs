//! The PostgreSQL driver, for PostgreSQL 13 and later, also behind PgBouncer.
//!
//! # Tables
//!
//! All keyspaces are in the same tables of one schema (`migrations/`), where each has an id. A gateway that connects runs missing migrations in
//! one transaction, under an advisory lock, so that several gateways can start at the same time.
//!
//! Revisions are from one sequence for all keyspaces. A statement that writes a row takes its revision while it holds the lock on
//! the row, so revisions of a key increase in the order of its writes.
//!
//! An entry whose `expires` has passed is not there for any statement; the server's clock decides. The sweeper deletes it later, in short
//! transactions that skip locked rows.
//!
//! The positions of records are given out under the lock on the row of their stream, so a record is never visible before one with a lower
//! position.
//!
//! A message of a queue is ready, leased or scheduled; `queue/` describes how it changes.
//!
//! # Connections
//!
//! A call uses one connection of a bounded pool at a time. A single statement is one round trip, a transaction two. Statements are prepared
//! once for each connection, or sent with their text behind a pooler. At the deadline of a call, its statement is canceled.
//!
//! One more connection listens to notifications, if something waits for them (`notifications/`).

mod backend;
mod columns;
mod connector;
mod database;
mod document;
mod error;
mod graph;
mod keyspace;
mod keyvalue;
mod list;
mod locks;
mod members;
mod notifications;
mod parameter;
mod pool;
mod pubsub;
mod queue;
mod schema;
mod set;
mod settings;
mod sortedset;
mod sql;
mod stream;
mod sweeper;
mod timeseries;
mod tls;

use prism_driver::{Kind, check_settings, settings_schema};

use settings::PostgresSettings;

/// The kind `postgres`.
pub static KIND: Kind = Kind {
    name: "postgres",
    interfaces: backend::interfaces,
    schema: settings_schema::<PostgresSettings>,
    check: check_settings::<PostgresSettings>,
    connect: backend::connect,
};
