//! Options for the connection to a registry.

use std::{path::PathBuf, time::Duration};

use crate::cli::Failure;
use prism_config::parse_duration;
use prism_registry_client::{ClientSettings, Credentials, RegistryClient, SettingNames};

const NAMES: SettingNames = SettingNames {
    url: "--url or PRISM_REGISTRY_URL",
    credentials: "--user NAME:PASSWORD or --token TOKEN",
    ca_file: "--ca-file",
    timeout: "--timeout",
};

const SOURCE_NAMES: SettingNames = SettingNames {
    url: "--from",
    credentials: "--from-user NAME:PASSWORD or --from-token TOKEN",
    ca_file: "--from-ca-file",
    timeout: "--timeout",
};

/// Options of all commands that use a registry.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryOptions {
    /// URL of the registry, with the path that it is served under
    #[arg(short, long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "PRISM_REGISTRY_URL")]
    pub url: String,

    /// Name and password for basic authentication
    #[arg(long, value_name = "NAME:PASSWORD", env = "PRISM_REGISTRY_USER", hide_env_values = true, conflicts_with = "token")]
    pub user: Option<String>,

    /// Token for bearer authentication
    #[arg(long, value_name = "TOKEN", env = "PRISM_REGISTRY_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// PEM file with the certificate authorities to trust, instead of those of the operating system
    #[arg(long, value_name = "FILE", env = "PRISM_REGISTRY_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// Longest time to wait for each answer, such as 5s or 1m30s
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout, default_value = "30s")]
    pub timeout: Duration,
}

impl RegistryOptions {
    /// Creates a client of the registry. Nothing is sent yet.
    pub(super) fn client(&self) -> Result<RegistryClient, Failure> {
        let settings = ClientSettings {
            url: self.url.clone(),
            credentials: credentials(self.user.as_deref(), self.token.as_deref(), "--user")?,
            ca_file: self.ca_file.clone(),
            timeout: self.timeout,
            names: NAMES,
        };
        Ok(RegistryClient::new(settings)?)
    }
}

/// Options for the registry that an import reads.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source registry")]
pub struct SourceOptions {
    /// URL of the registry to read
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,

    /// Name and password for basic authentication at the source
    #[arg(long, value_name = "NAME:PASSWORD", env = "PRISM_REGISTRY_FROM_USER", hide_env_values = true, conflicts_with = "from_token")]
    pub from_user: Option<String>,

    /// Token for bearer authentication at the source
    #[arg(long, value_name = "TOKEN", env = "PRISM_REGISTRY_FROM_TOKEN", hide_env_values = true)]
    pub from_token: Option<String>,

    /// PEM file with the certificate authorities to trust at the source
    #[arg(long, value_name = "FILE", env = "PRISM_REGISTRY_FROM_CA_FILE")]
    pub from_ca_file: Option<PathBuf>,
}

impl SourceOptions {
    /// Creates a client of the source. Nothing is sent yet.
    pub(super) fn client(&self, url: &str, timeout: Duration) -> Result<RegistryClient, Failure> {
        let settings = ClientSettings {
            url: url.to_owned(),
            credentials: credentials(self.from_user.as_deref(), self.from_token.as_deref(), "--from-user")?,
            ca_file: self.from_ca_file.clone(),
            timeout,
            names: SOURCE_NAMES,
        };
        Ok(RegistryClient::new(settings)?)
    }
}

fn credentials(user: Option<&str>, token: Option<&str>, user_option: &str) -> Result<Credentials, Failure> {
    Ok(match (user, token) {
        (Some(user), _) => {
            let (name, password) = user.split_once(':').ok_or_else(|| format!("{user_option} takes NAME:PASSWORD"))?;
            Credentials::Basic { name: name.to_owned(), password: password.to_owned() }
        }
        (None, Some(token)) => Credentials::Bearer(token.to_owned()),
        (None, None) => Credentials::Anonymous,
    })
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a duration is a number with a unit, such as 500ms, 5s or 1m30s".to_owned())
}
