//! The driver for NATS Server 2.12 and later, with JetStream.
//!
//! # Subjects and streams
//!
//! All subjects of a keyspace begin with `prism.NAMESPACE.SLOT.`, and the names of its JetStream streams with `prism_NAMESPACE_SLOT_`. Names and
//! keys are escaped: letters, digits and `-` stand for themselves, all other bytes are `=XX`.
//!
//! | JetStream stream | subjects | holds |
//! |---|---|---|
//! | `…kv` | `kv.KEY` | a row for each key: the value, and its metadata in headers. A key is one token for every four bytes |
//! | `…state` | `state.group.…`, `state.queue.…`, `state.durable.…` | documents that gateways share: consumer groups, queues, durable subscriptions (protobuf) |
//! | `…stream_NAME` | `stream.NAME` | the records of a stream |
//! | `…queue_NAME` | `queue.NAME.m`, `queue.NAME.s.ID` | the messages of a queue, and those that wait for their time |
//! | `…topic_NAME` | `p.s.TOPIC` | messages of `pubsub_persistent` |
//! | `…o` | `o.kKEY.TOPIC` | the last message of each line of `pubsub_ordering` |
//!
//! `kv`, `state` and `o` are *tables*: they keep the last message of each subject. A write names the sequence of the message that it
//! replaces (`Nats-Expected-Last-Subject-Sequence`), so it is a compare-and-set, and a revision is a sequence. A row is deleted by its sequence, so
//! that of two deletions one wins and no tombstones are left. The others are *logs*, which keep messages in order.
//!
//! From the first watch of a keyspace on, `kv` has a *history*: a marker (`Nats-Marker-Reason`) takes the place of each row that is deleted or
//! expires, and stays for an hour. The configuration of the stream says so (`subject_delete_marker_ttl`), and every gateway looks at it before it deletes.
//!
//! JetStream publishes the headers of what it has stored in a log, in `state` or in a `kv` with a history to `wake.…` (republish); that wakes followers,
//! members, waiting consumers and watchers of all gateways. Messages for subscribers are under `t.…`.
//!
//! Consumer groups and queues do not use the consumers of JetStream. Those have one time to acknowledge for all members, don't know their
//! members, and accept an acknowledgement of a delivery that has expired. A document that is changed by compare-and-set has the exact
//! meaning of the contract: who has a message, until when, and how often it was delivered.
//!
//! # Connection
//!
//! All calls share one connection, which the crate `async-nats` establishes again. Requests of the JetStream API are sent directly (`jetstream.rs`),
//! so that each has the time limit of its call and its errors are mapped in one place.

mod backend;
mod client;
mod codec;
mod connection;
mod documents;
mod error;
mod jetstream;
mod keyvalue;
mod log;
mod names;
mod pubsub;
mod queue;
mod settings;
mod signals;
mod stream;
mod table;

use prism_driver::{Kind, check_settings, settings_schema};

use settings::NatsSettings;

/// The kind `nats`.
pub static KIND: Kind = Kind {
    name: "nats",
    interfaces: backend::interfaces,
    schema: settings_schema::<NatsSettings>,
    check: check_settings::<NatsSettings>,
    connect: backend::connect,
};
