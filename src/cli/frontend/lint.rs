//! `prism frontend lint`.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use super::{document_tree::DocumentTree, unused};
use crate::{
    cli::{Outcome, output::print_text, style},
    plan,
};
use prism_frontend::definition::{Definition, Texts};
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
    /// Definitions to check. Each one names its OpenAPI document, which is checked too
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
    let definition = match plan::compile(texts, &BTreeMap::new()) {
        Ok(definition) => definition,
        Err(problems) => return (problems, String::new()),
    };
    let document = DocumentTree::parse(texts.document.as_deref().unwrap_or_default());
    let problems = schema_problems(&definition, &document);
    if !problems.is_empty() {
        return (vec![Problems { file: texts.document_name.clone(), list: problems }], String::new());
    }
    let warnings = unused::find_warnings(&definition, texts, &document);
    for (file, warning) in &warnings {
        let warning = Problem { message: format!("warning: {}", warning.message), position: warning.position.clone() };
        let _ = writeln!(out, "{}", Problems { file: file.clone(), list: vec![warning] });
    }
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut verdict = format!("✅ {}: {}", texts.name, counted(definition.api.operations().count(), "operation"));
    if !warnings.is_empty() {
        let _ = write!(verdict, ", {}", counted(warnings.len(), "warning"));
    }
    (Vec::new(), style::good(&verdict) + "\n")
}

/// Returns the schemas that can't be compiled. Requests could not be validated against them.
fn schema_problems(definition: &Definition, document: &DocumentTree) -> Vec<Problem> {
    let endpoints = definition.api.operations().map(|(_, _, endpoint)| endpoint);
    let problems = endpoints.flat_map(|endpoint| {
        let position = document.operation_position(&endpoint.name);
        let to_problem =
            move |problem| Problem { position: position.clone(), message: format!("{}: a schema can't be used: {problem}", endpoint.name) };
        endpoint.parameters.checks.problems().into_iter().map(to_problem)
    });
    problems.collect()
}
