//! Tests of Avro, JSON and Protobuf schemas: which texts are valid, which are the same schema, and which changes are compatible. Verdicts
//! are compared with real data that is written with one version and read with the other.
//!
//! `cargo test -p prism-schema --test schemas avro::` runs the cases of one format.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod avro;
mod json;
mod protobuf;
