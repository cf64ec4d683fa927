//! Configurations, checked against the registry and the drivers of this build.

use super::{Failure, style};
use crate::{driver::KINDS, plan::Plan};
use prism_config::{self as config, Config, Definition, Driver, Known, Source};
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
    Known {
        registry: Registry::embedded(),
        drivers: KINDS.iter().map(driver).collect(),
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
    /// `None` if there are problems.
    pub plan: Option<Plan>,
}

/// Reads a configuration and makes the plan of a start.
pub fn check(source: &Source, known: &Known<'_>) -> CheckedPlan {
    let config::Checked { config, problems: mut own } = config::check(source, known);
    let (plan, further) = match Plan::new(&config) {
        Ok(plan) => (Some(plan), Vec::new()),
        Err(problems) => (None, problems),
    };
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
    CheckedPlan { plan: plan.filter(|_| problems.is_empty()), config, problems }
}

/// Loads a valid configuration and prints its warnings. The failure has every problem in the file.
pub fn load(source: &Source) -> Result<Config, Failure> {
    let config = config::load(source, &known()).map_err(|problems| invalid(&[problems]))?;
    print_warnings(&config);
    Ok(config)
}

/// Loads a valid configuration with the plan of its start, and prints its warnings. The failure has every problem.
pub fn load_plan(source: &Source) -> Result<(Config, Plan), Failure> {
    let CheckedPlan { config, problems, plan } = check(source, &known());
    let plan = plan.ok_or_else(|| invalid(&problems))?;
    print_warnings(&config);
    Ok((config, plan))
}

fn invalid(problems: &[Problems]) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure(format!("the configuration is not valid\n{}", lines.join("\n")))
}

fn print_warnings(config: &Config) {
    for warning in &config.warnings {
        eprintln!("{} {warning}", style::warning("warning:"));
    }
}
