//! Prism: one call behind every protocol, over every backend.
//!
//! The modules stand in the order of the data path; ARCHITECTURE.md tells how they fit together.

// The gateway as a whole; the only module that sees everything.
pub mod app;
// Listeners and wire protocols.
pub mod edge;
// The call, its errors, and the pipeline that every protocol goes through.
pub mod call;
// What calls with an idempotency key came to, kept in a backend.
pub mod idempotency;
// The patterns, one folder each: what clients call, done over slots.
pub mod pattern;
// Schemas of data: their formats, and what may change between two versions.
pub mod schema;
// Handlers in another process: the same service over gRPC.
pub mod remote;
// Binds the slots of a pattern to interfaces of drivers.
pub mod slot;
// The drivers, one folder for each kind of backend.
pub mod driver;
// Frontends: routes, binding and rendering as data.
pub mod frontend;
// Generated messages, traits, dispatch and descriptors.
pub mod proto;
// What can be combined with what: interfaces, backends and patterns, as data.
pub mod registry;
// The configuration: files, variables and flags, all problems reported at once.
pub mod config;
// YAML that people write: values with their places, and what is wrong with them.
pub mod yaml;
// The command line.
pub mod cli;
