//! `prism schema`: works with schema registries over their REST API, and with schemas in files.
//!
//! `check --offline` and a `diff` of two files need no registry. All other commands use `prism_registry_client`, so the registry
//! need not be Prism.

mod catalog;
mod check;
mod connection;
mod contents;
mod diff;
mod export;
mod gather;
mod get;
mod import;
mod list;
mod offline;
mod progress;
mod register;
mod schema_file;
mod unified_diff;

use clap::Subcommand;

use super::Outcome;

const EXAMPLES: &str = "\
Examples:
  prism schema register orders-value order.avsc           register a version; an existing schema keeps its version
  prism schema get orders-value@latest                    print the text
  prism schema list --prefix orders- --versions           list versions
  prism schema check orders-value order.avsc              check compatibility: exit code 0 or 1
  prism schema check --offline --against old.avsc new.avsc
  prism schema diff orders-value@1 order.avsc             show what changes and which readers break
  prism schema import --from http://old:8081              copy everything from another registry, with its ids

Set the registry with --url or PRISM_REGISTRY_URL. How to move from another registry: docs/schema-registry.md";

/// Arguments of `prism schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `prism schema`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register a schema as the next version of a subject
    Register(register::Args),
    /// Print a schema, by subject and version, by id or by GUID
    Get(get::Args),
    /// List subjects with their versions, types and ids
    List(list::Args),
    /// Check whether a schema is compatible with the existing versions, and print each difference on a line
    Check(check::Args),
    /// Show what changes between two schemas, and who breaks: readers of old data, or readers of new data
    Diff(diff::Args),
    /// Write everything of a registry into a file
    Export(export::Args),
    /// Copy everything of another registry, or of a file, into a registry; ids and versions are kept
    Import(import::Args),
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the asynchronous runtime can't be started: {error}"))?;
    runtime.block_on(async {
        match &args.command {
            Command::Register(args) => register::run(args).await,
            Command::Get(args) => get::run(args).await,
            Command::List(args) => list::run(args).await,
            Command::Check(args) => check::run(args).await,
            Command::Diff(args) => diff::run(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Import(args) => import::run(args).await,
        }
    })
}
