//! Configurations, checked against the registry and the drivers of this build.

use super::{Failure, style};
use crate::driver::KINDS;
use prism_config::{self as config, Config, Definition, Driver, Known, Source};
use prism_frontend::definition;
use prism_registry::Registry;

/// All that this build knows.
pub fn known() -> Known<'static> {
    let driver = |kind: &&prism_driver::Kind| Driver { kind: kind.name.to_owned(), schema: (kind.schema)().to_value() };
    let definitions = definition::names().filter_map(|name| {
        let texts = definition::Texts::embedded(name)?;
        Some(Definition { name: name.to_owned(), text: texts.text })
    });
    Known { registry: Registry::embedded(), drivers: KINDS.iter().map(driver).collect(), definitions: definitions.collect() }
}

/// Loads a valid configuration and prints its warnings; the failure has all problems.
pub fn load(source: &Source) -> Result<Config, Failure> {
    let config = config::load(source, &known()).map_err(|problems| Failure(format!("the configuration is not valid\n{problems}")))?;
    for warning in &config.warnings {
        eprintln!("{} {warning}", style::warning("warning:"));
    }
    Ok(config)
}
