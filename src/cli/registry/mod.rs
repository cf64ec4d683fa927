//! `prism registry`.

mod backends;
mod check;
mod interfaces;
mod patterns;

use std::{borrow::Cow, path::PathBuf};

use clap::Subcommand;

use super::{Failure, Outcome, output::Format};
use crate::driver;
use prism_pattern::PATTERNS;
use prism_registry::{Compiled, CompiledDriver, CompiledPattern, DriverStatus, Registry, Status};

const EXAMPLES: &str = "\
Examples:
  prism registry patterns list
  prism registry patterns describe multicast-registry
  prism registry backends find --interface=keyvalue --capability=scan_support
  prism registry interfaces describe keyvalue_scan
  prism registry matrix -o table
  prism registry validate --folder registry        check files without a new build";

/// Arguments of `prism registry`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,

    /// Read the files of this folder instead of the files that the program was built with
    #[arg(long, global = true, value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// How to print
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// The subcommands of `prism registry`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The thin interfaces that drivers implement
    #[command(subcommand)]
    Interfaces(interfaces::Command),
    /// Kinds of backends, and the interfaces that their drivers implement
    #[command(subcommand)]
    Backends(backends::Command),
    /// Patterns, and the interfaces that their slots require
    #[command(subcommand)]
    Patterns(patterns::Command),
    /// Check every rule of the registry
    Validate,
    /// Print the matrix of backends and interfaces; without -o, the text of registry/matrix.yaml
    Matrix,
}

/// Runs `prism registry`.
pub fn run(args: &Args) -> Outcome {
    let registry = load(args)?;
    let format = args.output.unwrap_or_default();
    match &args.command {
        Command::Interfaces(command) => interfaces::run(&registry, command, format),
        Command::Backends(command) => backends::run(&registry, command, format),
        Command::Patterns(command) => patterns::run(&registry, command, format),
        Command::Validate => check::validate(&registry, format),
        Command::Matrix => check::matrix(&registry, args.output),
    }
}

/// The registry: the embedded one, or that of a folder.
enum Source {
    Embedded(&'static Registry),
    Folder(Box<Registry>),
}

impl std::ops::Deref for Source {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        match self {
            Self::Embedded(registry) => registry,
            Self::Folder(registry) => registry,
        }
    }
}

fn load(args: &Args) -> Result<Source, Failure> {
    match &args.folder {
        None => Ok(Source::Embedded(Registry::embedded())),
        Some(folder) => match Registry::from_folder(folder) {
            Ok(registry) => Ok(Source::Folder(Box::new(registry))),
            Err(problems) => Err(format!("the registry can't be read:\n{problems}").into()),
        },
    }
}

/// Returns the drivers and patterns of this build, to compare the files with.
fn compiled(registry: &Registry) -> Compiled {
    let declared = registry.backends.iter().filter(|backend| backend.driver == DriverStatus::Implemented);
    let left_out = declared.filter(|backend| driver::kind(&backend.name).is_none());
    let drivers = driver::KINDS.iter().map(|kind| CompiledDriver {
        kind: kind.name,
        interfaces: (kind.interfaces)(),
        schema: (kind.schema)().to_value(),
    });
    let patterns = PATTERNS.iter().map(|one| CompiledPattern { name: one.name, version: one.version, service: one.service });
    Compiled {
        drivers: drivers.collect(),
        left_out: left_out.map(|backend| backend.name.to_string()).collect(),
        patterns: patterns.collect(),
    }
}

const LEGEND: &str = "\n✓ implemented   ○ planned\n";

fn driver_sign(status: DriverStatus) -> char {
    if status == DriverStatus::Implemented { '✓' } else { '○' }
}

fn status_sign(status: Status) -> char {
    match status {
        Status::Implemented => '✓',
        Status::Planned => '○',
    }
}

/// Renders a number and a noun: `1 interface`, `2 interfaces`.
fn count(number: usize, word: &str) -> Cow<'static, str> {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" }).into()
}
