//! Finding a definition by a name on the command line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    cli::{Failure, known},
    plan,
};
use prism_config::{self as config, Config, FrontendKind, Origin, Source};
use prism_frontend::definition::{self, Definition, Texts};
use prism_graphql::GraphqlDefinition;
use prism_registry::unknown_name;
use prism_yaml::Problems;

/// The option for the configuration file.
#[derive(Debug, clap::Args)]
pub struct ConfigOption {
    /// Configuration file. Default: ./prism.yaml if it exists, otherwise the embedded configuration
    #[arg(short, long, value_name = "FILE", env = "PRISM_CONFIG")]
    pub config: Option<PathBuf>,
}

impl ConfigOption {
    /// Reads the valid part of the configuration. `prism validate` reports its problems.
    pub fn read_config(&self) -> Config {
        config::check(&Source::find(self.config.clone()), &known()).config
    }
}

/// A definition, with the settings that the configuration has for it.
#[derive(Debug)]
pub struct DefinitionSource {
    /// The definition and its OpenAPI document.
    pub texts: Texts,
    /// The settings of the frontend in the configuration.
    pub settings: BTreeMap<String, Value>,
}

impl DefinitionSource {
    /// Finds a definition by its file, by the name of a frontend in the configuration, or by the name of a definition that comes
    /// with Prism.
    pub fn find(name: &str, option: &ConfigOption) -> Result<Self, Failure> {
        if name.contains(['/', '.', '\\']) || Path::new(name).is_file() {
            return Ok(Self { texts: read(name)?, settings: BTreeMap::new() });
        }
        let config = option.read_config();
        let frontends = &config.frontends;
        if let Some(frontend) = frontends.get(name) {
            let Some(definition) = &frontend.definition else { return Err(no_definition(name)) };
            let texts = Texts::embedded(definition).map_or_else(|| read(&definition_path(&config, definition)), Ok)?;
            return Ok(Self { texts, settings: frontend.settings.clone() });
        }
        if let Some(texts) = Texts::embedded(name) {
            return Ok(Self { texts, settings: BTreeMap::new() });
        }
        if FrontendKind::ALL.iter().any(|kind| kind.name() == name) {
            return Err(no_definition(name));
        }
        let defined = frontends.iter().filter(|(_, frontend)| frontend.definition.is_some()).map(|(name, _)| name.as_str());
        let embedded = definition::names().collect::<Vec<_>>();
        let names: Vec<&str> = defined.chain(embedded.iter().copied()).collect();
        let problem = if names.is_empty() { format!("there is no frontend `{name}`") } else { unknown_name("frontend", name, names) };
        Err(Failure(format!("{problem}\nA definition can also be named by its file, such as frontends/{name}.yaml.")))
    }

    /// Compiles the definition of an HTTP API. A failure lists all problems.
    pub fn compile(&self) -> Result<Definition, Failure> {
        let name = &self.texts.name;
        if definition::header(&self.texts.text).is_graphql {
            return Err(Failure(format!(
                "{name} is a GraphQL API; `prism frontend describe {name}` shows its fields, and `prism frontend sdl --definition {name}` its schema"
            )));
        }
        plan::compile(&self.texts, &self.settings).map_err(|problems| self.unusable(&problems))
    }

    /// Compiles the definition of a GraphQL API. A failure lists all problems.
    pub fn compile_graphql(&self) -> Result<GraphqlDefinition, Failure> {
        if !definition::header(&self.texts.text).is_graphql {
            return Err(Failure(format!("{} is no GraphQL API; its `type` is not `graphql`", self.texts.name)));
        }
        plan::compile_graphql(&self.texts).map_err(|problems| self.unusable(&problems))
    }

    fn unusable(&self, problems: &[Problems]) -> Failure {
        Failure(format!("{} can't be used\n{}", self.texts.name, format_problems(problems)))
    }
}

/// Returns the path of a definition's file, which is relative to the folder of the configuration file.
pub fn definition_path(config: &Config, definition: &str) -> String {
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
        "the frontend {name} has no definition, because it is a built-in protocol of each pattern; `prism registry patterns list` shows \
         the patterns, and the files in proto/prism/patterns show their RPCs"
    ))
}

/// Formats the problems of several files, one on each line.
pub fn format_problems(problems: &[Problems]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
