//! `prism serve`.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    Loaded, Outcome, logging,
    output::{print_note, print_text},
    reload, signals, style,
};
use crate::{
    app::{Address, App, Change},
    lifecycle::DrainTimeout,
};
use prism_config::{Config, FrontendKind, Source};

/// Namespaces that are listed at the start.
const MAX_LISTED: usize = 50;

const EXAMPLES: &str = "\
Examples:
  prism serve                                   every protocol on 127.0.0.1:8980, data in ./prism-data
  prism serve --data /var/lib/prism             the same, with the data elsewhere
  prism serve --config prism.yaml               what the file says
  PRISM_LOG_LEVEL=debug prism serve --listen 127.0.0.1:80

While it runs, changes of the configuration, its definitions and certificates are put into service without interrupting
calls; SIGHUP does it at once. If they have a mistake, the gateway keeps the previous configuration.

Without --config, ./prism.yaml is used if it is there, else the defaults that `prism config show` prints.
Options count more than environment variables, these more than the file. See `prism config --help`.";

/// Arguments of `prism serve`.
#[derive(Clone, Debug, clap::Args)]
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

/// Loads the configuration that these arguments select, with the plan of its start. Prints warnings.
fn load(args: &Args) -> Loaded {
    let database = args.data.as_ref().map(|folder| folder.join("prism.db").display().to_string());
    let source = Source::find(args.config.clone())
        .with_flag("--listen", "listeners.main.address", args.listen.map(|address| address.to_string()))
        .with_flag("--admin", "admin.address", args.admin.map(|address| address.to_string()))
        .with_flag("--data", "backends.local.path", database);
    super::load_plan(&source)
}

/// Serves until SIGTERM or Ctrl-C, then drains.
pub fn run(args: &Args) -> Outcome {
    let Loaded { result, files } = load(args);
    let (config, plan) = result?;
    logging::start(&config.log);
    let no_signals = |error| format!("signals can't be awaited: {error}");
    let drain_timeout = DrainTimeout::new(config.shutdown.drain_timeout);
    // Before anything is served, so that no signal is missed.
    let end = signals::await_end(drain_timeout.clone()).map_err(no_signals)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(async {
        let hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
        let app = tokio::select! {
            built = App::start(&config, &plan) => built?,
            () = end.cancelled() => return Ok(ExitCode::SUCCESS),
        };
        let app = app.with_drain_timeout(drain_timeout);
        print_text(&banner(&config, &app))?;
        let (requests, receiver) = mpsc::channel(1);
        let again = args.clone();
        let watching = tokio::spawn(reload::watch(move || load(&again), files, hangup, requests));
        // The gateway has what it needs of them, and with many namespaces they are large.
        drop((config, plan));
        app.run_with_reloads(end.cancelled(), receiver, Box::new(report_reload)).await;
        watching.abort();
        Ok(ExitCode::SUCCESS)
    });
    // Work that is still running, such as that of a call whose client has left, is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Prints what a reload changed, or why it changed nothing.
fn report_reload(result: Result<Change, String>) {
    match result {
        Ok(change) => {
            // Nobody may be reading standard output any more, which is no reason to stop.
            let _ = print_text(&format!("{change}\n"));
        }
        Err(problems) => {
            print_note(format_args!("{} the previous configuration is still served: {}", style::error("error:"), problems.trim_end()));
        }
    }
}

/// What is reachable where, with lines to paste.
fn banner(config: &Config, app: &App) -> String {
    let mut out = format!("Prism {} serves gRPC, gRPC-Web, Connect, REST, WebSocket, GraphQL and MCP\n\n", env!("CARGO_PKG_VERSION"));
    let addresses = app.addresses();
    for address in addresses.iter().filter(|address| config.listeners.get(&address.name).is_some_and(|listener| listener.web_demo)) {
        let scheme = if address.tls { "https" } else { "http" };
        let _ = writeln!(out, "  {:<21} {scheme}://{}/", "browser", address.address);
    }
    for address in &addresses {
        let scheme = if address.tls { "https" } else { "http" };
        let _ = writeln!(out, "  listener {:<12} {scheme}://{}", address.name, address.address);
    }
    let _ = writeln!(out, "  {:<21} http://{}  (/healthz /readyz /metrics)\n", "admin", app.admin_address());
    for namespace in config.namespaces.iter().take(MAX_LISTED) {
        let place = match &namespace.remote {
            Some(remote) => format!("namespace {} of {}", remote.namespace, remote.url),
            None => namespace
                .slots
                .iter()
                .map(|(slot, filled)| format!("{slot}: {}", place(config, &filled.backend)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let _ = writeln!(out, "  namespace {:<11} {}, {place}", namespace.name, namespace.pattern);
        for binding in namespace.frontends.iter().filter(|binding| binding.enabled && binding.definition.is_some()) {
            let takes = |address: &&Address| binding.listener.as_ref().is_none_or(|only| *only == address.name);
            let Some(address) = addresses.iter().find(takes) else { continue };
            let scheme = if address.tls { "https" } else { "http" };
            let host = binding.host.as_ref().map_or_else(|| address.address.to_string(), Clone::clone);
            let endpoint = if binding.kind == FrontendKind::Graphql { "/graphql" } else { "" };
            let _ = writeln!(out, "    {:<19} {scheme}://{host}{}{endpoint}", binding.frontend, binding.base_path.trim_end_matches('/'));
        }
    }
    if config.namespaces.len() > MAX_LISTED {
        let _ = writeln!(out, "  and {} more namespaces", config.namespaces.len() - MAX_LISTED);
    }
    if let Some(line) = example(config, &addresses) {
        let _ = write!(out, "\nTry it:\n{line}");
    }
    out
}

fn place(config: &Config, backend: &str) -> String {
    let Some(definition) = config.backends.get(backend) else { return backend.to_owned() };
    match definition.settings.printable().get("path").and_then(|path| path.as_str()) {
        Some(path) => format!("{backend} ({} in {path})", definition.kind),
        None => format!("{backend} ({})", definition.kind),
    }
}

/// Lines for the first key-value namespace that has REST on a plain listener.
fn example(config: &Config, addresses: &[Address]) -> Option<String> {
    config.namespaces.iter().filter(|namespace| namespace.pattern == "keyvalue").find_map(|namespace| {
        let binding =
            namespace.frontends.iter().find(|binding| binding.enabled && binding.kind == FrontendKind::Rest && binding.host.is_none())?;
        let plain = |address: &&Address| !address.tls && binding.listener.as_ref().is_none_or(|only| *only == address.name);
        let root = format!("http://{}{}/v1", addresses.iter().find(plain)?.address, binding.base_path);
        Some(format!("  curl -X PUT {root}/values/greeting -d 'hello'\n  curl {root}/values/greeting\n  curl {root}/keys\n"))
    })
}
