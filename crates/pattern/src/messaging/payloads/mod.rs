//! Payloads beside their messages (the claim check): a large payload is a blob in the slot `payloads`, and its message has a reference.
//!
//! The key of a blob begins with the time at which it expires, so a listing has the expired ones first. Each gateway that publishes removes
//! them in bounded steps. No other state knows of a blob: one whose message was never published, because its gateway was killed, expires like
//! all others.

mod reader;
mod reference;
mod settings;
mod store;
mod sweeper;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{PayloadReader, ReadPayload};
pub use reference::{PAYLOAD_ATTRIBUTE, PayloadReference, take_reference};
pub use settings::PayloadSettings;
pub use writer::PayloadWriter;
