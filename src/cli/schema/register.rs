//! `prism schema register`.

use serde_json::Value;

use super::{
    connection::RegistryOptions,
    schema_file::{self, SchemaType},
};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_registry_client::{ClientError, RegistryClient, Retry, parse_context, resolve_subject};

const EXAMPLES: &str = "\
Examples:
  prism schema register orders-value order.avsc
  prism schema register orders-value order.proto --reference common/money.proto=money:1
  prism schema register orders-value order.json --context .team --normalize
  jq .schema export.json | prism schema register orders-value - --type json

A schema that is registered already keeps its id and version. --id and --version need the mode IMPORT.";

/// Arguments of `prism schema register`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Subject, such as orders-value
    pub subject: String,

    /// File with the schema; - is standard input
    pub file: String,

    /// Type of the schema. Default: by the extension of the file, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<SchemaType>,

    /// A schema that the new schema refers to; may be repeated. The version may be `latest`
    #[arg(short, long = "reference", value_name = "NAME=SUBJECT:VERSION")]
    pub references: Vec<String>,

    /// Let the registry normalize the text before it compares and stores it
    #[arg(long)]
    pub normalize: bool,

    /// Id of the schema
    #[arg(long)]
    pub id: Option<u32>,

    /// Number of the version
    #[arg(long)]
    pub version: Option<u32>,

    /// Context of the subject, such as .team
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// Print the registry's answer as JSON
    #[arg(long)]
    pub json: bool,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Registers a schema and prints its id and version.
pub(super) async fn run(args: &Args) -> Outcome {
    let schema = schema_file::read_record(&args.file, args.r#type, &args.references)?;
    let registry = args.registry.client()?;
    let subject = resolve_subject(args.context.as_deref(), &args.subject);
    let mut body = schema.to_request();
    for (member, number) in [("id", args.id), ("version", args.version)] {
        if let Some(number) = number {
            body.insert(member.to_owned(), number.into());
        }
    }
    let body = Value::Object(body);
    let answer = registry.register(&subject, &body, Some(args.normalize), Retry::Forbidden).await;
    let mut answer = answer.map_err(|error| explain(&subject, &error))?;
    if answer.get("version").is_none() {
        answer = add_version(&registry, &subject, &body, args.normalize, answer).await?;
    }
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&answer)? + "\n"));
    }
    let number = |member: &str| answer.get(member).map_or_else(|| "unknown".to_owned(), Value::to_string);
    print_text(&(style::good(&format!("✅ {subject}: version {}, id {}", number("version"), number("id"))) + "\n"))
}

/// Adds the version to the answer of an older registry, which has only the id.
async fn add_version(registry: &RegistryClient, subject: &str, body: &Value, normalize: bool, answer: Value) -> Result<Value, Failure> {
    let found = registry.look_up(subject, body, normalize).await?;
    Ok(match (answer, found.get("version")) {
        (Value::Object(mut members), Some(version)) => {
            members.insert("version".to_owned(), version.clone());
            Value::Object(members)
        }
        (answer, _) => answer,
    })
}

/// Adds what to do about a refused registration.
fn explain(subject: &str, error: &ClientError) -> Failure {
    Failure(match error.code() {
        Some(409 | 40901) => format!("{error}\n`prism schema check {subject} FILE` prints each difference on a line."),
        Some(42205) => format!("{error}\n--id and --version need the mode IMPORT. Nothing can be registered in the mode READONLY."),
        _ => error.to_string(),
    })
}
