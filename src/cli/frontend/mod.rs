//! `prism frontend`: commands for frontends, above all those whose definitions are data.

mod definition_source;
mod describe;
mod import;
mod lint;
mod list;
mod operation;
mod rehearse;
mod schema;
mod sdl;
mod unused;

use clap::Subcommand;

use super::Outcome;

const EXAMPLES: &str = "\
Examples:
  prism frontend list                                    list the frontends and the namespaces that use them
  prism frontend describe frontends/notes.yaml           show operations and their RPCs
  prism frontend import openapi/petstore.yaml            write a first definition for an OpenAPI document
  prism frontend lint frontends/*.yaml                   find every mistake, with file, line and column
  prism frontend try frontends/notes.yaml GET /notes/a   show how a request is mapped, without a backend
  prism frontend sdl default                             print the GraphQL schema of a namespace

docs/frontends.md describes the language of definitions.";

/// Arguments of `prism frontend`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `prism frontend`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the frontends of this build and of the configuration, and the namespaces that use them
    List(list::Args),
    /// Show the settings and operations of a definition, or the whole mapping of one operation
    Describe(describe::Args),
    /// Find every mistake in definitions and their OpenAPI documents
    Lint(lint::Args),
    /// Show how a definition maps an HTTP request and a reply, without a backend
    Try(rehearse::Args),
    /// Write a first definition: a route for each operation of an OpenAPI document, with a TODO for each decision
    Import(import::Args),
    /// Print the JSON Schema of definitions, for editors
    Schema(schema::Args),
    /// Print the GraphQL schema of a namespace
    Sdl(sdl::Args),
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Try(args) => rehearse::run(args),
        Command::Import(args) => import::run(args),
        Command::Schema(_) => schema::run(),
        Command::Sdl(args) => sdl::run(args),
    }
}
