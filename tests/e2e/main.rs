//! Whole gateways, as processes, seen from outside.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]
#![allow(dead_code, reason = "the helpers have more than each test needs")]

mod client;
mod gateway;
mod http;

mod remote;
