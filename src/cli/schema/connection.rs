//! Which registry, and who asks.

use std::{path::PathBuf, time::Duration};

use super::{
    client::{Client, Credentials},
    registry::Registry,
};
use crate::cli::Failure;
use prism_config::parse_duration;

/// Arguments of all commands that talk to a registry.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The registry")]
pub struct Connection {
    /// Where it is, with the path that it is served under
    #[arg(short, long, value_name = "URL", default_value = "http://127.0.0.1:8081", env = "PRISM_REGISTRY_URL")]
    pub url: String,

    /// Name and password, for basic authentication
    #[arg(long, value_name = "NAME:PASSWORD", env = "PRISM_REGISTRY_USER", hide_env_values = true, conflicts_with = "token")]
    pub user: Option<String>,

    /// Token, for bearer authentication
    #[arg(long, value_name = "TOKEN", env = "PRISM_REGISTRY_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// PEM of the authorities that are trusted, instead of those of this machine
    #[arg(long, value_name = "FILE", env = "PRISM_REGISTRY_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// How long to wait for each answer, as 5s or 1m30s
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
}

impl Connection {
    /// The registry. Nothing is sent yet.
    pub(super) fn open(&self) -> Result<Registry, Failure> {
        open(&self.url, self.user.as_ref(), self.token.as_ref(), self.ca_file.as_ref(), self.timeout)
    }
}

/// Arguments of the registry that an import reads.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The registry that is read")]
pub struct Origin {
    /// Where it is
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,

    /// Name and password, for basic authentication there
    #[arg(long, value_name = "NAME:PASSWORD", env = "PRISM_REGISTRY_FROM_USER", hide_env_values = true, conflicts_with = "from_token")]
    pub from_user: Option<String>,

    /// Token, for bearer authentication there
    #[arg(long, value_name = "TOKEN", env = "PRISM_REGISTRY_FROM_TOKEN", hide_env_values = true)]
    pub from_token: Option<String>,

    /// PEM of the authorities that are trusted there
    #[arg(long, value_name = "FILE", env = "PRISM_REGISTRY_FROM_CA_FILE")]
    pub from_ca_file: Option<PathBuf>,
}

impl Origin {
    /// The registry.
    pub(super) fn open(&self, url: &str, timeout: Duration) -> Result<Registry, Failure> {
        open(url, self.from_user.as_ref(), self.from_token.as_ref(), self.from_ca_file.as_ref(), timeout)
    }
}

fn open(
    url: &str,
    user: Option<&String>,
    token: Option<&String>,
    ca_file: Option<&PathBuf>,
    timeout: Duration,
) -> Result<Registry, Failure> {
    let credentials = match (user, token) {
        (Some(pair), _) => Credentials::Basic(pair.clone()),
        (None, Some(token)) => Credentials::Bearer(token.clone()),
        (None, None) => Credentials::Nobody,
    };
    Ok(Registry::new(Client::new(url, &credentials, ca_file.map(PathBuf::as_path), timeout)?))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a duration is a number with a unit, as 500ms, 5s or 1m30s".to_owned())
}
