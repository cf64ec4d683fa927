//! `prism frontend lint`.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use super::unused;
use crate::{
    app,
    cli::{Outcome, output::print_text, style},
};
use prism_frontend::definition::{Definition, Texts};
use prism_yaml::{self as yaml, Node, Position, Problem, Problems, Value};

const EXAMPLES: &str = "\
Examples:
  prism frontend lint frontends/notes.yaml
  prism frontend lint frontends/*.yaml       as a step of CI
  prism frontend lint consul-kv              one that comes with Prism, by its name

Warnings are no failure. Exit code 0: all can be served, 1: there are problems.";

/// Arguments of `prism frontend lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Definitions; the OpenAPI document of each is read from where the definition says
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// Prints every problem as `file:line:column: message`, and warnings likewise.
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

/// The problems of a definition and of its document; else its warnings, and that it is fine.
fn lint(texts: &Texts, out: &mut String) -> (Vec<Problems>, String) {
    let definition = match app::compile(texts, &BTreeMap::new()) {
        Ok(definition) => definition,
        Err(problems) => return (problems, String::new()),
    };
    let document = Tree::of(texts.document.as_deref().unwrap_or_default());
    let problems = schemas(&definition, &document);
    if !problems.is_empty() {
        return (vec![Problems { file: texts.document_name.clone(), list: problems }], String::new());
    }
    let warnings = unused::find(&definition, texts, &document);
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

/// Schemas that can't be compiled: a request would not be held against them.
fn schemas(definition: &Definition, document: &Tree) -> Vec<Problem> {
    let endpoints = definition.api.operations().map(|(_, _, endpoint)| endpoint);
    let problems = endpoints.flat_map(|endpoint| {
        let position = document.position(&endpoint.name);
        let told =
            move |problem| Problem { position: position.clone(), message: format!("{}: a schema can't be used: {problem}", endpoint.name) };
        endpoint.parameters.checks.problems().into_iter().map(told)
    });
    problems.collect()
}

/// A document with the places of its operations.
pub(super) struct Tree {
    /// All of it.
    pub root: Node,
    operations: Vec<(String, Position)>,
}

impl Tree {
    fn of(text: &str) -> Self {
        let (root, _) = yaml::parse(text);
        let mut operations = Vec::new();
        for (path, item) in entries(root.get("paths")) {
            for (method, operation) in entries(Some(item)) {
                let id = operation.get("operationId").and_then(Node::text).map(str::to_owned);
                operations
                    .push((id.unwrap_or_else(|| format!("{} {}", method.name.to_ascii_uppercase(), path.name)), method.position.clone()));
            }
        }
        Self { root, operations }
    }

    /// Where an operation stands.
    pub fn position(&self, operation: &str) -> Position {
        self.operations.iter().find(|(name, _)| name == operation).map_or(Position::WHOLE_FILE, |(_, position)| position.clone())
    }
}

/// The entries of a mapping.
pub(super) fn entries(node: Option<&Node>) -> &[(yaml::Key, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}
