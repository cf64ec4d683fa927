//! Published clients and tools in other languages, run against gateways. They need Node.js with npm and Python, and what
//! `scripts/install-tools` installs.
//!
//! One binary with a module for each suite; `cargo test --test clients openapi::` runs one of them.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod autobahn;
mod browser;
mod foreign;
mod graphql;
mod issuer;
mod mcp;
mod node;
mod openapi;
mod protoc;
mod python;
mod registry;
mod suite;
