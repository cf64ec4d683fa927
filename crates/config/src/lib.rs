//! The configuration: `prism.yaml`, environment variables and command-line options, checked against the registry and the drivers of this
//! build.
//!
//! The file is parsed into a tree with positions, and the tree is read into a [`Config`]. All problems are collected and reported at once.
//! The crate depends on no driver: the caller passes schemas and checks of drivers in [`Known`].

mod file;
mod load;
mod log;
mod model;
mod read;
mod reader;
mod reference;
mod schema;
mod serialize;
mod settings;
mod source;
mod telemetry;

pub use load::{Checked, EMBEDDED, check, check_text, load};
pub use log::{AccessLog, Log, LogFormat, LogLevel};
pub use model::{
    ANONYMOUS, Admin, Authenticator, Backend, Binding, ClientCertificates, Config, Cors, Frontend, FrontendKind, Limits, Listener,
    Namespace, Origin, Policy, PolicyAccess, PolicyEffect, PolicyLog, PolicyRule, Quota, Quotas, Rate, Remote, Scope, ScopeKind, Shutdown,
    Slot, TicketKeys, Tickets, Tls,
};
pub use prism_settings::{format_duration, format_size, parse_duration, parse_size};
pub use prism_yaml::{Position, Problem, Problems};
pub use schema::schema;
pub use settings::ResolvedSettings;
pub use source::{
    AuthenticatorKind, DEFAULT_FILE, DecisionPointKind, Definition, Driver, Flag, Known, Pattern, Source, Variables, variable,
};
pub use telemetry::{Otlp, Telemetry};

#[cfg(test)]
mod tests;
