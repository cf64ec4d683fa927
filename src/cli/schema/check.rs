//! `prism schema check`.

use std::process::ExitCode;

use serde_json::Value;

use super::{
    connection::RegistryOptions,
    get::explain_missing,
    offline,
    schema_file::{self, SchemaType},
};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_registry_client::{RegistryClient, parse_context, resolve_subject};

const EXAMPLES: &str = "\
Examples:
  prism schema check orders-value order.avsc                    check it as a registration would
  prism schema check orders-value order.avsc --version 3        check it against one version
  prism schema check orders-value order.avsc --all              check it against each version, whatever the level
  prism schema check --offline --against old.avsc new.avsc      check it without a registry, at the level BACKWARD
  prism schema check --offline --against v1.json --against v2.json v3.json --level FULL_TRANSITIVE --policy lenient

Exit code 0: compatible. Exit code 1: not compatible, or the check failed.";

/// Arguments of `prism schema check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "prism schema check [OPTIONS] <SUBJECT> <FILE>\n       prism schema check [OPTIONS] --offline --against <FILE> <FILE>"
)]
pub struct Args {
    /// Subject, and file with the new schema (- is standard input). With --offline, only the file
    #[arg(value_name = "SUBJECT FILE", num_args = 1..=2, required = true)]
    pub what: Vec<String>,

    /// Type of the schema. Default: by the extension of the file, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<SchemaType>,

    /// A schema that the new schema refers to: NAME=SUBJECT:VERSION, or NAME=FILE with --offline. May be repeated, each
    /// one after those that it refers to itself
    #[arg(short, long = "reference", value_name = "REFERENCE")]
    pub references: Vec<String>,

    /// Check against this version. Default: the versions that a registration is checked against
    #[arg(long, conflicts_with = "all")]
    pub version: Option<String>,

    /// Check against each version, one by one
    #[arg(long)]
    pub all: bool,

    /// Let the registry normalize the schema first
    #[arg(long)]
    pub normalize: bool,

    /// Context of the subject, such as .team
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// Options of a check against files.
    #[command(flatten)]
    pub offline: offline::OfflineOptions,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Prints each difference on a line of its own.
pub(super) async fn run(args: &Args) -> Outcome {
    if args.offline.offline {
        let file = args.what.last().map(String::as_str).unwrap_or_default();
        let differences = offline::find_differences(&args.offline, file, args.r#type, &args.references)?;
        return print_verdict(file, &differences, "");
    }
    let [subject, file] = &*args.what else {
        return Err(Failure(
            "check takes SUBJECT and FILE; to check without a subject and a registry, use --offline --against FILE FILE".to_owned(),
        ));
    };
    let schema = schema_file::read_record(file, args.r#type, &args.references)?;
    let registry = args.registry.client()?;
    let subject = resolve_subject(args.context.as_deref(), subject);
    let versions = match &args.version {
        Some(version) => vec![Some(version.clone())],
        None if args.all => list_versions(&registry, &subject).await?,
        None => vec![None],
    };
    let (mut differences, body) = (Vec::new(), Value::Object(schema.to_request()));
    // The version and the level that the registry checked against.
    let mut checked = String::new();
    for version in versions {
        let version = version.as_deref();
        let report = registry.check_compatibility(&subject, version, &body, args.normalize).await;
        let report = report.map_err(|error| explain_missing(&error))?;
        if report.is_compatible {
            continue;
        }
        let before = differences.len();
        for line in &report.messages {
            // After the differences come the version, its text and the level.
            if let Some(number) = message_value(line, "{oldSchemaVersion:") {
                checked = format!(" with version {number}");
            } else if let Some(level) = message_value(line, "{compatibility:") {
                checked = format!("{checked} ({level})");
            } else if message_value(line, "{oldSchema:").is_none() {
                let line = line.replace('\n', " ");
                differences.push(if args.all { format!("version {}: {line}", version.unwrap_or_default()) } else { line });
            }
        }
        if differences.len() == before {
            differences.push("the registry does not say what is incompatible".to_owned());
        }
    }
    print_verdict(&subject, &differences, if args.all { "" } else { &checked })
}

/// Returns the value in a line such as `{compatibility: 'BACKWARD'}`.
fn message_value<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    Some(line.strip_prefix(start)?.trim_end_matches('}').trim().trim_matches('\''))
}

async fn list_versions(registry: &RegistryClient, subject: &str) -> Result<Vec<Option<String>>, Failure> {
    let versions = registry.list_versions(subject).await.map_err(|error| explain_missing(&error))?;
    Ok(versions.iter().map(|version| Some(version.to_string())).collect())
}

/// Prints the differences and whether the schema is compatible. `checked` says what it was checked against.
fn print_verdict(name: &str, differences: &[String], checked: &str) -> Outcome {
    if differences.is_empty() {
        return print_text(&(style::good(&format!("✅ {name}: compatible")) + "\n"));
    }
    print_text(&format!("{}\n{}\n", differences.join("\n"), style::bad(&format!("❌ {name}: not compatible{checked}"))))?;
    Ok(ExitCode::FAILURE)
}
