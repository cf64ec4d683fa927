//! The output and the error messages of the `prism` command.

mod config;
mod frontend;
mod frontend_graphql;
mod generate;
mod import;
mod registry;
mod schema;
mod schema_peers;
mod validate;

use std::process::Command;

/// The result of running `prism`.
struct Run {
    /// The exit code.
    code: Option<i32>,
    /// Standard output.
    stdout: String,
    /// Standard error.
    stderr: String,
}

/// Runs `prism` with arguments separated by spaces.
fn prism(arguments: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_prism")).args(arguments.split_whitespace()).output().unwrap();
    Run { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

/// Runs `prism`, which must succeed, and returns its standard output.
fn printed(arguments: &str) -> String {
    let run = prism(arguments);
    assert_eq!(run.code, Some(0), "prism {arguments}: {}", run.stderr);
    run.stdout
}

/// Runs `prism`, which must fail, and returns its standard error.
fn refused(arguments: &str) -> String {
    let run = prism(arguments);
    assert_eq!(run.code, Some(1), "prism {arguments}: {}", run.stdout);
    run.stderr
}
