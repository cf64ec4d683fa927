//! `prism schema list`.

use super::connection::RegistryOptions;
use crate::cli::{Outcome, output, output::print_text};
use prism_registry_client::{SubjectPrefix, parse_context};

const EXAMPLES: &str = "\
Examples:
  prism schema list                              list the latest version of each subject, in all contexts
  prism schema list --prefix orders- --versions  list all versions
  prism schema list --context .team --deleted    include softly deleted versions
  prism schema list --json | jq -r '.[].subject'";

/// Arguments of `prism schema list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// List only subjects whose names begin with this text
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// List all versions instead of the latest ones
    #[arg(long)]
    pub versions: bool,

    /// Include softly deleted versions
    #[arg(short, long)]
    pub deleted: bool,

    /// List only subjects of this context, such as .team; `.` is the default context
    #[arg(short, long, value_parser = parse_context)]
    pub context: Option<String>,

    /// Print JSON, with the texts of the schemas
    #[arg(long)]
    pub json: bool,

    /// Options for the registry.
    #[command(flatten)]
    pub registry: RegistryOptions,
}

/// Prints a table.
pub(super) async fn run(args: &Args) -> Outcome {
    let registry = args.registry.client()?;
    let prefix = SubjectPrefix::new(args.context.as_deref(), &args.prefix);
    let schemas = registry.list_schemas(&prefix, args.deleted, !args.versions).await?;
    if args.json {
        return print_text(&(serde_json::to_string_pretty(&schemas)? + "\n"));
    }
    let mut rows = vec![["SUBJECT", "VERSION", "TYPE", "ID", ""].map(str::to_owned).to_vec()];
    for schema in schemas {
        let deleted = if schema.deleted { "deleted" } else { "" };
        rows.push(vec![
            schema.subject.clone(),
            schema.version.to_string(),
            schema.type_name().to_owned(),
            schema.id.to_string(),
            deleted.to_owned(),
        ]);
    }
    print_text(&output::columns(&rows))
}
