//! `prism schema check --offline`: files against files.

use super::{check, text, text::Type};
use crate::cli::{Failure, Outcome};
use prism_schema::{Dependency, Format, Policy, Schema};

/// How strict a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// Everything may follow
    None,
    /// New readers read what the last writers wrote
    #[default]
    Backward,
    /// New readers read what all earlier writers wrote
    BackwardTransitive,
    /// The last readers read what new writers write
    Forward,
    /// All earlier readers read what new writers write
    ForwardTransitive,
    /// Both, with the last
    Full,
    /// Both, with all earlier ones
    FullTransitive,
}

impl Level {
    fn backward(self) -> bool {
        !matches!(self, Self::None | Self::Forward | Self::ForwardTransitive)
    }

    fn forward(self) -> bool {
        !matches!(self, Self::None | Self::Backward | Self::BackwardTransitive)
    }

    fn transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

/// What counts as a difference, in JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Strictness {
    /// All data that the old schema takes has to be taken by the new one
    #[default]
    Strict,
    /// Optional properties may come and go
    Lenient,
}

impl Strictness {
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Strict => Policy::Strict,
            Self::Lenient => Policy::Lenient,
        }
    }
}

/// Options of a check without a registry.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without a registry")]
pub struct Options {
    /// Hold the file against other files, and ask no registry
    #[arg(long, requires = "against", conflicts_with_all = ["version", "all", "normalize", "context"])]
    pub offline: bool,

    /// A file that it is to follow; may be given many times, the oldest first
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub against: Vec<String>,

    /// The level of compatibility
    #[arg(long, value_name = "LEVEL", default_value = "BACKWARD", ignore_case = true)]
    pub level: Level,

    /// What counts as a difference, in JSON Schema
    #[arg(long, value_name = "POLICY", default_value = "strict", ignore_case = true)]
    pub policy: Strictness,
}

/// Judges a file.
pub(super) fn run(options: &Options, file: &str, kind: Option<Type>, references: &[String]) -> Outcome {
    let (candidate, format) = read(file, kind, references)?;
    let count = if options.level.transitive() { options.against.len() } else { 1 };
    let earlier = options.against.iter().rev().take(if options.level == Level::None { 0 } else { count });
    let mut told = Vec::new();
    for other in earlier {
        let (old, _) = read(other, kind.or_else(|| same_ending(other, format)), references)?;
        let policy = options.policy.policy();
        if options.level.backward() {
            told.extend(differences(&format!("{other}: BACKWARD"), &candidate, &old, policy));
        }
        if options.level.forward() {
            told.extend(differences(&format!("{other}: FORWARD"), &old, &candidate, policy));
        }
    }
    check::verdict(file, &told, "")
}

/// What stands between a reader and a writer, a line each.
pub(super) fn differences(of: &str, reader: &Schema, writer: &Schema, policy: Policy) -> Vec<String> {
    let found = Schema::differences(reader, writer, policy);
    found.into_iter().map(|one| format!("{of} {} {}: {}", one.path, one.kind, one.message.replace('\n', " "))).collect()
}

/// A file whose ending tells nothing is of the type of the one that it is held against.
fn same_ending(file: &str, format: Format) -> Option<Type> {
    let tells = [".avsc", ".json", ".proto"].iter().any(|ending| file.ends_with(ending));
    (!tells).then_some(match format {
        Format::Avro => Type::Avro,
        Format::Json => Type::Json,
        Format::Protobuf => Type::Protobuf,
    })
}

fn read(file: &str, kind: Option<Type>, references: &[String]) -> Result<(Schema, Format), Failure> {
    let (text, format) = text::read(file, kind)?;
    let mut dependencies = Vec::with_capacity(references.len());
    for reference in references {
        let wrong = || Failure(format!("--reference {reference}: with --offline it is NAME=FILE, as com.example.Address=address.avsc"));
        let (name, of) = reference.rsplit_once('=').ok_or_else(wrong)?;
        let (text, _) = text::read(of, kind.or_else(|| same_ending(of, format)))?;
        dependencies.push(Dependency { name: name.into(), text: text.into() });
    }
    let schema = Schema::parse(format, &text, &dependencies)
        .map_err(|invalid| Failure(format!("{file} is no schema of type {format}: {}", invalid.message)))?;
    Ok((schema, format))
}
