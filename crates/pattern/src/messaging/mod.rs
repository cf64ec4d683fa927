//! What Producer, Consumer, WorkQueue and MulticastRegistry share: models of topics, names, attributes, leases, delays, and queues.

pub mod attributes;
pub mod dead_letters;
pub mod delays;
pub mod model;
pub mod names;
pub mod queue_writer;
