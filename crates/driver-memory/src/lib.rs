//! The memory driver: all data is in this process, limited in size, and lost when the process ends.
//!
//! It implements more interfaces than any other driver, and shows what each of them means.

mod backend;
mod error;
mod keyvalue;
mod pubsub;
mod queue;
mod settings;
mod state;
mod stream;

use prism_driver::Kind;

pub use backend::Memory;
pub use settings::Settings;

/// The kind `memory`.
pub static KIND: Kind =
    Kind { name: "memory", interfaces: backend::interfaces, schema: || schemars::schema_for!(Settings), connect: backend::connect };
