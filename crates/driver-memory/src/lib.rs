//! The memory driver: all data is in this process, limited in size, and lost when the process ends.
//!
//! It implements more interfaces than any other driver, and shows what each of them means.

mod backend;
mod blob;
mod document;
mod error;
mod graph;
mod keyvalue;
mod list;
mod pubsub;
mod queue;
mod set;
mod settings;
mod sortedset;
mod state;
mod stream;
mod timeseries;

use prism_driver::{Kind, check_settings, settings_schema};

pub use backend::Memory;
pub use settings::MemorySettings;

/// The kind `memory`.
pub static KIND: Kind = Kind {
    name: "memory",
    interfaces: backend::interfaces,
    schema: settings_schema::<MemorySettings>,
    check: check_settings::<MemorySettings>,
    connect: backend::connect,
};
