//! The S3 driver: blobs and values are objects in a bucket, at AWS or at anything that speaks its API.
//!
//! A blob is one object. Its key in the bucket begins with the prefix of the backend, the namespace and the slot (`keys`). A value of KeyValue is
//! one object too, whose first bytes are its numbers (`keyvalue`). Conditional writes make both safe with any number of gateways.

mod backend;
mod blob;
mod bucket;
mod client;
mod clock;
mod connections;
mod error;
mod keys;
mod keyvalue;
mod listing;
mod settings;
#[cfg(test)]
mod tests;

use prism_driver::{Kind, check_settings, settings_schema};

pub use settings::S3Settings;

/// The kind `s3`.
pub static KIND: Kind = Kind {
    name: "s3",
    interfaces: backend::interfaces,
    schema: settings_schema::<S3Settings>,
    check: check_settings::<S3Settings>,
    connect: backend::connect,
};
