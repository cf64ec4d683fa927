//! What Producer, Consumer, WorkQueue and MulticastRegistry share: models of topics, names, attributes, leases, delays, queues, and payloads
//! beside messages.

pub mod attributes;
pub mod dead_letters;
pub mod delays;
pub mod model;
pub mod names;
pub mod payloads;
pub mod queue_writer;
