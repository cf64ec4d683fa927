//! `prism config`: the effective configuration, and its JSON Schema for editors.

use std::path::PathBuf;

use super::{
    Outcome, known, load,
    output::{Format, print, print_text},
};
use prism_config::{Origin, Source, schema};
use prism_slot::LAYERS;

const EXAMPLES: &str = "\
Examples:
  prism config show > prism.yaml             create a file to start from
  prism config show --config prism.yaml      with defaults and environment variables
  prism config schema > prism.schema.json    completion and checks in editors

Editors find the schema with this first line of prism.yaml:
  # yaml-language-server: $schema=prism.schema.json

The first of these sources that has a setting determines its value:
  1. a command-line option: prism serve --listen 127.0.0.1:80
  2. an environment variable: PRISM_ and the path of the setting in upper case,
     with _ for all other characters; the path of a namespace contains its name:
       PRISM_LISTENERS_MAIN_ADDRESS, PRISM_LOG_LEVEL, PRISM_BACKENDS_LOCAL_PATH,
       PRISM_NAMESPACES_DEFAULT_LIMITS_TIMEOUT
  3. the file: --config FILE, or ./prism.yaml if it exists
  4. the default; without a file, the embedded configuration

Texts may contain ${env:NAME} and ${file:PATH}. Their values are never printed.
Write $${ for a plain ${. Durations are 100ms, 30s, 5m or 1h; sizes are 64KiB, 4MiB
or a number of bytes. Relative paths start in the working directory.";

/// Arguments of `prism config`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to print.
    #[command(subcommand)]
    pub command: Command,
}

/// What to print.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the effective configuration with all defaults; secrets are masked
    Show(ShowArgs),
    /// Print the JSON Schema of prism.yaml
    Schema,
}

/// Arguments of `prism config show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The configuration. Default: ./prism.yaml if it exists, or the embedded one
    #[arg(short, long, value_name = "FILE", env = "PRISM_CONFIG")]
    pub config: Option<PathBuf>,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub output: Format,
}

/// Prints what was asked for.
pub fn run(args: &Args) -> Outcome {
    let args = match &args.command {
        Command::Schema => return print_text(&(serde_json::to_string_pretty(&schema(&known()))? + "\n")),
        Command::Show(args) => args,
    };
    let config = load(&Source::find(args.config.clone()))?;
    let origin = match &config.origin {
        Origin::Embedded => "the embedded configuration".to_owned(),
        Origin::File(path) => path.display().to_string(),
    };
    let yaml = serde_saphyr::to_string(&config)?;
    let format = if args.output == Format::Table { Format::Yaml } else { args.output };
    if format == Format::Yaml {
        let layers: Vec<_> = LAYERS.iter().rev().map(|layer| format!("#   {}: {}", layer.name, layer.description)).collect();
        let layers = format!("# Each slot has these layers around its driver, the outermost first:\n{}", layers.join("\n"));
        return print_text(&format!("# From {origin}, environment variables and defaults.\n{layers}\n{yaml}"));
    }
    print(format, &config, String::new)
}
