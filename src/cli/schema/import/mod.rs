//! `prism schema import`.

mod apply;
mod keys;
mod mapping;
mod plan;
mod queue;
mod verify;

use std::{fs::File, io::BufReader};

use super::{
    connection::{Connection, Origin},
    contents::Contents,
    gather,
    name::Prefix,
    registry::Registry,
};
use crate::cli::{
    Failure, Outcome,
    output::{columns, print_text},
    style,
};
use mapping::Mapping;
use plan::Plan;

const EXAMPLES: &str = "\
Examples:
  prism schema import --from http://old:8081 --dry-run      what would be done
  prism schema import --from http://old:8081 --url http://new:8081
  prism schema import registry.ndjson --context-map .=.old  everything of the default context into .old

Ids, versions, references, metadata, rules, soft deletions, configurations, modes and keys are kept. Each context of the target is
in mode IMPORT meanwhile. Up to 8 schemas are registered at the same time, but those of a subject one after the other, and each
behind what it refers to. What is there already with the same id is skipped, so an import that ended early is run again. At the
end the target is read and compared. docs/schema-registry.md tells a migration step by step.";

/// Arguments of `prism schema import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `prism schema export`; - is standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<String>,

    /// Only subjects whose names begin with this, and what they refer to
    #[arg(short, long, value_name = "TEXT", requires = "from", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// Put what is in a context into another one; may be given many times
    #[arg(long = "context-map", value_name = ".A=.B")]
    pub contexts: Vec<String>,

    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Also into contexts that have other schemas
    #[arg(long)]
    pub force: bool,

    /// Don't take the source's modes over, as READONLY of one that was closed for the move; contexts get back what they had
    #[arg(long)]
    pub no_modes: bool,

    /// The registry that is read.
    #[command(flatten)]
    pub origin: Origin,

    /// The registry that is written.
    #[command(flatten)]
    pub target: Connection,
}

/// Plans, does it, and looks whether it is done.
pub(super) async fn run(args: &Args) -> Outcome {
    let mapping = Mapping::parse(&args.contexts)?;
    let target = args.target.open()?;
    let contents = mapping.apply(read(args).await?);
    let existing = target.schemas(&Prefix::new(None, ""), true, false).await?;
    let plan = Plan::make(&contents, &existing);
    if !plan.conflicts.is_empty() {
        return Err(refusal(&plan.conflicts, &target));
    }
    let others: Vec<_> = plan.contexts.iter().filter(|(_, context)| context.others > 0).collect();
    if !others.is_empty() && !args.force {
        let counted = others.iter().map(|(name, context)| format!("{name} has {} other versions", context.others));
        return Err(Failure(format!(
            "{} is not empty: context {}\n--force imports beside them, --context-map .=.old into a context of its own.",
            target.url(),
            counted.collect::<Vec<_>>().join(", context ")
        )));
    }
    if args.dry_run {
        print_text(&table(&plan, ["TO REGISTER", "TO DELETE SOFTLY"]))?;
        return print_text(&format!("\nNothing was done. It would be {}.\n", contents.summary()));
    }
    let done = apply::run(&target, &contents, &plan, args.no_modes).await;
    let notes = done.map_err(|failure| Failure(format!("{}\n{}", failure.0.trim_end(), way_out(&plan, &target))))?;
    print_text(&table(&plan, ["REGISTERED", "DELETED SOFTLY"]))?;
    for note in notes {
        eprintln!("{} {note}", style::warning("warning:"));
    }
    print_text(&(style::good(&format!("✅ {} has {}, compared one by one", target.url(), contents.summary())) + "\n"))
}

async fn read(args: &Args) -> Result<Contents, Failure> {
    if let Some(url) = &args.origin.from {
        let source = args.origin.open(url, args.target.timeout)?;
        if source.url() == args.target.open()?.url() {
            return Err(Failure(format!("--from and --url are the same registry, {url}")));
        }
        return Ok(gather::everything(&source, &Prefix::new(None, &args.prefix)).await?);
    }
    match args.file.as_deref() {
        Some("-") | None => Contents::read("standard input", std::io::stdin().lock()),
        Some(name) => {
            let file = File::open(name).map_err(|error| format!("{name} can't be read: {error}"))?;
            Contents::read(name, BufReader::new(file))
        }
    }
}

/// Most conflicts that are told.
const MOST: usize = 20;

fn refusal(conflicts: &[String], target: &Registry) -> Failure {
    let mut told: Vec<_> = conflicts.iter().take(MOST).map(|one| format!("  {one}")).collect();
    if conflicts.len() > MOST {
        told.push(format!("  and {} more", conflicts.len() - MOST));
    }
    Failure(format!(
        "this can't be imported into {} as it is, and nothing was done:\n{}\n\
         --context-map .=.old imports into a context of its own, where ids are free.",
        target.url(),
        told.join("\n")
    ))
}

/// How to go on or back when an import ended in the middle.
fn way_out(plan: &Plan, target: &Registry) -> String {
    let url = target.url();
    let names: Vec<_> = plan.contexts.keys().map(String::as_str).collect();
    let modes = names.iter().map(|context| {
        let scope = super::name::whole(context);
        if scope.is_empty() {
            format!("  curl -X PUT {url}/mode -H 'content-type: application/json' -d '{{\"mode\": \"READWRITE\"}}'")
        } else {
            format!("  curl -X DELETE {url}/mode/{}", super::registry::escape(&scope))
        }
    });
    format!(
        "The import is not done. {url} is, or may be, in mode IMPORT in context {}: nobody else can register there.\n\
         To go on, run the same command again: what is there already is skipped.\n\
         To go back, delete what was imported if it is in the way, and end the mode:\n{}",
        names.join(", "),
        modes.collect::<Vec<_>>().join("\n")
    )
}

fn table(plan: &Plan, [register, delete]: [&str; 2]) -> String {
    let mut rows = vec![["CONTEXT", "SUBJECTS", "VERSIONS", register, "PRESENT", delete].map(str::to_owned).to_vec()];
    for (name, context) in &plan.contexts {
        let plan::Context { subjects, versions, register, delete, .. } = context;
        let present = versions - register;
        rows.push(vec![
            name.clone(),
            subjects.to_string(),
            versions.to_string(),
            register.to_string(),
            present.to_string(),
            delete.to_string(),
        ]);
    }
    columns(&rows)
}
