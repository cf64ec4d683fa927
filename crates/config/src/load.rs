//! Source → [`Config`], or everything that is wrong.

use std::{collections::BTreeSet, fs::File, io::Read, path::Path};

use super::{
    model::{Config, Origin},
    read,
    reader::Reader,
    source::{Known, Source, variable},
};
use prism_yaml::{self as yaml, Position, Problem, Problems};

/// A configuration is written by people; what is larger is something else.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Variables that are no settings: they stand for options of the command line.
const NO_SETTINGS: [&str; 2] = ["PRISM_CONFIG", "PRISM_ADDRESS"];

/// What `prism serve` starts on without a file: a durable namespace and one in memory.
pub const EMBEDDED: &str = include_str!("../../../examples/default.yaml");

/// A configuration as far as it could be read, and what is wrong with it.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong is left out, or the default.
    pub config: Config,
    /// Empty: the configuration is valid.
    pub problems: Problems,
}

/// Loads a valid configuration; the error has all problems at once.
pub fn load(source: &Source, known: &Known<'_>) -> Result<Config, Problems> {
    let Checked { config, problems } = check(source, known);
    if problems.list.is_empty() { Ok(config) } else { Err(problems) }
}

/// Reads a configuration and tells what is wrong with it.
pub fn check(source: &Source, known: &Known<'_>) -> Checked {
    let Some(path) = &source.file else {
        // A build without SQLite keeps everything in memory.
        let durable = known.driver("sqlite").is_some();
        let text =
            if durable { EMBEDDED.to_owned() } else { EMBEDDED.replace("{type: sqlite, path: prism-data/prism.db}", "{type: memory}") };
        return check_text("embedded configuration", &text, Origin::Embedded, source, known);
    };
    let file = path.display().to_string();
    match text(path) {
        Ok(text) => check_text(&file, &text, Origin::File(path.clone()), source, known),
        Err(message) => {
            let problem = Problem { position: Position::WHOLE_FILE, message };
            Checked { config: Config::default(), problems: Problems { file, list: vec![problem] } }
        }
    }
}

/// The same for a text that is no file; `name` stands in front of the problems.
pub fn check_text(name: &str, text: &str, origin: Origin, source: &Source, known: &Known<'_>) -> Checked {
    let (root, mut list) = yaml::parse(text);
    let reader = Reader::new(source, known);
    let mut config = read::config(&reader, &root, origin);
    let (problems, asked) = reader.finish();
    // Of what is no YAML nothing was read, so that everything would seem to be missing.
    let is_yaml = list.is_empty() || !matches!(root.value, yaml::Value::Null);
    if is_yaml {
        list.extend(problems);
        list.extend(unused_flags(source, &asked));
    }
    list.sort_by(|a, b| a.position.cmp(&b.position));
    config.warnings = unused_variables(source, &asked);
    Checked { config, problems: Problems { file: name.to_owned(), list } }
}

pub(super) fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("the file can't be read: {error}"))?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("the file can't be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("the file has more than {MAX_FILE_BYTES} bytes; is it the right one?"));
    }
    Ok(text)
}

fn unused_flags(source: &Source, asked: &BTreeSet<String>) -> Vec<Problem> {
    let unused = source.flags.iter().filter(|flag| !asked.contains(&variable(&flag.setting)));
    let problem = |flag: &super::Flag| Problem {
        position: Position::Named(flag.name.clone()),
        message: format!("this configuration has no `{}` that the option could set", flag.setting),
    };
    unused.map(problem).collect()
}

/// Variables of other programs may begin with `PRISM_` too, so only what looks like a mistake is told.
fn unused_variables(source: &Source, asked: &BTreeSet<String>) -> Vec<String> {
    let names = source.variables.0.keys().filter(|name| name.starts_with("PRISM_"));
    let unused = names.filter(|name| !asked.contains(*name) && !NO_SETTINGS.contains(&name.as_str()));
    let warning = |name: &String| {
        let (meant, _) = asked
            .iter()
            .map(|known| (known, strsim::osa_distance(known, name)))
            .filter(|(_, far)| *far <= 2)
            .min_by_key(|(_, far)| *far)?;
        Some(format!("the variable {name} sets nothing; did you mean {meant}?"))
    };
    unused.filter_map(warning).collect()
}
