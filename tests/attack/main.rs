//! Attacks on a running gateway: input that must neither stop it, nor occupy it, nor take its memory, nor change data.
//!
//! Everything happens on the loopback interface, within minutes, and every attack is bounded. `cargo test --test attack http::` runs one module.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod raw;
mod target;

mod backends;
mod crash;
mod floods;
mod http;
mod origins;
mod payloads;
mod process;
mod schemas;
mod unread;
