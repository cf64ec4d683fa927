//! Loads a [`Config`] from a source, or returns all problems.

use std::collections::BTreeSet;

use super::{
    file::read_text,
    model::{Config, Origin},
    read,
    reader::{Outcome, Reader},
    source::{Known, Source, variable},
};
use prism_yaml::{self as yaml, Node, Position, Problem, Problems};

/// Variables that are not settings, but defaults of command-line options.
const NO_SETTINGS: [&str; 2] = ["PRISM_CONFIG", "PRISM_ADDRESS"];

/// The configuration of `prism serve` without a file: a durable namespace and one in memory.
pub const EMBEDDED: &str = include_str!("../../../examples/default.yaml");

/// A configuration and its problems.
#[derive(Debug)]
pub struct Checked {
    /// Settings with problems are absent or have their defaults.
    pub config: Config,
    /// Empty if the configuration is valid.
    pub problems: Problems,
}

/// Loads a valid configuration. The error has all problems.
pub fn load(source: &Source, known: &Known<'_>) -> Result<Config, Problems> {
    let Checked { config, problems } = check(source, known);
    if problems.list.is_empty() { Ok(config) } else { Err(problems) }
}

/// Reads a configuration and checks it.
pub fn check(source: &Source, known: &Known<'_>) -> Checked {
    let Some(path) = &source.file else {
        // A build without SQLite keeps everything in memory.
        let durable = known.driver("sqlite").is_some();
        let text =
            if durable { EMBEDDED.to_owned() } else { EMBEDDED.replace("{type: sqlite, path: prism-data/prism.db}", "{type: memory}") };
        return check_text(&text, Origin::Embedded, source, known);
    };
    let origin = Origin::File(path.clone());
    match read_text(path) {
        Ok(text) => check_text(&text, origin, source, known),
        Err(message) => {
            let problems = Problems { file: origin.to_string(), list: vec![Problem { position: Position::WHOLE_FILE, message }] };
            Checked { config: Config { origin, ..Config::default() }, problems }
        }
    }
}

/// Reads a configuration from a text. `origin` is the name in front of the problems.
pub fn check_text(text: &str, origin: Origin, source: &Source, known: &Known<'_>) -> Checked {
    let (root, mut list) = yaml::parse(text);
    let reader = Reader::new(source, known);
    let file = origin.to_string();
    let mut config = read::config(&reader, &root, origin);
    let Outcome { problems, used, positions, files, .. } = reader.finish();
    // The tree of a text that is not YAML is empty, so every required setting would be reported as missing.
    let is_yaml = list.is_empty() || !matches!(root.value, yaml::Value::Null);
    if is_yaml {
        list.extend(problems);
        list.extend(unused_flags(source, &used));
    }
    list.sort_by(|a, b| a.position.cmp(&b.position));
    config.warnings = unused_variables(source, known, &root, &used);
    config.positions = positions;
    config.files = files;
    Checked { config, problems: Problems { file, list } }
}

fn unused_flags(source: &Source, used: &BTreeSet<String>) -> Vec<Problem> {
    let unused = source.flags.iter().filter(|flag| !used.contains(&variable(&flag.setting)));
    let problem = |flag: &super::Flag| Problem {
        position: Position::Named(flag.name.clone()),
        message: format!("this configuration has no `{}` that the option could set", flag.setting),
    };
    unused.map(problem).collect()
}

/// Returns a warning for each variable that looks like a misspelled one. Variables of other programs may begin with `PRISM_` too.
fn unused_variables(source: &Source, known: &Known<'_>, root: &Node, used: &BTreeSet<String>) -> Vec<String> {
    let names = source.variables.0.keys().filter(|name| name.starts_with("PRISM_"));
    let unused: Vec<_> = names.filter(|name| !used.contains(*name) && !NO_SETTINGS.contains(&name.as_str())).collect();
    if unused.is_empty() {
        return Vec::new();
    }
    let reader = Reader::new(source, known).recording_variables();
    read::config(&reader, root, Origin::Embedded);
    let asked = reader.finish().asked;
    let warning = |name: &&String| {
        let (meant, _) = asked
            .iter()
            .map(|known| (known, strsim::osa_distance(known, name)))
            .filter(|(_, far)| *far <= 2)
            .min_by_key(|(_, far)| *far)?;
        Some(format!("the variable {name} sets nothing; did you mean {meant}?"))
    };
    unused.iter().filter_map(warning).collect()
}
