//! `prism schema`: registries of schemas, by their REST API, and schemas as they are in files.
//!
//! All but `check --offline` and `diff` of two files talk to a registry, which need not be Prism: what is used here is what
//! every server of that API has. Where servers differ, as in lists of schemas, the older way is tried too.

mod catalog;
mod check;
mod client;
mod connection;
mod contents;
mod diff;
mod export;
mod gather;
mod get;
mod import;
mod lines;
mod list;
mod name;
mod offline;
mod progress;
mod record;
mod register;
mod registry;
mod text;
mod tls;

use clap::Subcommand;

use super::Outcome;

const EXAMPLES: &str = "\
Examples:
  prism schema register orders-value order.avsc           a new version, or the one that it is already
  prism schema get orders-value@latest                    the text
  prism schema list --prefix orders- --versions           what there is
  prism schema check orders-value order.avsc              may it be registered? Exit code 0 or 1
  prism schema check --offline --against old.avsc new.avsc
  prism schema diff orders-value@1 order.avsc             what changes, and who breaks
  prism schema import --from http://old:8081              everything of another registry, with its ids

The registry is given by --url or PRISM_REGISTRY_URL. Moving from another one: docs/schema-registry.md";

/// Arguments of `prism schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register a schema as the next version of a subject
    Register(register::Args),
    /// Print a schema, by its subject and version, its id or its GUID
    Get(get::Args),
    /// List subjects, with their versions, types and ids
    List(list::Args),
    /// Whether a schema may follow those that are there, each difference on a line
    Check(check::Args),
    /// What changes between two schemas, and who breaks: readers of old data, or readers of new data
    Diff(diff::Args),
    /// Write everything of a registry into a file
    Export(export::Args),
    /// Bring everything of another registry, or of a file, into a registry; ids and versions are kept
    Import(import::Args),
}

/// Does what was asked for.
pub fn run(args: &Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
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
