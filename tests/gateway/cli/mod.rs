//! What the `prism` command prints, and what it answers to mistakes.

mod config;
mod frontend;
mod generate;
mod import;
mod registry;
mod schema;
mod schema_peers;
mod validate;

use std::process::Command;

/// What a run of `prism` gave.
struct Run {
    /// The exit code.
    code: Option<i32>,
    /// What it printed.
    stdout: String,
    /// What it complained of.
    stderr: String,
}

/// Runs `prism` with arguments separated by spaces.
fn prism(arguments: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_prism")).args(arguments.split_whitespace()).output().unwrap();
    Run { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

/// Runs `prism`, which has to succeed, and gives what it printed.
fn printed(arguments: &str) -> String {
    let run = prism(arguments);
    assert_eq!(run.code, Some(0), "prism {arguments}: {}", run.stderr);
    run.stdout
}

/// Runs `prism`, which has to fail, and gives what it complained of.
fn refused(arguments: &str) -> String {
    let run = prism(arguments);
    assert_eq!(run.code, Some(1), "prism {arguments}: {}", run.stdout);
    run.stderr
}
