//! `prism frontend import`.

mod guess;
mod skeleton;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use crate::{
    app,
    cli::{Failure, Outcome, output::print_text},
};
use prism_call::{Method, proto};
use prism_frontend::definition::{self, Texts};
use prism_pattern::{self as pattern, PATTERNS};
use prism_registry::unknown_name;
use prism_yaml::Position;

const EXAMPLES: &str = "\
Examples:
  prism frontend import openapi/petstore.yaml --output frontends/petstore.yaml
  grep TODO frontends/petstore.yaml                     what is left to decide
  prism frontend lint frontends/petstore.yaml
  prism frontend import openapi/petstore.json           to standard output

Every operation becomes a route, with a TODO at each place that needs a decision: the RPC is a guess by name and method, the
others that are likely stand beside it; parameters and members go to the fields that have their names.";

/// Arguments of `prism frontend import`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The OpenAPI document, 3.0 or 3.1, YAML or JSON
    #[arg(value_name = "OPENAPI")]
    pub document: String,

    /// The pattern whose RPCs are to be called
    #[arg(short, long, value_name = "PATTERN", default_value = "keyvalue")]
    pub pattern: String,

    /// The definition to write; a file that is there is not touched. Default: standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let text = definition::read(&args.document).map_err(|problem| Failure(format!("{} can't be read: {problem}", args.document)))?;
    let document = definition::document(&args.document, &text)
        .map_err(|problems| Failure(format!("{} can't be imported\n{problems}", args.document)))?;
    let pattern = pattern::find(&args.pattern).ok_or_else(|| {
        let names: Vec<&str> = PATTERNS.iter().map(|pattern| pattern.name).collect();
        Failure(unknown_name("pattern", &args.pattern, names))
    })?;
    let methods = Method::of_service(proto::descriptors(), pattern.service).unwrap_or_default();
    let path = match &args.output {
        Some(output) => relative(output, &args.document),
        None => args.document.clone(),
    };
    let name = name_of(&args.document);
    let skeleton = skeleton::write(&name, &path, pattern.name, &document, &methods);
    let file = args.output.as_ref().map_or_else(|| format!("{name}.yaml"), |output| output.display().to_string());
    let skeleton = told(&file, skeleton, &args.document, &text);
    let Some(output) = &args.output else { return print_text(&skeleton) };
    // Decisions that were made must not be lost.
    let created = fs::File::create_new(output).and_then(|mut file| file.write_all(skeleton.as_bytes()));
    created.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure(format!("{file} is there already; remove it, or choose another --output")),
        std::io::ErrorKind::NotFound => Failure(format!("{file} can't be written: its folder does not exist; make it first")),
        _ => Failure(format!("{file} can't be written: {error}")),
    })?;
    let todos = skeleton.matches("TODO:").count();
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    print_text(&format!(
        "{file}: {}, {}\nDecide what is marked with TODO, then: prism frontend lint {file}\n",
        counted(document.operations.len(), "operation"),
        counted(todos, "TODO")
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The skeleton with a TODO at each line that the compiler finds something wrong with.
fn told(file: &str, skeleton: String, document_name: &str, document: &str) -> String {
    let texts = Texts { name: file.to_owned(), text: skeleton, document_name: document_name.to_owned(), document: Ok(document.to_owned()) };
    let problems = app::compile(&texts, &BTreeMap::new()).err().unwrap_or_default();
    let mut lines: Vec<String> = texts.text.lines().map(str::to_owned).collect();
    for problem in problems.iter().filter(|problems| problems.file == file).flat_map(|problems| &problems.list) {
        let Position::File { line, .. } = problem.position else { continue };
        let position = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        if let Some(line) = lines.get_mut(position).filter(|line| !line.contains("TODO:")) {
            line.push_str("  # TODO: ");
            line.push_str(&problem.message.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    lines.join("\n") + "\n"
}

/// A name of a frontend of the name of a file.
fn name_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    if name.trim_matches('-').is_empty() { "api".to_owned() } else { name.trim_matches('-').to_owned() }
}

/// The path of a document as the definition in `output` has to say it.
fn relative(output: &Path, document: &str) -> String {
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
    fn names_and_paths_are_found() {
        assert_eq!(name_of("openapi/Pet_Store.v2.json"), "pet-store-v2");
        assert_eq!(name_of("openapi/__.yaml"), "api");
        assert_eq!(relative(Path::new("frontends/pets.yaml"), "openapi/pets.yaml"), "../openapi/pets.yaml");
        assert_eq!(relative(Path::new("pets.yaml"), "api.json"), "api.json");
    }
}
