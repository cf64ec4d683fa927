//! `prism schema get`.

use serde_json::Value;

use super::{
    client::Trouble,
    connection::Connection,
    name,
    registry::{Registry, escape},
};
use crate::cli::{Failure, Outcome, output::print_text};

const EXAMPLES: &str = "\
Examples:
  prism schema get orders-value                    the latest version
  prism schema get orders-value@3 > order.avsc
  prism schema get --id 42 --json                  with type, references, metadata and rules
  prism schema get orders-value --format resolved  Avro with what it refers to in its place
  prism schema get money@1 --format serialized     a Protobuf descriptor in base64";

/// Arguments of `prism schema get`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Subject and version; without a version it is the latest one
    #[arg(value_name = "SUBJECT[@VERSION]", required_unless_present_any = ["id", "guid"], conflicts_with_all = ["id", "guid"])]
    pub subject: Option<String>,

    /// By its id
    #[arg(long)]
    pub id: Option<u32>,

    /// By its GUID
    #[arg(long, conflicts_with = "id")]
    pub guid: Option<String>,

    /// Another shape of the text: resolved (Avro), serialized or ignore_extensions (Protobuf)
    #[arg(short, long, value_name = "SHAPE")]
    pub format: Option<String>,

    /// Also versions that are softly deleted
    #[arg(long)]
    pub deleted: bool,

    /// The context of the subject or the id, as .team
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// Print all that the registry tells, as JSON
    #[arg(long)]
    pub json: bool,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Prints the text as the registry has it.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.connection.open()?;
    let found = find(args, &registry).await?;
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&found)? + "\n"));
    }
    let text = found.get("schema").and_then(Value::as_str).ok_or("the registry's answer has no text of a schema")?;
    print_text(&if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") })
}

async fn find(args: &Args, registry: &Registry) -> Result<Value, Failure> {
    let mut query = vec![format!("deleted={}", args.deleted)];
    query.extend(args.format.as_ref().map(|format| format!("format={}", escape(format))));
    let context = args.context.as_deref();
    if let Some(guid) = &args.guid {
        return Ok(registry.get(&format!("/schemas/guids/{}?{}", escape(guid), query.join("&"))).await?);
    }
    if let Some(id) = args.id {
        query.extend(context.map(|context| format!("subject={}", escape(&name::whole(context)))));
        return Ok(registry.get(&format!("/schemas/ids/{id}?{}", query.join("&"))).await?);
    }
    let (subject, version) = name::versioned(args.subject.as_deref().unwrap_or_default());
    let subject = name::within(context, subject);
    registry.version(&subject, version, &format!("?{}", query.join("&"))).await.map_err(|trouble| missing(&trouble))
}

/// What to do about a subject or a version that is not there.
pub(super) fn missing(trouble: &Trouble) -> Failure {
    Failure(match trouble.code() {
        Some(40401) => format!("{trouble}\n`prism schema list` shows the subjects; one of another context is named with --context."),
        Some(40402) => format!("{trouble}\n`prism schema list --versions` shows the versions."),
        _ => trouble.to_string(),
    })
}
