//! `prism frontend lint`.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use super::unused;
use crate::{
    cli::{Outcome, output::print_text, style},
    plan,
};
use prism_frontend::definition::{self, Texts};
use prism_yaml::{Position, Problem, Problems};

const EXAMPLES: &str = "\
Examples:
  prism frontend lint frontends/notes.yaml
  prism frontend lint frontends/*.yaml       check all definitions in CI

A definition that comes with Prism is checked by its name; `prism frontend list` shows the names. Exit code 0: all definitions
can be used, even if there are warnings. Exit code 1: there are problems.";

/// Arguments of `prism frontend lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Definitions to check. Each one names its OpenAPI document, or its GraphQL schema, which is checked too
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Prints problems and warnings as `file:line:column: message`.
pub(super) fn run(args: &Args) -> Outcome {
    let (mut out, mut count, mut verdicts) = (String::new(), 0, String::new());
    for file in &args.files {
        let (problems, verdict) = match Texts::find(file) {
            Err(problem) => {
                let problem = Problem { position: Position::WHOLE_FILE, message: format!("the file can't be read: {problem}") };
                (vec![Problems { file: file.clone(), list: vec![problem] }], String::new())
            }
            Ok(texts) => lint(&texts, &mut out),
        };
        count += problems.iter().map(|problems| problems.list.len()).sum::<usize>();
        for problems in &problems {
            // Writing into a String can't fail.
            let _ = writeln!(out, "{problems}");
        }
        verdicts.push_str(&verdict);
    }
    out.push_str(&verdicts);
    if count == 0 {
        return print_text(&out);
    }
    let noun = if count == 1 { "problem" } else { "problems" };
    let _ = writeln!(out, "{}", style::bad(&format!("❌ {count} {noun}")));
    print_text(&out)?;
    Ok(ExitCode::FAILURE)
}

/// Returns the problems of a definition and its document. If there are none, returns the verdict and writes the warnings.
fn lint(texts: &Texts, out: &mut String) -> (Vec<Problems>, String) {
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    if definition::header(&texts.text).is_graphql {
        return match plan::compile_graphql(texts) {
            Ok(compiled) => {
                let verdict = format!("✅ {}: {}", texts.name, counted(compiled.schema.mapped_fields().len(), "field"));
                (Vec::new(), style::good(&verdict) + "\n")
            }
            Err(problems) => (problems, String::new()),
        };
    }
    let compiled = plan::compile(texts, &BTreeMap::new());
    // The document is checked also if the definition has problems, so that all of them are reported at once.
    let checked = definition::check_document(texts);
    let (definition, mut document) = match (compiled, checked) {
        (Ok(definition), Ok(document)) => (definition, document),
        (Ok(_), Err(problems)) => return (problems, String::new()),
        (Err(problems), checked) => return (merge(problems, checked.err().unwrap_or_default()), String::new()),
    };
    let mut warnings = std::mem::take(&mut document.warnings);
    warnings.extend(unused::find_warnings(&definition, texts, &document));
    let mut count = 0;
    for Problems { file, list } in warnings {
        for warning in list {
            count += 1;
            let warning = Problem { message: format!("warning: {}", warning.message), position: warning.position };
            let _ = writeln!(out, "{}", Problems { file: file.clone(), list: vec![warning] });
        }
    }
    let mut verdict = format!("✅ {}: {}", texts.name, counted(definition.api.operations().count(), "operation"));
    if count > 0 {
        let _ = write!(verdict, ", {}", counted(count, "warning"));
    }
    (Vec::new(), style::good(&verdict) + "\n")
}

/// Joins two lists of problems. The second one has some problems of the first one, too.
fn merge(mut problems: Vec<Problems>, others: Vec<Problems>) -> Vec<Problems> {
    for other in others {
        match problems.iter_mut().find(|known| known.file == other.file) {
            Some(known) => {
                let known = &mut known.list;
                let fresh: Vec<Problem> = other.list.into_iter().filter(|problem| !known.contains(problem)).collect();
                known.extend(fresh);
                known.sort_by(|one, other| one.position.cmp(&other.position));
            }
            None => problems.push(other),
        }
    }
    problems
}
