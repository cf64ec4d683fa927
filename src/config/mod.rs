//! The configuration: `prism.yaml`, environment variables and flags, checked against each other and against what this build has.
//!
//! A leaf: what it needs to know of drivers is handed in as data.

mod model;
mod schema;
mod settings;
mod unit;

pub use model::{
    AccessLog, Admin, Backend, Binding, Config, Cors, Frontend, FrontendKind, Limits, Listener, Log, LogFormat, LogLevel, Namespace,
    Origin, Remote, Shutdown, Slot, Tls,
};
pub use settings::{Settings, mask_url};
pub use unit::{format_duration, format_size, parse_duration, parse_size};
