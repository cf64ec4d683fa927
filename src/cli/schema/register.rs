//! `prism schema register`.

use serde_json::Value;

use super::{
    client::{Repeat, Trouble},
    connection::Connection,
    name,
    registry::{Registry, escape},
    text::{self, Type},
};
use crate::cli::{Failure, Outcome, output::print_text, style};

const EXAMPLES: &str = "\
Examples:
  prism schema register orders-value order.avsc
  prism schema register orders-value order.proto --reference common/money.proto=money:1
  prism schema register orders-value order.json --context .team --normalize
  jq .schema export.json | prism schema register orders-value - --type json

A schema that is there already keeps its id and version. --id and --version need the mode IMPORT.";

/// Arguments of `prism schema register`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The subject, as orders-value
    pub subject: String,

    /// The schema; - is standard input
    pub file: String,

    /// What it is. Default: by the file's ending, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<Type>,

    /// A schema that it refers to; may be given many times. The version may be `latest`
    #[arg(short, long = "reference", value_name = "NAME=SUBJECT:VERSION")]
    pub references: Vec<String>,

    /// Let the registry sort what has no order before it compares and keeps the text
    #[arg(long)]
    pub normalize: bool,

    /// The id that it is to have
    #[arg(long)]
    pub id: Option<u32>,

    /// The version that it is to have
    #[arg(long)]
    pub version: Option<u32>,

    /// The context of the subject, as .team
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// Print the registry's answer as JSON
    #[arg(long)]
    pub json: bool,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Registers, and prints id and version.
pub(super) async fn run(args: &Args) -> Outcome {
    let schema = text::schema(&args.file, args.r#type, &args.references)?;
    let registry = args.connection.open()?;
    let subject = name::within(args.context.as_deref(), &args.subject);
    let mut body = schema.request();
    for (member, number) in [("id", args.id), ("version", args.version)] {
        if let Some(number) = number {
            body.insert(member.to_owned(), number.into());
        }
    }
    let body = Value::Object(body);
    let path = format!("/subjects/{}/versions?normalize={}", escape(&subject), args.normalize);
    let mut answer = registry.post(&path, &body, Repeat::No).await.map_err(|trouble| explain(&subject, &trouble))?;
    if answer.get("version").is_none() {
        answer = with_version(&registry, &subject, &body, args.normalize, answer).await?;
    }
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&answer)? + "\n"));
    }
    let number = |member: &str| answer.get(member).map_or_else(|| "unknown".to_owned(), Value::to_string);
    print_text(&(style::good(&format!("✅ {subject}: version {}, id {}", number("version"), number("id"))) + "\n"))
}

/// Older registries only tell the id.
async fn with_version(registry: &Registry, subject: &str, body: &Value, normalize: bool, answer: Value) -> Result<Value, Failure> {
    let found = registry.post(&format!("/subjects/{}?normalize={normalize}", escape(subject)), body, Repeat::Yes).await?;
    Ok(match (answer, found.get("version")) {
        (Value::Object(mut members), Some(version)) => {
            members.insert("version".to_owned(), version.clone());
            Value::Object(members)
        }
        (answer, _) => answer,
    })
}

fn explain(subject: &str, trouble: &Trouble) -> Failure {
    Failure(match trouble.code() {
        Some(409 | 40901) => format!("{trouble}\n`prism schema check {subject} FILE` tells each difference on a line."),
        Some(42205) => format!("{trouble}\nIds and versions are chosen in mode IMPORT only, and nothing is registered in mode READONLY."),
        _ => trouble.to_string(),
    })
}
