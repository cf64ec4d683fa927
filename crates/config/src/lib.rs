//! The configuration: `prism.yaml`, environment variables and flags, checked against each other and against what this build has.
//!
//! The file becomes a tree that knows where everything stands, and the tree becomes a [`Config`]; on the way everything that is
//! wrong is gathered, so that all of it is told at once. A leaf: it knows the registry, and what it needs of drivers is handed in
//! as data.

mod load;
mod model;
mod read;
mod reader;
mod reference;
mod schema;
mod settings;
mod source;
mod telemetry;
mod unit;

pub use load::{Checked, EMBEDDED, check, check_text, load};
pub use model::{
    AccessLog, Admin, Backend, Binding, Config, Cors, Frontend, FrontendKind, Limits, Listener, Log, LogFormat, LogLevel, Namespace,
    Origin, Remote, Shutdown, Slot, Tls,
};
pub use prism_yaml::{Position, Problem, Problems};
pub use schema::schema;
pub use settings::Settings;
pub use source::{DEFAULT_FILE, Definition, Driver, Flag, Known, Source, Variables, variable};
pub use telemetry::{Otlp, Telemetry};
pub use unit::{format_duration, format_size, parse_duration, parse_size};

#[cfg(test)]
mod tests;
