//! `prism mcp`: MCP over standard input and output, for programs that start their servers themselves. Every message goes to a running gateway,
//! which makes the calls.

mod bridge;
mod gateway;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use super::{Outcome, call::parse_header};
use bridge::Bridge;
use gateway::{GatewayOptions, McpGateway};

const EXAMPLES: &str = "\
Examples:
  prism mcp --namespace default                                    the gateway on this machine
  prism mcp -n orders --address https://prism.example.com          a gateway behind TLS
  PRISM_TOKEN=eyJhbG… prism mcp -n orders -a 10.0.0.7:8980         with a token
  claude mcp add notes -- prism mcp --namespace default            as a server of Claude Code

In the configuration of a desktop client:
  {\"mcpServers\": {\"notes\": {\"command\": \"prism\", \"args\": [\"mcp\", \"--namespace\", \"default\"]}}}

Each line of standard input and output is one message of JSON-RPC. Clients that speak HTTP need no bridge: they use the endpoint itself,
as http://127.0.0.1:8980/default/mcp.";

/// Arguments of `prism mcp`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Namespace whose tools are offered
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: String,

    /// Address of Prism: HOST:PORT, or a URL for TLS
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:8980", env = "PRISM_ADDRESS")]
    pub address: String,

    /// Path of the endpoint, if the namespace is not served at /NAMESPACE
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,

    /// Token for bearer authentication
    #[arg(long, value_name = "TOKEN", env = "PRISM_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// API key
    #[arg(long, value_name = "KEY", env = "PRISM_API_KEY", hide_env_values = true, conflicts_with = "token")]
    pub api_key: Option<String>,

    /// Header to send; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// PEM file with the certificate authorities to trust, instead of those of the operating system
    #[arg(long, value_name = "FILE", env = "PRISM_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Outcome {
    let Args { namespace, address, path, token, api_key, mut headers, ca_file } = args;
    let address = if address.contains("://") { address } else { format!("http://{address}") };
    let path = path.unwrap_or_else(|| format!("/{namespace}/mcp"));
    headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
    headers.extend(api_key.map(|key| ("x-api-key".to_owned(), key)));
    let url = format!("{}/{}", address.trim_end_matches('/'), path.trim_start_matches('/'));
    let gateway = McpGateway::new(GatewayOptions { url, headers, ca_file })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the asynchronous runtime can't be started: {error}"))?;
    runtime.block_on(async {
        Bridge::new(Arc::new(gateway)).run(tokio::io::stdin(), tokio::io::stdout()).await?;
        Ok(ExitCode::SUCCESS)
    })
}
