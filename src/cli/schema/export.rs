//! `prism schema export`.

use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{connection::RegistryOptions, contents::RegistryContents, gather};
use crate::cli::{Failure, Outcome, output::print_note};
use prism_registry_client::{SubjectPrefix, parse_context};

const EXAMPLES: &str = "\
Examples:
  prism schema export --output registry.ndjson
  prism schema export --url http://old:8081 --prefix orders- > orders.ndjson
  prism schema import registry.ndjson --url http://new:8081

The file has one JSON object on each line; docs/schema-registry.md documents it. Schemas that are registered during the export
may be missing, so set the registry to READONLY first. Without --prefix and --context, the file also has the global settings and
the keys.";

/// Arguments of `prism schema export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Export only subjects whose names begin with this text, and the schemas that they refer to
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// Export only subjects of this context, such as .team
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// File to write. Default: standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Writes everything of a registry. A file appears under its name only when it is complete.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.registry.client()?;
    let contents = gather::read_registry(&registry, &SubjectPrefix::new(args.context.as_deref(), &args.prefix)).await?;
    match &args.output {
        Some(file) => write_file(&contents, file)?,
        None => match contents.write(&mut BufWriter::new(std::io::stdout().lock())) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                return Err(Failure(format!("standard output can't be written: {error}")));
            }
            _ => {}
        },
    }
    print_note(format_args!("exported {}", contents.summary()));
    Ok(ExitCode::SUCCESS)
}

fn write_file(contents: &RegistryContents, file: &Path) -> Result<(), Failure> {
    let failure = |error: std::io::Error| Failure(format!("{} can't be written: {error}", file.display()));
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let mut out = BufWriter::new(File::create(&part).map_err(failure)?);
    let written = contents.write(&mut out).and_then(|()| out.flush());
    drop(out);
    written.and_then(|()| fs::rename(&part, file)).map_err(|error| {
        // An incomplete file is useless.
        let _ = fs::remove_file(&part);
        failure(error)
    })
}
