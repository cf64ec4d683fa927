//! What the integration tests share: gateways and servers as processes, and the clients that ask them.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs, reason = "helpers of tests panic when something is wrong")]

pub mod client;
pub mod command;
pub mod gateway;
pub mod http;
pub mod poll;
pub mod servers;
