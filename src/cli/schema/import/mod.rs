//! `prism schema import`.

mod apply;
mod keys;
mod mapping;
mod plan;
mod queue;
mod reject;
mod verify;

use std::{fs::File, io::BufReader};

use super::{
    connection::{RegistryOptions, SourceOptions},
    contents::RegistryContents,
    gather,
};
use crate::cli::{
    Failure, Outcome,
    output::{columns, print_note, print_text},
    style,
};
use apply::ImportOptions;
use mapping::ContextMapping;
use plan::{ContextPlan, ImportPlan};
use prism_registry_client::{RegistryClient, SubjectPrefix, context_scope, escape_segment};
use reject::Rejection;

const EXAMPLES: &str = "\
Examples:
  prism schema import --from http://old:8081 --dry-run      show what would be done
  prism schema import --from http://old:8081 --url http://new:8081
  prism schema import registry.ndjson --context-map .=.old  import the default context as .old

Ids, versions, references, metadata, rules, soft deletions, configurations, modes and keys are kept. During the import, each
context of the target is in the mode IMPORT. Up to 8 schemas are registered at the same time; the versions of a subject are
registered in order, and each schema after those that it refers to. A schema that exists with the same id is skipped, so you can
repeat an import that failed. Schemas that the target would reject are listed before anything is done; --skip-invalid leaves
them out. At the end, the target is read and compared with the source. docs/schema-registry.md describes a
migration step by step.";

/// Arguments of `prism schema import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// File of `prism schema export`; - is standard input
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<String>,

    /// Import only subjects whose names begin with this text, and the schemas that they refer to
    #[arg(short, long, value_name = "TEXT", requires = "from", default_value = "", hide_default_value = true)]
    pub prefix: String,

    /// Import context .A as context .B; may be repeated
    #[arg(long = "context-map", value_name = ".A=.B")]
    pub contexts: Vec<String>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Import even into contexts that have other schemas
    #[arg(long)]
    pub force: bool,

    /// What is left out.
    #[command(flatten)]
    pub options: ImportOptions,

    /// Options for the registry to read.
    #[command(flatten)]
    pub source: SourceOptions,

    /// Options for the registry to write.
    #[command(flatten)]
    pub target: RegistryOptions,
}

/// Makes a plan, carries it out, and compares the target with the source.
pub(super) async fn run(args: &Args) -> Outcome {
    let mapping = ContextMapping::parse(&args.contexts)?;
    let target = args.target.client()?;
    let contents = mapping.apply(read_source(args).await?);
    let existing = target.list_schemas(&SubjectPrefix::everything(), true, false).await?;
    let mut plan = ImportPlan::make(&contents, &existing);
    for schema in plan.register.clone() {
        if let Some(reason) = reject::check_size(&target, schema).await? {
            plan.reject(schema, reason);
        }
    }
    if !plan.conflicts.is_empty() {
        return Err(conflict_failure(&plan, &target));
    }
    if !plan.rejected.is_empty() && !args.options.skip_invalid {
        return Err(rejection_failure(&plan, &target));
    }
    let others: Vec<_> = plan.contexts.iter().filter(|(_, context)| context.others > 0).collect();
    if !others.is_empty() && !args.force {
        let counted = others.iter().map(|(name, context)| format!("{name} has {} other versions", context.others));
        return Err(Failure(format!(
            "{} is not empty: context {}\nTo import next to them, use --force. To import into a context of its own, use --context-map .=.old.",
            target.url(),
            counted.collect::<Vec<_>>().join(", context ")
        )));
    }
    if args.dry_run {
        print_text(&table(&plan, ["TO REGISTER", "TO DELETE SOFTLY"]))?;
        print_text(&skipped_summary("Would be skipped", &plan.rejected))?;
        return print_text(&format!("\nNothing was done. The import has {}.\n", contents.summary()));
    }
    let done = apply::run(&target, &contents, &plan, args.options).await;
    let (notes, rejected) = done.map_err(|failure| Failure(format!("{}\n{}", failure.0.trim_end(), recovery_advice(&plan, &target))))?;
    for rejection in rejected {
        plan.reject(rejection.schema, rejection.reason);
    }
    print_text(&table(&plan, ["REGISTERED", "DELETED SOFTLY"]))?;
    print_text(&skipped_summary("Skipped", &plan.rejected))?;
    for note in notes {
        print_note(format_args!("{} {note}", style::warning("warning:")));
    }
    let but = match plan.rejected.len() {
        0 => String::new(),
        count => format!(", except for {count} that were skipped"),
    };
    print_text(&(style::good(&format!("✅ {} has {}{but}, compared one by one", target.url(), contents.summary())) + "\n"))
}

