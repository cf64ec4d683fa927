//! The files driver: each blob is one file in a folder on the machine of the gateway, durable without a server.
//!
//! | in the folder | content |
//! |---|---|
//! | `format` | the version of this layout |
//! | `data/<namespace>/<slot>/<name>` | a blob: its content, then its metadata (`footer`); `name` encodes the key |
//! | `uploads/` | blobs that are being written; one that nobody has locked is left over from a crash |
//! | `locks/` | the locks of keys, which hold across the processes of one machine |
//!
//! A write goes to `uploads/`, is flushed to the disk, and takes effect with one rename. So a crash leaves the earlier blob or the new one,
//! never a mixture, and content and metadata always belong together.

mod backend;
mod blob;
mod error;
mod folder;
mod footer;
mod key_lock;
mod name;
mod private_file;
mod settings;
mod sweeper;
#[cfg(test)]
mod tests;
mod upload;

use prism_driver::{Kind, check_settings, settings_schema};

pub use settings::{Durability, FilesSettings};

/// The kind `files`.
pub static KIND: Kind = Kind {
    name: "files",
    interfaces: backend::interfaces,
    schema: settings_schema::<FilesSettings>,
    check: check_settings::<FilesSettings>,
    connect: backend::connect,
};
