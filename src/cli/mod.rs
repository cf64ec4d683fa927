//! The command line: one file for each command, with its arguments and its function `run`.
//!
//! Exit codes: 0 success, 1 a failure or a problem that was found, 2 a wrong command line.

use std::{
    fmt,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{ArgMatches, Args as _, FromArgMatches, Parser, Subcommand, builder::styling};

pub mod auth;
pub mod call;
pub mod completions;
pub mod config;
pub mod frontend;
pub mod generate;
mod known;
mod logging;
pub mod mcp;
pub mod output;
pub mod policy;
pub mod registry;
mod reload;
pub mod schema;
pub mod serve;
mod signals;
pub mod validate;

pub use known::{CheckedPlan, Loaded, check, known, load, load_plan};

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

/// One gateway for every client of your data: gRPC, gRPC-Web, Connect, REST, GraphQL and MCP over PostgreSQL, Redis, SQLite and memory.
#[derive(Debug, Parser)]
#[command(name = "prism", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100, infer_long_args = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Defines the commands: the variant, the module, and the description in one line.
macro_rules! commands {
    ($($variant:ident, $module:ident, $about:literal;)*) => {
        /// The commands.
        #[derive(Debug)]
        pub enum Command {
            $(#[doc = $about] $variant($module::Args),)*
        }

        impl Subcommand for Command {
            /// Builds the arguments of a command only when it is called, so that `prism serve` starts faster.
            fn augment_subcommands(command: clap::Command) -> clap::Command {
                let command = command.subcommand_required(true).arg_required_else_help(true);
                $(let command = command.subcommand(
                    clap::Command::new(stringify!($module)).about($about).defer(|command| $module::Args::augment_args(command).about($about)),
                );)*
                command
            }

            fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
                Self::augment_subcommands(command)
            }

            fn has_subcommand(name: &str) -> bool {
                [$(stringify!($module)),*].contains(&name)
            }
        }

        impl FromArgMatches for Command {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                match matches.subcommand() {
                    $(Some((stringify!($module), given)) => $module::Args::from_arg_matches(given).map(Self::$variant),)*
                    _ => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
                }
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

commands! {
    Serve, serve, "Serve every protocol until SIGTERM";
    Call, call, "Call any RPC of a namespace, streams included";
    Mcp, mcp, "Offer the tools of a namespace over standard input and output, for MCP clients on the desktop";
    Validate, validate, "Check a configuration, slot by slot, and print every problem";
    Config, config, "Print the effective configuration, or the JSON Schema of the file";
    Auth, auth, "Create, list and revoke API keys";
    Policy, policy, "Test the policy of a configuration, and explain its decisions";
    Completions, completions, "Print a shell script that completes commands and options";
    Frontend, frontend, "List, check, try and create definitions of frontends: any HTTP API as data";
    Generate, generate, "Generate a configuration from a pattern and the backends for its slots";
    Registry, registry, "Show interfaces, backends and patterns, and which of them can be combined";
    Schema, schema, "Work with schema registries: register, get, check and compare schemas, and move to another registry";
}

/// The message of a command that failed: a sentence, or several lines.
#[derive(Debug)]
pub struct Failure(pub String);

impl<T: fmt::Display> From<T> for Failure {
    fn from(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The result of a command.
pub type Outcome = Result<ExitCode, Failure>;

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Call(args) => call::run(args),
        Command::Mcp(args) => mcp::run(args),
        Command::Validate(args) => validate::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Auth(args) => auth::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Frontend(args) => frontend::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Registry(args) => registry::run(&args),
        Command::Schema(args) => schema::run(&args),
    };
    outcome.unwrap_or_else(|failure| {
        output::print_note(format_args!("{} {}", style::error("error:"), failure.0.trim_end()));
        ExitCode::FAILURE
    })
}

/// Colours for terminals, unless the environment variable `NO_COLOR` is set.
pub mod style {
    use super::{IsTerminal, io};

    fn paint(text: &str, code: &str, terminal: bool) -> String {
        let plain = !terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
    }

    /// Formats a failure for standard error.
    pub fn error(text: &str) -> String {
        paint(text, "1;31", io::stderr().is_terminal())
    }

    /// Formats a warning for standard error.
    pub fn warning(text: &str) -> String {
        paint(text, "1;33", io::stderr().is_terminal())
    }

    /// Formats a good result for standard output.
    pub fn good(text: &str) -> String {
        paint(text, "32", io::stdout().is_terminal())
    }

    /// Formats a bad result for standard output.
    pub fn bad(text: &str) -> String {
        paint(text, "31", io::stdout().is_terminal())
    }

    /// Formats a heading for standard output.
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
