//! `prism schema list`.

use super::{
    connection::Connection,
    name::{self, Prefix},
};
use crate::cli::{Outcome, output, output::print_text};

const EXAMPLES: &str = "\
Examples:
  prism schema list                              each subject with its latest version, of all contexts
  prism schema list --prefix orders- --versions  each version
  prism schema list --context .team --deleted    what is softly deleted too
  prism schema list --json | jq -r '.[].subject'";

/// Arguments of `prism schema list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only subjects whose names begin with this
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// All versions, and not just the latest
    #[arg(long)]
    pub versions: bool,

    /// Also what is softly deleted
    #[arg(short, long)]
    pub deleted: bool,

    /// Only subjects of this context, as .team; `.` is the default one
    #[arg(short, long, value_parser = name::context)]
    pub context: Option<String>,

    /// Print everything of them as JSON, the texts included
    #[arg(long)]
    pub json: bool,

    /// The registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Prints a table.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.connection.open()?;
    let prefix = Prefix::new(args.context.as_deref(), &args.prefix);
    let found = registry.schemas(&prefix, args.deleted, !args.versions).await?;
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&found)? + "\n"));
    }
    let mut rows = vec![["SUBJECT", "VERSION", "TYPE", "ID", ""].map(str::to_owned).to_vec()];
    for schema in found {
        let deleted = if schema.deleted { "deleted" } else { "" };
        rows.push(vec![
            schema.subject.clone(),
            schema.version.to_string(),
            schema.kind().to_owned(),
            schema.id.to_string(),
            deleted.to_owned(),
        ]);
    }
    print_text(&output::columns(&rows))
}
