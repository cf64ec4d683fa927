//! Tests of the gateway as a program and of its layers together. They need only Rust, and servers from Debian's packages.
//!
//! One binary with a module for each suite; `cargo test --test gateway e2e::` runs one of them.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod access;
mod cli;
mod client;
mod durability;
mod e2e;
mod faults;
mod foreign;
mod idempotency;
mod pattern;
mod registry;
mod registry_concurrency;
mod reload;
mod remote;
