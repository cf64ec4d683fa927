//! What a client has to know to reach a registry.

use std::{path::PathBuf, time::Duration};

/// How the client authenticates.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Not at all.
    Anonymous,
    /// Basic authentication (RFC 7617).
    Basic {
        /// The user's name.
        name: String,
        /// The user's password.
        password: String,
    },
    /// A bearer token (RFC 6750).
    Bearer(String),
}

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The registry's URL, with the path that the API is served under.
    pub url: String,
    /// How the client authenticates.
    pub credentials: Credentials,
    /// A PEM file with the certificate authorities to trust, instead of those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The longest time for one answer, from connecting to the last byte of the body.
    pub timeout: Duration,
    /// What error messages call the settings.
    pub names: SettingNames,
}

/// What error messages call the settings: the options of the program that uses the client.
#[derive(Clone, Copy, Debug)]
pub struct SettingNames {
    /// The name of [`ClientSettings::url`].
    pub url: &'static str,
    /// The names of [`ClientSettings::credentials`].
    pub credentials: &'static str,
    /// The name of [`ClientSettings::ca_file`].
    pub ca_file: &'static str,
    /// The name of [`ClientSettings::timeout`].
    pub timeout: &'static str,
}
