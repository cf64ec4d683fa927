//! `prism schema export`.

use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    connection::Connection,
    contents::Contents,
    gather,
    name::{self, Prefix},
};
use crate::cli::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  prism schema export --output registry.ndjson
  prism schema export --url http://old:8081 --prefix orders- > orders.ndjson
  prism schema import registry.ndjson --url http://new:8081

One JSON object on each line; docs/schema-registry.md documents it. What is registered meanwhile may be missing, so make the
registry READONLY first. Without --prefix and --context, the settings of everything and keys are written too.";

/// Arguments of `prism schema export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only subjects whose names begin with this, and what they refer to
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// Only subjects of this context, as .team
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// Where to write. Default: standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Writes everything; a file is there as a whole or not at all.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.connection.open()?;
    let contents = gather::everything(&registry, &Prefix::new(args.context.as_deref(), &args.prefix)).await?;
    match &args.output {
        Some(file) => write(&contents, file)?,
        None => match contents.write(&mut BufWriter::new(std::io::stdout().lock())) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Failure(format!("standard output: {error}"))),
            _ => {}
        },
    }
    eprintln!("exported {}", contents.summary());
    Ok(ExitCode::SUCCESS)
}

fn write(contents: &Contents, file: &Path) -> Result<(), Failure> {
    let cant = |error: std::io::Error| Failure(format!("{} can't be written: {error}", file.display()));
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let mut out = BufWriter::new(File::create(&part).map_err(cant)?);
    let written = contents.write(&mut out).and_then(|()| out.flush());
    drop(out);
    written.and_then(|()| fs::rename(&part, file)).map_err(|error| {
        // It is of no use to anybody.
        let _ = fs::remove_file(&part);
        cant(error)
    })
}
