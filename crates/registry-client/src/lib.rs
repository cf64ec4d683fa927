//! A client of schema registries: the REST API that their servers have in common.
//!
//! The server need not be Prism. Where servers differ, as in lists of schemas, the client also tries the older requests.

mod client;
mod error;
mod keys;
mod record;
mod settings;
mod subject;
mod transport;

pub use client::{CompatibilityReport, RegistryClient, SchemaQuery, escape_segment};
pub use error::{ClientError, ErrorKind};
pub use record::{Reference, SchemaKey, SchemaRecord, without_empty_members};
pub use settings::{ClientSettings, Credentials, SettingNames};
pub use subject::{DEFAULT_CONTEXT, SubjectPrefix, context_scope, parse_context, qualify_subject, resolve_subject, split_subject};
pub use transport::Retry;
