//! `prism frontend import`.

mod guess;
mod skeleton;
mod syntax;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use super::definition_source::format_problems;
use crate::{
    cli::{Failure, Outcome, output::print_text},
    plan,
};
use prism_frontend::definition::{self, DocumentFolders, Texts};
use prism_pattern::{self as pattern, PATTERNS};
use prism_registry::unknown_name;
use prism_yaml::Position;

const EXAMPLES: &str = "\
Examples:
  prism frontend import openapi/petstore.yaml --output frontends/petstore.yaml
  grep TODO frontends/petstore.yaml                     show the decisions that are left
  prism frontend lint frontends/petstore.yaml
  prism frontend import openapi/petstore.json           print the definition

Each operation becomes a route, with a TODO at each line that needs a decision. The RPC is a guess from name and method; its TODO
names other likely RPCs. Parameters and members are mapped to the fields with the same names.";

/// Arguments of `prism frontend import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// OpenAPI document, version 3.0 or 3.1, in YAML or JSON
    #[arg(value_name = "OPENAPI")]
    pub document: String,

    /// Pattern whose RPCs are called
    #[arg(short, long, value_name = "PATTERN", default_value = "keyvalue")]
    pub pattern: String,

    /// Definition to write; an existing file is not overwritten. Default: standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes a first definition for an OpenAPI document.
pub(super) fn run(args: &Args) -> Outcome {
    let text = definition::read(&args.document).map_err(|problem| Failure(format!("{} can't be read: {problem}", args.document)))?;
    let folders = DocumentFolders::of_files(&[&args.document]);
    let document = definition::document(&args.document, &text, &folders)
        .map_err(|problems| Failure(format!("{} can't be imported\n{}", args.document, format_problems(&problems))))?;
    let pattern = pattern::find(&args.pattern).ok_or_else(|| {
        let names: Vec<&str> = PATTERNS.iter().map(|pattern| pattern.name).collect();
        Failure(unknown_name("pattern", &args.pattern, names))
    })?;
    let methods = pattern.methods();
    let path = match &args.output {
        Some(output) => relative_path(output, &args.document),
        None => args.document.clone(),
    };
    let name = frontend_name(&args.document);
    let skeleton = skeleton::write(&name, &path, pattern.name, &document, &methods);
    let file = args.output.as_ref().map_or_else(|| format!("{name}.yaml"), |output| output.display().to_string());
    let texts = Texts { name: file.clone(), text: skeleton, document_name: args.document.clone(), document: Ok(text), folders };
    let skeleton = add_problems(&texts);
    let Some(output) = &args.output else { return print_text(&skeleton) };
    // Decisions in an existing file must not be lost.
    let created = fs::File::create_new(output).and_then(|mut file| file.write_all(skeleton.as_bytes()));
    created.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure(format!("{file} exists already; remove it, or choose another --output")),
        std::io::ErrorKind::NotFound => Failure(format!("{file} can't be written: its folder does not exist; create it first")),
        _ => Failure(format!("{file} can't be written: {error}")),
    })?;
    let todos = skeleton.matches("TODO:").count();
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    print_text(&format!(
        "{file}: {}, {}\nDecide each TODO, then run: prism frontend lint {file}\n",
        counted(document.operations.len(), "operation"),
        counted(todos, "TODO")
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Compiles the skeleton, and adds each problem to its line as a TODO.
fn add_problems(texts: &Texts) -> String {
    let problems = plan::compile(texts, &BTreeMap::new()).err().unwrap_or_default();
    let mut lines: Vec<String> = texts.text.lines().map(str::to_owned).collect();
    for problem in problems.iter().filter(|problems| problems.file == texts.name).flat_map(|problems| &problems.list) {
        let Position::File { line, .. } = problem.position else { continue };
        let index = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        if let Some(line) = lines.get_mut(index).filter(|line| !line.contains("TODO:")) {
            line.push_str("  # TODO: ");
            line.push_str(&problem.message.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    lines.join("\n") + "\n"
}

/// Makes the name of a frontend from the name of a file.
fn frontend_name(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    if name.trim_matches('-').is_empty() { "api".to_owned() } else { name.trim_matches('-').to_owned() }
}

/// Returns the path of the document, relative to the folder of the definition.
fn relative_path(output: &Path, document: &str) -> String {
    let (Ok(output), Ok(document)) = (std::path::absolute(output), std::path::absolute(document)) else { return document.to_owned() };
    let folder: Vec<Component<'_>> = output.parent().map(|folder| folder.components().collect()).unwrap_or_default();
    let target: Vec<Component<'_>> = document.components().collect();
    let shared = folder.iter().zip(&target).take_while(|(one, other)| one == other).count();
    let mut path = PathBuf::new();
    path.extend(folder.iter().skip(shared).map(|_| Component::ParentDir));
    path.extend(target.iter().skip(shared));
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_derived() {
        assert_eq!(frontend_name("openapi/Pet_Store.v2.json"), "pet-store-v2");
        assert_eq!(frontend_name("openapi/__.yaml"), "api");
        assert_eq!(relative_path(Path::new("frontends/pets.yaml"), "openapi/pets.yaml"), "../openapi/pets.yaml");
        assert_eq!(relative_path(Path::new("pets.yaml"), "api.json"), "api.json");
    }
}
