//! `prism schema diff`.

use std::{fmt::Write as _, path::Path};

use super::{
    catalog::{Catalog, fetch_dependencies},
    connection::RegistryOptions,
    get::{explain_missing, split_version},
    offline::{PolicyName, describe_differences},
    schema_file::{self, SchemaType},
    unified_diff::unified_diff,
};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_registry_client::{Reference, SchemaQuery, SchemaRecord, context_scope, parse_context, resolve_subject};
use prism_schema::Schema;

const EXAMPLES: &str = "\
Examples:
  prism schema diff orders-value@1 orders-value@latest
  prism schema diff orders-value@latest order.avsc      compare a file before its registration
  prism schema diff old.json new.json --policy lenient  compare two files, without a registry

Write ./orders@1 for a file whose name looks like a version. The lines are those of the normalized texts. The exit code is 0
even if the schemas differ; use `prism schema check` to fail.";

/// Arguments of `prism schema diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Old schema: a file, or SUBJECT@VERSION
    #[arg(value_name = "OLD")]
    pub old: String,

    /// New schema: a file, or SUBJECT@VERSION
    #[arg(value_name = "NEW")]
    pub new: String,

    /// Type of the files. Default: by their extensions, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<SchemaType>,

    /// A schema that a file refers to; may be repeated. Default: the references of the version on the other side
    #[arg(short, long = "reference", value_name = "NAME=SUBJECT:VERSION")]
    pub references: Vec<String>,

    /// JSON Schema: which changes are incompatible
    #[arg(long, value_name = "POLICY", default_value = "strict", ignore_case = true)]
    pub policy: PolicyName,

    /// Context of the subjects, such as .team
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Prints which readers break, and the lines that change.
pub(super) async fn run(args: &Args) -> Outcome {
    let (mut old, mut new) = (read_side(args, &args.old).await?, read_side(args, &args.new).await?);
    borrow_references(&mut old, &new.references, args);
    borrow_references(&mut new, &old.references, args);
    let (before, after) = (parse(args, &args.old, &old).await?, parse(args, &args.new, &new).await?);
    let policy = args.policy.policy();
    let mut out = String::new();
    for (direction, explanation, reader, writer) in [
        ("BACKWARD", "readers with the new schema, data of the old one", &after, &before),
        ("FORWARD", "readers with the old schema, data of the new one", &before, &after),
    ] {
        let differences = describe_differences(" ", reader, writer, policy);
        let line = format!("{direction}: {explanation}");
        let line = if differences.is_empty() { style::good(&format!("✅ {line}")) } else { style::bad(&format!("❌ {line}")) };
        // Writing into a String can't fail.
        let _ = writeln!(out, "{line}");
        for difference in differences {
            let _ = writeln!(out, "{difference}");
        }
    }
    let (before, after) = (normalized_lines(&before), normalized_lines(&after));
    if before == after {
        out.push_str("\nThe normalized texts are the same.\n");
    } else {
        let _ = write!(out, "\n--- {}\n+++ {}\n{}", args.old, args.new, unified_diff(&before, &after));
    }
    print_text(&out)
}

/// Reads one of the two schemas: a file, or a version in the registry.
async fn read_side(args: &Args, name: &str) -> Result<SchemaRecord, Failure> {
    let (subject, version) = split_version(name);
    let exists = Path::new(name).exists();
    let Some(version) = version.filter(|_| !(name.contains('/') && exists)) else {
        if !exists && name != "-" {
            return Err(Failure(format!("there is no file {name}; a version in the registry is SUBJECT@VERSION, such as {name}@latest")));
        }
        return schema_file::read_record(name, args.r#type, &args.references);
    };
    let subject = resolve_subject(args.context.as_deref(), subject);
    let query = SchemaQuery { deleted: true, format: None };
    args.registry.client()?.schema_by_version(&subject, version, query).await.map_err(|error| explain_missing(&error))
}

/// Gives a file without references those of the other side.
fn borrow_references(schema: &mut SchemaRecord, references: &[Reference], args: &Args) {
    if schema.references.is_empty() && args.references.is_empty() && schema.subject.is_empty() {
        schema.references = references.to_vec();
    }
}

async fn parse(args: &Args, name: &str, schema: &SchemaRecord) -> Result<Schema, Failure> {
    // References of a file are in the context of the command line.
    let mut schema = schema.clone();
    if schema.subject.is_empty() {
        schema.subject = args.context.as_deref().map(context_scope).unwrap_or_default();
    }
    let dependencies = if schema.references.is_empty() {
        Vec::new()
    } else {
        fetch_dependencies(&args.registry.client()?, &schema).await.map_err(|error| explain_missing(&error))?
    };
    Catalog::new(&dependencies)
        .parse(&schema)
        .map_err(|invalid| Failure(format!("{name} is not a valid schema of type {}: {}", schema.type_name(), invalid.message)))
}

/// Returns the normalized text; JSON has each member on a line.
fn normalized_lines(schema: &Schema) -> String {
    let text = schema.normalized();
    let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    json.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or(text)
}
