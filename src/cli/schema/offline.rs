//! `prism schema check --offline`: checks a file against other files.

use super::schema_file::{self, SchemaType};
use crate::cli::Failure;
use prism_schema::{CompatibilityPolicy, Dependency, Schema, SchemaFormat};

/// A level of compatibility.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompatibilityLevel {
    /// Every change is compatible
    None,
    /// New readers can read data of the latest version
    #[default]
    Backward,
    /// New readers can read data of all earlier versions
    BackwardTransitive,
    /// Readers of the latest version can read new data
    Forward,
    /// Readers of all earlier versions can read new data
    ForwardTransitive,
    /// BACKWARD and FORWARD
    Full,
    /// BACKWARD_TRANSITIVE and FORWARD_TRANSITIVE
    FullTransitive,
}

impl CompatibilityLevel {
    fn is_backward(self) -> bool {
        !matches!(self, Self::None | Self::Forward | Self::ForwardTransitive)
    }

    fn is_forward(self) -> bool {
        !matches!(self, Self::None | Self::Backward | Self::BackwardTransitive)
    }

    fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

/// Which changes of a JSON Schema are incompatible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PolicyName {
    /// The new schema must accept all data that the old one accepts
    #[default]
    Strict,
    /// Optional properties may be added and removed
    Lenient,
}

impl PolicyName {
    pub(super) fn policy(self) -> CompatibilityPolicy {
        match self {
            Self::Strict => CompatibilityPolicy::Strict,
            Self::Lenient => CompatibilityPolicy::Lenient,
        }
    }
}

/// Options of a check against files.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without a registry")]
pub struct OfflineOptions {
    /// Check against files, without a registry
    #[arg(long, requires = "against", conflicts_with_all = ["version", "all", "normalize", "context"])]
    pub offline: bool,

    /// An earlier version; may be repeated, the oldest first
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub against: Vec<String>,

    /// Level of compatibility
    #[arg(long, value_name = "LEVEL", default_value = "BACKWARD", ignore_case = true)]
    pub level: CompatibilityLevel,

    /// JSON Schema: which changes are incompatible
    #[arg(long, value_name = "POLICY", default_value = "strict", ignore_case = true)]
    pub policy: PolicyName,
}

/// Checks a file against earlier versions. Returns the differences, a line each.
pub(super) fn find_differences(
    options: &OfflineOptions,
    file: &str,
    given: Option<SchemaType>,
    references: &[String],
) -> Result<Vec<String>, Failure> {
    let (candidate, format) = parse_file(file, given, references)?;
    let count = match options.level {
        CompatibilityLevel::None => 0,
        level if level.is_transitive() => options.against.len(),
        _ => 1,
    };
    let (mut lines, policy) = (Vec::new(), options.policy.policy());
    for other in options.against.iter().rev().take(count) {
        let (old, _) = parse_file(other, given.or_else(|| fallback_type(other, format)), references)?;
        if options.level.is_backward() {
            lines.extend(describe_differences(&format!("{other}: BACKWARD"), &candidate, &old, policy));
        }
        if options.level.is_forward() {
            lines.extend(describe_differences(&format!("{other}: FORWARD"), &old, &candidate, policy));
        }
    }
    Ok(lines)
}

/// Describes why a reader can't read the data of a writer, in a line for each difference.
pub(super) fn describe_differences(prefix: &str, reader: &Schema, writer: &Schema, policy: CompatibilityPolicy) -> Vec<String> {
    let differences = Schema::differences(reader, writer, policy);
    differences.into_iter().map(|one| format!("{prefix} {} {}: {}", one.path, one.kind, one.message.replace('\n', " "))).collect()
}

/// The type of a file whose extension does not tell it: the type of the checked schema.
fn fallback_type(file: &str, format: SchemaFormat) -> Option<SchemaType> {
    let is_known = [".avsc", ".json", ".proto"].iter().any(|extension| file.ends_with(extension));
    (!is_known).then_some(match format {
        SchemaFormat::Avro => SchemaType::Avro,
        SchemaFormat::Json => SchemaType::Json,
        SchemaFormat::Protobuf => SchemaType::Protobuf,
    })
}

fn parse_file(file: &str, given: Option<SchemaType>, references: &[String]) -> Result<(Schema, SchemaFormat), Failure> {
    let (text, format) = schema_file::read_text(file, given)?;
    let mut dependencies = Vec::with_capacity(references.len());
    for reference in references {
        let (name, path) = reference.rsplit_once('=').ok_or_else(|| {
            format!("--reference {reference}: with --offline it must be NAME=FILE, such as com.example.Address=address.avsc")
        })?;
        let (text, _) = schema_file::read_text(path, given.or_else(|| fallback_type(path, format)))?;
        dependencies.push(Dependency { name: name.into(), text: text.into() });
    }
    let schema = Schema::parse(format, &text, &dependencies)
        .map_err(|invalid| Failure(format!("{file} is not a valid schema of type {format}: {}", invalid.message)))?;
    Ok((schema, format))
}
