//! The command line: one file per command, each with its arguments and its `run`.
//!
//! Exit codes: 0 all is well, 1 something failed or is wrong, 2 the command line can't be understood.

use std::{
    fmt,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{Parser, Subcommand, builder::styling};

pub mod call;
pub mod completions;
pub mod config;
pub mod frontend;
pub mod generate;
mod known;
pub mod output;
pub mod registry;
pub mod schema;
pub mod serve;
pub mod validate;

pub use known::{known, load};

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  prism serve                                   serve on 127.0.0.1:8980, data in ./prism-data
  prism call default Store '{\"key\": \"greeting\", \"value\": \"aGVsbG8=\"}'
  curl http://127.0.0.1:8980/default/v1/values/greeting
  prism validate prism.yaml                     find every mistake in a configuration";

/// One gateway for every client of your data: gRPC, gRPC-Web and REST over Redis, SQLite and memory.
#[derive(Debug, Parser)]
#[command(name = "prism", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100, infer_long_args = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, one line each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve every protocol until SIGTERM
    Serve(serve::Args),
    /// Call any RPC of a namespace, streams included
    Call(call::Args),
    /// Check a configuration, slot by slot, and tell every problem
    Validate(validate::Args),
    /// Print the configuration that counts, or the schema of the file
    Config(config::Args),
    /// Print a script that completes commands and options in a shell
    Completions(completions::Args),
    /// Any HTTP API as data: list, check, try and begin definitions of frontends
    Frontend(frontend::Args),
    /// Make a configuration from a pattern and the backends for its slots
    Generate(generate::Args),
    /// What can be combined with what: interfaces, backends and patterns
    Registry(registry::Args),
    /// Registries of schemas: register, get, check and compare schemas, and move from one registry to another
    Schema(schema::Args),
}

/// Why a command failed: one sentence, or several lines that stand for themselves.
#[derive(Debug)]
pub struct Failure(pub String);

impl<T: fmt::Display> From<T> for Failure {
    fn from(message: T) -> Self {
        Self(message.to_string())
    }
}

/// What a command ends with.
pub type Outcome = Result<ExitCode, Failure>;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Call(args) => call::run(args),
        Command::Validate(args) => validate::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Frontend(args) => frontend::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Registry(args) => registry::run(&args),
        Command::Schema(args) => schema::run(&args),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("{} {}", style::error("error:"), failure.0.trim_end());
        ExitCode::FAILURE
    })
}

/// Colours, where a person looks and has not switched them off with `NO_COLOR`.
pub mod style {
    use super::{IsTerminal, io};

    fn paint(text: &str, code: &str, terminal: bool) -> String {
        let plain = !terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
    }

    /// Something that failed, on standard error.
    pub fn error(text: &str) -> String {
        paint(text, "1;31", io::stderr().is_terminal())
    }

    /// Something to know, on standard error.
    pub fn warning(text: &str) -> String {
        paint(text, "1;33", io::stderr().is_terminal())
    }

    /// Something good, on standard output.
    pub fn good(text: &str) -> String {
        paint(text, "32", io::stdout().is_terminal())
    }

    /// Something bad, on standard output.
    pub fn bad(text: &str) -> String {
        paint(text, "31", io::stdout().is_terminal())
    }

    /// A heading, on standard output.
    pub fn heading(text: &str) -> String {
        paint(text, "1", io::stdout().is_terminal())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
