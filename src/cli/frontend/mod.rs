//! `prism frontend`: HTTP APIs that are data, from the first skeleton to what one request becomes.

mod describe;
mod find;
mod import;
mod lint;
mod list;
mod operation;
mod rehearse;
mod schema;
mod unused;

use clap::Subcommand;

use super::Outcome;

const EXAMPLES: &str = "\
Examples:
  prism frontend list                                    what there is, and which namespaces have it
  prism frontend describe frontends/notes.yaml           its operations and their RPCs
  prism frontend import openapi/petstore.yaml            a skeleton to begin with
  prism frontend lint frontends/*.yaml                   every mistake, with file, line and column
  prism frontend try frontends/notes.yaml GET /notes/a   what a request becomes, without a backend

The language of definitions: docs/frontends.md";

/// Arguments of `prism frontend`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with frontends.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The frontends of this build and of the configuration, and where namespaces have them
    List(list::Args),
    /// A definition's settings and operations, or all of one operation
    Describe(describe::Args),
    /// Everything that is wrong with definitions and their documents
    Lint(lint::Args),
    /// What an HTTP request becomes, and what a reply turns into, without a backend
    Try(rehearse::Args),
    /// Begin a definition: every operation of an OpenAPI document as a route, with a TODO at each decision
    Import(import::Args),
    /// Print the JSON Schema of definitions, for editors
    Schema(schema::Args),
}

/// Does what was asked for.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Try(args) => rehearse::run(args),
        Command::Import(args) => import::run(args),
        Command::Schema(_) => schema::run(),
    }
}
