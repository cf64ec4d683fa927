//! `prism policy`: tries the policy of a configuration, without a gateway.

mod case;
mod explain;
mod test;

use clap::Subcommand;

use super::Outcome;

const EXAMPLES: &str = "\
Examples:
  prism policy test cases.yaml                       run a table of cases: exit code 0 or 1
  prism policy explain --namespace orders --method Store --subject ada --groups writers
  prism policy explain --namespace orders --method Store --subject ada --request '{\"key\": \"acme/1\"}'

A file of cases is a list:

  - name: readers may not write
    principal: {subject: ada, groups: [readers], tenant: acme, claims: {level: 3}}
    call: {namespace: orders, method: Store}
    request: {key: acme/1}
    expect: deny

How to write policies: docs/security.md";

/// Arguments of `prism policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a table of cases, and print those with another decision than they expect
    Test(test::Args),
    /// Show what each rule says about a call, and the decision
    Explain(Box<explain::Args>),
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
    }
}
