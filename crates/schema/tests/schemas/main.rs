//! What Avro, JSON and Protobuf schemas mean: which texts are schemas, which texts are the same schema, and what may change between two
//! versions. Verdicts are compared with what happens to data that is really written and read.
//!
//! `cargo test -p prism-schema --test schemas avro::` runs the cases of one format.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]

mod avro;
mod json;
mod protobuf;
