//! `prism schema diff`.

use std::{fmt::Write as _, path::Path};

use super::{
    catalog::{self, Catalog},
    connection::Connection,
    get::missing,
    lines, name,
    offline::{self, Strictness},
    record::{Reference, Schema},
    text::{self, Type},
};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_schema as schema;

const EXAMPLES: &str = "\
Examples:
  prism schema diff orders-value@1 orders-value@latest
  prism schema diff orders-value@latest order.avsc      before it is registered
  prism schema diff old.json new.json --policy lenient  no registry is asked for two files

A file that is named like a version, as orders@1, is ./orders@1. The lines are those of the normalized texts. Exit code 0,
whatever differs: `prism schema check` judges.";

/// Arguments of `prism schema diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The one that was: a file, or SUBJECT@VERSION
    #[arg(value_name = "OLD")]
    pub old: String,

    /// The one that is to be: a file, or SUBJECT@VERSION
    #[arg(value_name = "NEW")]
    pub new: String,

    /// What the files are. Default: by their endings, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<Type>,

    /// A schema that a file refers to; may be given many times. Default: the references of the version on the other side
    #[arg(short, long = "reference", value_name = "NAME=SUBJECT:VERSION")]
    pub references: Vec<String>,

    /// What counts as a difference, in JSON Schema
    #[arg(long, value_name = "POLICY", default_value = "strict", ignore_case = true)]
    pub policy: Strictness,

    /// The context of the subjects, as .team
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Prints who breaks, and the lines that change.
pub(super) async fn run(args: &Args) -> Outcome {
    let (mut old, mut new) = (side(args, &args.old).await?, side(args, &args.new).await?);
    borrow(&mut old, &new.references, args);
    borrow(&mut new, &old.references, args);
    let (before, after) = (parsed(args, &args.old, &old).await?, parsed(args, &args.new, &new).await?);
    let policy = args.policy.policy();
    let mut out = String::new();
    for (direction, told, reader, writer) in [
        ("BACKWARD", "readers with the new schema, data of the old one", &after, &before),
        ("FORWARD", "readers with the old schema, data of the new one", &before, &after),
    ] {
        let found = offline::differences(" ", reader, writer, policy);
        let line = format!("{direction}: {told}");
        let line = if found.is_empty() { style::good(&format!("✅ {line}")) } else { style::bad(&format!("❌ {line}")) };
        // Writing into a String can't fail.
        let _ = writeln!(out, "{line}");
        for one in found {
            let _ = writeln!(out, "{one}");
        }
    }
    let (before, after) = (shown(&before), shown(&after));
    if before == after {
        out.push_str("\nThe normalized texts are the same.\n");
    } else {
        let _ = write!(out, "\n--- {}\n+++ {}\n{}", args.old, args.new, lines::unified(&before, &after));
    }
    print_text(&out)
}

/// A file, or what a registry has.
async fn side(args: &Args, of: &str) -> Result<Schema, Failure> {
    let (subject, version) = name::versioned(of);
    if of == "-" || version.is_none() || of.contains('/') && Path::new(of).exists() {
        if !Path::new(of).exists() && of != "-" {
            return Err(Failure(format!("there is no file {of}; a version of a registry is SUBJECT@VERSION, as {of}@latest")));
        }
        return text::schema(of, args.r#type, &args.references);
    }
    let subject = name::within(args.context.as_deref(), subject);
    let answer = args.connection.open()?.version(&subject, version, "?deleted=true").await.map_err(|trouble| missing(&trouble))?;
    Ok(serde_json::from_value(answer)?)
}

/// A file without references has those of the other side.
fn borrow(schema: &mut Schema, references: &[Reference], args: &Args) {
    if schema.references.is_empty() && args.references.is_empty() && schema.subject.is_empty() {
        schema.references = references.to_vec();
    }
}

async fn parsed(args: &Args, of: &str, schema: &Schema) -> Result<schema::Schema, Failure> {
    // References of a file are in the context that is asked about.
    let mut schema = schema.clone();
    if schema.subject.is_empty() {
        schema.subject = args.context.as_deref().map(name::whole).unwrap_or_default();
    }
    let referred = if schema.references.is_empty() {
        Vec::new()
    } else {
        catalog::referred(&args.connection.open()?, &schema).await.map_err(|trouble| missing(&trouble))?
    };
    Catalog::new(&referred)
        .parse(&schema)
        .map_err(|invalid| Failure(format!("{of} is no schema of type {}: {}", schema.kind(), invalid.message)))
}

/// The normalized text, in lines.
fn shown(schema: &schema::Schema) -> String {
    let text = schema.normalized();
    let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    json.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or(text)
}
