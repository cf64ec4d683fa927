//! `prism frontend schema`.

use crate::cli::{Outcome, output::print_text};
use prism_frontend::definition;

const EXAMPLES: &str = "\
Examples:
  prism frontend schema > frontend.schema.json    let editors complete and check definitions

Editors find the schema by the first line of a definition:
  # yaml-language-server: $schema=frontend.schema.json";

/// Arguments of `prism frontend schema`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// Prints the JSON Schema of definitions.
pub(super) fn run() -> Outcome {
    print_text(&(serde_json::to_string_pretty(&definition::schema())? + "\n"))
}
