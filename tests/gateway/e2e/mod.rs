//! Gateways as processes, tested from outside.

mod backend;
pub mod wire;

mod cache;
mod call;
mod compression;
mod connect;
mod connections;
mod deadline;
mod default;
mod documents;
mod drain;
mod examples;
mod fan_out;
mod gateway_graphql;
mod graphql_definition;
mod graphs;
mod grpc;
mod idempotency;
mod interfaces;
mod jobs;
mod limits;
mod mapped;
mod messages;
mod multicast;
mod objects;
mod observe;
mod outbox;
mod payloads;
mod preconditions;
mod remote;
mod routing;
#[cfg(feature = "s3")]
mod s3;
mod sessions;
mod start;
mod telemetry;
mod tls;
mod trusted_documents;
mod watch;
mod websocket;
