//! Prism: one call behind every protocol, over every backend.
//!
//! The `prism` program: the command line, and the gateway that it starts. Everything else is a crate in `crates/`; ARCHITECTURE.md
//! describes how they fit together. They are exported here under one name, for tests and benchmarks.

pub use prism_call as call;
pub use prism_call::proto;
pub use prism_config as config;
pub use prism_edge as edge;
pub use prism_frontend as frontend;
pub use prism_pattern as pattern;
pub use prism_registry as registry;
pub use prism_remote as remote;
pub use prism_schema as schema;
pub use prism_slot as slot;
pub use prism_slot::idempotency;
pub use prism_yaml as yaml;

// The gateway as a whole.
mod access;
pub mod app;
// The command line.
pub mod cli;
// The table of drivers.
pub mod driver;
// Handlers of namespaces, from their start to their end.
mod lifecycle;
// What a reload changed.
mod change;
// Connected backends, and what uses them.
mod backends;
// The backends and namespaces of one configuration.
mod generation;
// The GraphQL endpoints of listeners.
mod graphql;
// The listeners of the gateway.
mod listener;
// What a start needs without connections and ports.
pub mod plan;
mod policy;
// Export of traces and metrics.
mod start_settings;
mod telemetry;
// Namespaces that separate the data of tenants.
mod tenants;
