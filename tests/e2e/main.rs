//! Whole gateways, as processes, seen from outside.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]
#![allow(dead_code, reason = "the helpers have more than each test needs")]

mod backend;
mod client;
mod gateway;
mod http;
mod poll;
#[path = "../servers/mod.rs"]
mod servers;
mod wire;

mod call;
mod deadline;
mod drain;
mod examples;
mod grpc;
mod idempotency;
mod limits;
mod mapped;
mod observe;
mod preconditions;
mod remote;
mod routing;
mod start;
mod tls;
