//! `prism completions`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};

const EXAMPLES: &str = "\
Examples:
  prism completions bash > ~/.local/share/bash-completion/completions/prism
  prism completions zsh > \"${fpath[1]}/_prism\"
  prism completions fish > ~/.config/fish/completions/prism.fish";

/// Arguments of `prism completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Shell that reads the script
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "prism", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
