//! `prism schema check`.

use std::process::ExitCode;

use serde_json::Value;

use super::{
    client::Repeat,
    connection::Connection,
    get::missing,
    name, offline,
    registry::{Registry, escape},
    text::{self, Type},
};
use crate::cli::{Failure, Outcome, output::print_text, style};

const EXAMPLES: &str = "\
Examples:
  prism schema check orders-value order.avsc                    as a registration would be judged
  prism schema check orders-value order.avsc --version 3        against one version
  prism schema check orders-value order.avsc --all              against each version, whatever the level says
  prism schema check --offline --against old.avsc new.avsc      without a registry, at the level BACKWARD
  prism schema check --offline --against v1.json --against v2.json v3.json --level FULL_TRANSITIVE --policy lenient

Exit code 0: compatible, 1: not, or it could not be checked.";

/// Arguments of `prism schema check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "prism schema check [OPTIONS] <SUBJECT> <FILE>\n       prism schema check [OPTIONS] --offline --against <FILE> <FILE>"
)]
pub struct Args {
    /// The subject, and the file with the schema that is to follow; - is standard input. Offline, only the file
    #[arg(value_name = "SUBJECT FILE", num_args = 1..=2, required = true)]
    pub what: Vec<String>,

    /// What it is. Default: by the file's ending, .avsc, .json or .proto
    #[arg(short, long, value_name = "TYPE")]
    pub r#type: Option<Type>,

    /// A schema that it refers to, NAME=SUBJECT:VERSION, or NAME=FILE with --offline; may be given many times, each
    /// behind those that it refers to itself
    #[arg(short, long = "reference", value_name = "REFERENCE")]
    pub references: Vec<String>,

    /// The version that it is held against. Default: those that a registration is held against
    #[arg(long, conflicts_with = "all")]
    pub version: Option<String>,

    /// Hold it against each version, one by one
    #[arg(long)]
    pub all: bool,

    /// Let the registry sort what has no order first
    #[arg(long)]
    pub normalize: bool,

    /// The context of the subject, as .team
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// Without a registry: hold it against files
    #[command(flatten)]
    pub offline: offline::Options,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Prints each difference on a line of its own.
pub(super) async fn run(args: &Args) -> Outcome {
    if args.offline.offline {
        let file = args.what.last().map(String::as_str).unwrap_or_default();
        return offline::run(&args.offline, file, args.r#type, &args.references);
    }
    let [subject, file] = &*args.what else {
        return Err(Failure(
            "check takes SUBJECT and FILE; without a subject and a registry it is --offline --against FILE FILE".to_owned(),
        ));
    };
    let schema = text::schema(file, args.r#type, &args.references)?;
    let registry = args.connection.open()?;
    let subject = name::within(args.context.as_deref(), subject);
    let versions = match &args.version {
        Some(version) => vec![version.clone()],
        None if args.all => versions(&registry, &subject).await?,
        None => vec![String::new()],
    };
    let (mut differences, body) = (Vec::new(), Value::Object(schema.request()));
    let mut held = String::new();
    for version in versions {
        let path = format!("/compatibility/subjects/{}/versions", escape(&subject));
        let path = if version.is_empty() { path } else { format!("{path}/{}", escape(&version)) };
        let path = format!("{path}?verbose=true&normalize={}", args.normalize);
        let answer = registry.post(&path, &body, Repeat::Yes).await.map_err(|trouble| missing(&trouble))?;
        if answer.get("is_compatible").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let before = differences.len();
        let told = answer.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for line in told.iter().filter_map(Value::as_str) {
            // Behind the differences are the version, its text and the level.
            if let Some(number) = about(line, "{oldSchemaVersion:") {
                held = format!(" with version {number}");
            } else if let Some(level) = about(line, "{compatibility:") {
                held = format!("{held} ({level})");
            } else if about(line, "{oldSchema:").is_none() {
                let line = line.replace('\n', " ");
                differences.push(if args.all { format!("version {version}: {line}") } else { line });
            }
        }
        if differences.len() == before {
            differences.push("the registry does not tell what is incompatible".to_owned());
        }
    }
    verdict(&subject, &differences, if args.all { "" } else { &held })
}

fn about<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    Some(line.strip_prefix(what)?.trim_end_matches('}').trim().trim_matches('\''))
}

async fn versions(registry: &Registry, subject: &str) -> Result<Vec<String>, Failure> {
    let versions: Vec<u32> = registry.get(&format!("/subjects/{}/versions", escape(subject))).await.map_err(|trouble| missing(&trouble))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}

/// The differences, and what follows from them.
pub(super) fn verdict(what: &str, differences: &[String], held: &str) -> Outcome {
    if differences.is_empty() {
        return print_text(&(style::good(&format!("✅ {what}: compatible")) + "\n"));
    }
    print_text(&format!("{}\n{}\n", differences.join("\n"), style::bad(&format!("❌ {what}: not compatible{held}"))))?;
    Ok(ExitCode::FAILURE)
}