async fn read_source(args: &Args) -> Result<RegistryContents, Failure> {
    if let Some(url) = &args.source.from {
        let source = args.source.client(url, args.target.timeout)?;
        if source.url() == args.target.client()?.url() {
            return Err(Failure(format!("--from and --url are the same registry, {url}")));
        }
        return Ok(gather::read_registry(&source, &SubjectPrefix::new(None, &args.prefix)).await?);
    }
    match args.file.as_deref() {
        Some("-") | None => RegistryContents::read("standard input", std::io::stdin().lock()),
        Some(name) => {
            let file = File::open(name).map_err(|error| format!("{name} can't be read: {error}"))?;
            RegistryContents::read(name, BufReader::new(file))
        }
    }
}

/// Most conflicts that are printed.
const MAX_PRINTED: usize = 20;

fn conflict_failure(plan: &ImportPlan<'_>, target: &RegistryClient) -> Failure {
    let conflicts = &plan.conflicts;
    let mut lines: Vec<_> = conflicts.iter().take(MAX_PRINTED).map(|one| format!("  {one}")).collect();
    if conflicts.len() > MAX_PRINTED {
        lines.push(format!("  and {} more", conflicts.len() - MAX_PRINTED));
    }
    let rejected = match plan.rejected.len() {
        0 => String::new(),
        count => format!("\nBesides, {count} of the schemas would be rejected:{}", reject::list(&plan.rejected)),
    };
    Failure(format!(
        "the import into {} has conflicts, and nothing was done:\n{}\n\
         To import into a context of its own, where all ids are free, use --context-map .=.old.{rejected}",
        target.url(),
        lines.join("\n")
    ))
}

fn rejection_failure(plan: &ImportPlan<'_>, target: &RegistryClient) -> Failure {
    Failure(format!(
        "{} would reject {} of the schemas, and nothing was done:{}\nTo import the others, use --skip-invalid.",
        target.url(),
        plan.rejected.len(),
        reject::list(&plan.rejected)
    ))
}

/// Lists what is skipped; empty if it is nothing.
fn skipped_summary(what: &str, rejected: &[Rejection<'_>]) -> String {
    if rejected.is_empty() { String::new() } else { format!("{what}: {} schemas{}\n", rejected.len(), reject::list(rejected)) }
}

/// Says how to continue or undo an import that failed in the middle.
fn recovery_advice(plan: &ImportPlan, target: &RegistryClient) -> String {
    let url = target.url();
    let names: Vec<_> = plan.contexts.keys().map(String::as_str).collect();
    let modes = names.iter().map(|context| {
        let scope = context_scope(context);
        if scope.is_empty() {
            format!("  curl -X PUT {url}/mode -H 'content-type: application/json' -d '{{\"mode\": \"READWRITE\"}}'")
        } else {
            format!("  curl -X DELETE {url}/mode/{}", escape_segment(&scope))
        }
    });
    format!(
        "The import is not complete. These contexts of {url} may be in the mode IMPORT, so that others can't register: {}\n\
         To continue, run the same command again. Schemas that were imported already are skipped.\n\
         To undo it, delete the imported schemas that you don't want, and end the mode:\n{}",
        names.join(", "),
        modes.collect::<Vec<_>>().join("\n")
    )
}

fn table(plan: &ImportPlan, [register, delete]: [&str; 2]) -> String {
    let mut rows = vec![["CONTEXT", "SUBJECTS", "VERSIONS", register, "PRESENT", delete].map(str::to_owned).to_vec()];
    for (name, context) in &plan.contexts {
        let ContextPlan { subjects, versions, register, delete, .. } = context;
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
