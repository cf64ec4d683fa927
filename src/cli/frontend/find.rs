//! Definitions by the names that people have for them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    app,
    cli::{Failure, known},
};
use prism_config::{self as config, Config, FrontendKind, Origin, Source};
use prism_frontend::definition::{self, Definition, Texts};
use prism_registry::unknown_name;
use prism_yaml::Problems;

/// Which configuration counts.
#[derive(Debug, clap::Args)]
pub struct Configuration {
    /// The configuration. Default: ./prism.yaml if it is there, else the embedded one
    #[arg(short, long, value_name = "FILE", env = "PRISM_CONFIG")]
    pub config: Option<PathBuf>,
}

impl Configuration {
    /// As much of it as can be read: what is wrong with it is the business of `prism validate`.
    pub fn read(&self) -> Config {
        config::check(&Source::find(self.config.clone()), &known()).config
    }
}

/// A definition that was found, with what the configuration decides for it.
#[derive(Debug)]
pub struct Found {
    /// Its texts.
    pub texts: Texts,
    /// What the frontend of the configuration decides.
    pub settings: BTreeMap<String, Value>,
}

impl Found {
    /// By a file, the name of a frontend of the configuration, or the name of a definition that comes with Prism.
    pub fn by_name(name: &str, configuration: &Configuration) -> Result<Self, Failure> {
        if name.contains(['/', '.', '\\']) || Path::new(name).is_file() {
            return Ok(Self { texts: read(name)?, settings: BTreeMap::new() });
        }
        let config = configuration.read();
        let frontends = &config.frontends;
        if let Some(frontend) = frontends.get(name) {
            let Some(definition) = &frontend.definition else { return Err(no_definition(name)) };
            let texts = Texts::embedded(definition).map_or_else(|| read(&located(&config, definition)), Ok)?;
            return Ok(Self { texts, settings: frontend.settings.clone() });
        }
        if let Some(texts) = Texts::embedded(name) {
            return Ok(Self { texts, settings: BTreeMap::new() });
        }
        if FrontendKind::ALL.iter().any(|kind| kind.name() == name) {
            return Err(no_definition(name));
        }
        let defined = frontends.iter().filter(|(_, frontend)| frontend.definition.is_some()).map(|(name, _)| name.as_str());
        let comes_with = definition::names().collect::<Vec<_>>();
        let names: Vec<&str> = defined.chain(comes_with.iter().copied()).collect();
        let told = if names.is_empty() { format!("there is no frontend `{name}`") } else { unknown_name("frontend", name, names) };
        Err(Failure(format!("{told}\nA definition is also named by its file, as frontends/{name}.yaml.")))
    }

    /// The definition, compiled; else the failure has all problems.
    pub fn compile(&self) -> Result<Definition, Failure> {
        app::compile(&self.texts, &self.settings)
            .map_err(|problems| Failure(format!("{} can't be used\n{}", self.texts.name, lines(&problems))))
    }
}

/// The path of a definition's file, which starts where the configuration is.
pub fn located(config: &Config, definition: &str) -> String {
    match &config.origin {
        Origin::File(file) if Texts::embedded(definition).is_none() => {
            file.parent().unwrap_or(Path::new("")).join(definition).display().to_string()
        }
        _ => definition.to_owned(),
    }
}

fn read(file: &str) -> Result<Texts, Failure> {
    Texts::read(file).map_err(|problem| Failure(format!("{file} can't be read: {problem}")))
}

fn no_definition(name: &str) -> Failure {
    Failure(format!(
        "the frontend {name} has no definition: it is the pattern's own protocol; \
         `prism registry patterns list` shows the patterns, and the files in proto/prism/patterns their RPCs"
    ))
}

/// Problems of several files, one on each line.
pub fn lines(problems: &[Problems]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
