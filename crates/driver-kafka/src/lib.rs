//! The driver for Apache Kafka 3.5 and later, and for servers that speak its protocol.
//!
//! # Topics
//!
//! All Kafka topics of a keyspace begin with `prism.NAMESPACE.SLOT.`. Names are escaped: letters, digits and `-` stand for themselves, all
//! other bytes are `_XX`.
//!
//! | Kafka topic | holds |
//! |---|---|
//! | `…stream.NAME` | the records of a stream; one Kafka partition for each partition |
//! | `…topic.NAME` | the messages of `pubsub_persistent` |
//! | `…bus` | messages for the subscribers of all gateways, for a short time |
//! | `…journal` | commands that change consumer groups, durable subscriptions and lines of ordered messages |
//!
//! Kafka stamps all of them with its own time (`LogAppendTime`). Key, value and headers of records are those of the contract, so that other
//! clients of Kafka read and write them.
//!
//! # The journal
//!
//! The contract of consumer groups acknowledges each record for itself, shares a partition among members, and lets any gateway
//! acknowledge. The groups of Kafka assign whole partitions and commit one position for each. So a group is a state machine that all gateways
//! replicate (`journal/`): a command is a record of the journal, its result follows from its place there, and each gateway applies all of them in
//! order. A snapshot replaces old commands, which are then deleted.
//!
//! # Clients
//!
//! `client.rs` has one idempotent producer, one client for requests, and a pool of consumers that read pages (`pages.rs`). One
//! consumer reads the ends of all partitions that somebody follows (`tails.rs`), however many follow.

mod backend;
mod client;
mod client_connections;
mod codec;
mod connection;
mod deadline;
mod error;
mod journal;
mod names;
mod pages;
mod pubsub;
mod reader;
mod settings;
mod stream;
mod tails;
mod topics;

use prism_driver::{Kind, check_settings, settings_schema};

use settings::KafkaSettings;

/// The kind `kafka`.
pub static KIND: Kind = Kind {
    name: "kafka",
    interfaces: backend::interfaces,
    schema: settings_schema::<KafkaSettings>,
    check: check_settings::<KafkaSettings>,
    connect: backend::connect,
};
