//! `prism schema get`.

use serde_json::Value;

use super::connection::RegistryOptions;
use crate::cli::{Failure, Outcome, output::print_text};
use prism_registry_client::{ClientError, RegistryClient, SchemaQuery, parse_context, resolve_subject};

const EXAMPLES: &str = "\
Examples:
  prism schema get orders-value                    print the latest version
  prism schema get orders-value@3 > order.avsc
  prism schema get --id 42 --json                  print type, references, metadata and rules too
  prism schema get orders-value --format resolved  Avro: replace references by what they refer to
  prism schema get money@1 --format serialized     Protobuf: print the descriptor in base64";

/// Arguments of `prism schema get`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Subject and version. Without a version, the latest one
    #[arg(value_name = "SUBJECT[@VERSION]", required_unless_present_any = ["id", "guid"], conflicts_with_all = ["id", "guid"])]
    pub subject: Option<String>,

    /// The id of the schema
    #[arg(long)]
    pub id: Option<u32>,

    /// The GUID of the schema
    #[arg(long, conflicts_with = "id")]
    pub guid: Option<String>,

    /// Format of the text: resolved (Avro), serialized or ignore_extensions (Protobuf)
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Also find versions that are softly deleted
    #[arg(long)]
    pub deleted: bool,

    /// Context of the subject or the id, such as .team
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// Print the whole answer of the registry as JSON
    #[arg(long)]
    pub json: bool,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Prints a schema.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.registry.client()?;
    let schema = fetch(args, &registry).await?;
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&schema)? + "\n"));
    }
    let text = schema.get("schema").and_then(Value::as_str).ok_or("the registry's answer has no schema text")?;
    print_text(&if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") })
}

async fn fetch(args: &Args, registry: &RegistryClient) -> Result<Value, Failure> {
    let query = SchemaQuery { deleted: args.deleted, format: args.format.as_deref() };
    let context = args.context.as_deref();
    if let Some(guid) = &args.guid {
        return Ok(registry.schema_by_guid(guid, query).await?);
    }
    if let Some(id) = args.id {
        return Ok(registry.schema_by_id(id, context, query).await?);
    }
    let (subject, version) = split_version(args.subject.as_deref().unwrap_or_default());
    let subject = resolve_subject(context, subject);
    registry.schema_by_version(&subject, version.unwrap_or("latest"), query).await.map_err(|error| explain_missing(&error))
}

/// Splits `SUBJECT@VERSION`. The part after the last `@` is a version only if it is a number or `latest`.
pub(super) fn split_version(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('@') {
        Some((subject, version)) if version == "latest" || version.parse::<u32>().is_ok() => (subject, Some(version)),
        _ => (text, None),
    }
}

/// Adds what to do about a subject or a version that does not exist.
pub(super) fn explain_missing(error: &ClientError) -> Failure {
    Failure(match error.code() {
        Some(40401) => {
            format!("{error}\n`prism schema list` shows the subjects. If the subject is in another context, set it with --context.")
        }
        Some(40402) => format!("{error}\n`prism schema list --versions` shows the versions."),
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_and_latest_are_versions() {
        assert_eq!(split_version("a@b@3"), ("a@b", Some("3")));
        assert_eq!(split_version("a@latest"), ("a", Some("latest")));
        assert_eq!(split_version("a@b"), ("a@b", None));
    }
}
