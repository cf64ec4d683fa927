//! Configurations, checked against the registry and the drivers of this build.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Failure, output::print_note, style};
use crate::{driver::KINDS, plan::Plan};
use prism_config::{self as config, AuthenticatorKind, Config, DecisionPointKind, Definition, Driver, Known, Origin, Source};
use prism_frontend::definition;
use prism_pattern::PATTERNS;
use prism_registry::Registry;
use prism_yaml::Problems;

/// Returns what configurations are checked against.
pub fn known() -> Known<'static> {
    let driver = |kind: &&prism_driver::Kind| Driver { kind: kind.name.to_owned(), schema: (kind.schema)().to_value(), check: kind.check };
    let definitions = definition::names().filter_map(|name| {
        let texts = definition::Texts::embedded(name)?;
        Some(Definition { name: name.to_owned(), text: texts.text })
    });
    let pattern = |pattern: &&prism_pattern::Pattern| config::Pattern {
        name: pattern.name.to_owned(),
        schema: (pattern.schema)().to_value(),
        check: pattern.check,
    };
    let authenticator = |kind: &prism_access::AuthenticatorKind| AuthenticatorKind {
        name: kind.name.to_owned(),
        schema: (kind.schema)().to_value(),
        check: kind.check,
    };
    Known {
        registry: Registry::embedded(),
        drivers: KINDS.iter().map(driver).collect(),
        authenticators: prism_access::KINDS.iter().map(authenticator).collect(),
        decision_point: DecisionPointKind {
            schema: prism_access::decision_point_schema().to_value(),
            check: prism_access::check_decision_point,
        },
        patterns: PATTERNS.iter().map(pattern).collect(),
        definitions: definitions.collect(),
    }
}

/// A configuration, and every problem that a start would find without connections and ports.
pub struct CheckedPlan {
    /// What could be read.
    pub config: Config,
    /// One entry for each file. Empty if the configuration is valid.
    pub problems: Vec<Problems>,
    /// Can be served only if there are no problems.
    pub plan: Plan,
}

/// A configuration and its plan, or the problems; and the files that were read.
pub struct Loaded {
    /// What can be served.
    pub result: Result<(Config, Plan), Failure>,
    /// The files that were read. If one of them changes, the result may be another one.
    pub files: BTreeSet<PathBuf>,
}

/// Reads a configuration and makes the plan of a start.
pub fn check(source: &Source, known: &Known<'_>) -> CheckedPlan {
    let config::Checked { config, problems: mut own } = config::check(source, known);
    let (plan, further) = Plan::new(&config);
    let mut definitions = Vec::new();
    for problems in further {
        if problems.file == own.file {
            let new = problems.list.into_iter().filter(|one| own.list.iter().all(|other| other.position != one.position));
            let new = new.collect::<Vec<_>>();
            own.list.extend(new);
        } else {
            definitions.push(problems);
        }
    }
    own.list.sort_by(|a, b| a.position.cmp(&b.position));
    let problems: Vec<_> = Some(own).filter(|own| !own.list.is_empty()).into_iter().chain(definitions).collect();
    CheckedPlan { config, problems, plan }
}

/// Loads a valid configuration and prints its warnings. The failure has every problem in the file.
pub fn load(source: &Source) -> Result<Config, Failure> {
    let config = config::load(source, &known()).map_err(|problems| invalid(&[problems]))?;
    print_warnings(&config);
    Ok(config)
}

/// Loads a configuration with the plan of its start, and prints its warnings. The failure has every problem.
pub fn load_plan(source: &Source) -> Loaded {
    let CheckedPlan { config, problems, plan } = check(source, &known());
    let own = match &config.origin {
        Origin::File(path) => Some(path.clone()),
        Origin::Embedded => None,
    };
    let files = own.into_iter().chain(config.files.iter().chain(plan.files()).cloned()).collect();
    if !problems.is_empty() {
        return Loaded { result: Err(invalid(&problems)), files };
    }
    print_warnings(&config);
    Loaded { result: Ok((config, plan)), files }
}

fn invalid(problems: &[Problems]) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure(format!("the configuration is not valid\n{}", lines.join("\n")))
}

fn print_warnings(config: &Config) {
    for warning in &config.warnings {
        print_note(format_args!("{} {warning}", style::warning("warning:")));
    }
}
