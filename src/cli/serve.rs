//! `prism serve`.

use std::{net::SocketAddr, path::PathBuf};

use super::Failure;
use crate::config::{Config, Source};

const EXAMPLES: &str = "\
Examples:
  prism serve                                   every protocol on 127.0.0.1:8980, data in ./prism-data
  prism serve --data /var/lib/prism             the same, with the data elsewhere
  prism serve --config prism.yaml               what the file says
  PRISM_LOG_LEVEL=debug prism serve --listen 0.0.0.0:80

Without --config, ./prism.yaml is used if it is there, else the defaults that `prism config show` prints.
Options count more than environment variables, these more than the file. See `prism config --help`.";

/// Arguments of `prism serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration. Default: ./prism.yaml if it is there, else the embedded one
    #[arg(short, long, value_name = "FILE", env = "PRISM_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where clients connect, instead of what the configuration says of the listener `main`
    #[arg(short, long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where health and metrics are, instead of what the configuration says
    #[arg(short, long, value_name = "IP:PORT")]
    pub admin: Option<SocketAddr>,

    /// Folder of the data when there is no configuration file. Default: ./prism-data
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// The configuration that these arguments ask for. Warnings are printed.
pub fn load(args: &Args) -> Result<Config, Failure> {
    let database = args.data.as_ref().map(|folder| folder.join("prism.db").display().to_string());
    let source = Source::find(args.config.clone())
        .with_flag("--listen", "listeners.main.address", args.listen.map(|address| address.to_string()))
        .with_flag("--admin", "admin.address", args.admin.map(|address| address.to_string()))
        .with_flag("--data", "backends.local.path", database);
    super::load(&source)
}
