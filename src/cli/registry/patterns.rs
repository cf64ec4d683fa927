//! `prism registry patterns`.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{LEGEND, status_sign};
use crate::cli::{
    Outcome,
    output::{Format, columns, list, print},
};
use prism_registry::{DriverStatus, Interface, Name, Pattern, Registry, Slot, SlotCheck, unknown_name};

/// The subcommands of `prism registry patterns`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List all patterns
    List,
    /// Describe a pattern: its slots, the backends that can fill them, its RPCs
    Describe {
        /// As `multicast-registry`
        name: String,
    },
    /// Find patterns by backends that can serve them, or by an interface that they use
    Find {
        /// Backends that together can fill all required slots
        #[arg(long, value_name = "BACKEND", required_unless_present = "interface")]
        backend: Vec<String>,
        /// An interface that one of the slots uses, as `keyvalue_scan`
        #[arg(long, value_name = "INTERFACE")]
        interface: Option<String>,
    },
}

pub(super) fn run(registry: &Registry, command: &Command, format: Format) -> Outcome {
    match command {
        Command::List => {
            let all = registry.patterns.iter().collect::<Vec<_>>();
            print(format, &all, || table(&all))
        }
        Command::Describe { name } => {
            let Some(pattern) = registry.pattern(name) else {
                return Err(unknown_name("pattern", name, registry.patterns.iter().map(|one| one.name.as_str())).into());
            };
            let fills = pattern.slots.iter().map(|(name, slot)| (name.as_str(), filled_by(registry, name, slot))).collect();
            let view = View { pattern, filled_by: fills, settings: pattern_settings(&pattern.name) };
            print(format, &view, || text(registry, pattern))
        }
        Command::Find { backend, interface } => {
            let found = find(registry, backend, interface.as_deref())?;
            print(format, &found, || if found.is_empty() { "no pattern matches\n".to_owned() } else { table(&found) })
        }
    }
}

#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    pattern: &'a Pattern,
    /// By slot: the kinds of backends whose drivers can fill it.
    filled_by: indexmap::IndexMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<PatternSetting>,
}

fn table(patterns: &[&Pattern]) -> String {
    let rows = patterns.iter().map(|pattern| {
        vec![pattern.name.to_string(), pattern.version.clone(), format!("{} {}", status_sign(pattern.executor), pattern.description)]
    });
    columns(&rows.collect::<Vec<_>>()) + LEGEND
}

fn find<'a>(registry: &'a Registry, backends: &[String], interface: Option<&str>) -> Result<Vec<&'a Pattern>, String> {
    let mut chosen = Vec::new();
    for name in backends {
        let all = registry.backends.iter().map(|one| one.name.as_str());
        chosen.push(registry.backend(name).ok_or_else(|| unknown_name("backend", name, all))?);
    }
    if let Some(name) = interface.filter(|name| registry.interface(name).is_none()) {
        let all = registry.interfaces().map(|one| one.name.as_str()).collect::<Vec<_>>();
        return Err(unknown_name("interface", name, all));
    }
    let serves = |pattern: &Pattern| {
        let mut needed = pattern.slots.iter().filter(|(_, slot)| !slot.optional);
        needed.all(|(name, slot)| chosen.iter().any(|backend| SlotCheck::new(name, slot, backend).is_satisfied()))
    };
    let uses = |pattern: &Pattern, interface: &str| pattern.slots.values().any(|slot| slot.interfaces().any(|name| **name == *interface));
    let wanted = |pattern: &&Pattern| (chosen.is_empty() || serves(pattern)) && interface.is_none_or(|interface| uses(pattern, interface));
    Ok(registry.patterns.iter().filter(wanted).collect())
}

fn filled_by<'a>(registry: &'a Registry, name: &str, slot: &Slot) -> Vec<&'a str> {
    let fills = registry.backends.iter().filter(|backend| SlotCheck::new(name, slot, backend).is_satisfied());
    fills.map(|backend| backend.name.as_str()).collect()
}

fn text(registry: &Registry, pattern: &Pattern) -> String {
    let mut out = format!("Pattern: {} {}\n  {}\n", pattern.name, pattern.version, pattern.description);
    // Writing into a String can't fail.
    let _ = writeln!(out, "  Executor: {}\n\nSlots:", pattern.executor);
    for (name, slot) in &pattern.slots {
        let need = if slot.optional { "optional" } else { "required" };
        let _ = writeln!(out, "  {name} ({need}):\n    {}", slot.description);
        let mut models = Vec::new();
        for model in slot.interfaces().filter_map(|name| registry.interface(name)).map(Interface::model) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let _ = writeln!(out, "    Interface: {}", list(models));
        let _ = write!(out, "{}", render_interfaces(registry, "Required", &slot.required_interfaces));
        for any in &slot.any_of {
            let _ = write!(out, "{}", render_interfaces(registry, "At least one of the", any));
        }
        let _ = write!(out, "{}", render_interfaces(registry, "Optional", &slot.optional_interfaces));
        let recommended = slot.recommended_backends.iter().map(|name| match registry.backend(name).map(|one| one.driver) {
            Some(DriverStatus::Implemented) => name.to_string(),
            _ => format!("{name} (no driver yet)"),
        });
        let _ = writeln!(out, "    Recommended backends: {}", list(recommended));
        let _ = writeln!(out, "    Filled by: {}\n", list(filled_by(registry, name, slot)));
    }
    let settings = pattern_settings(&pattern.name);
    if !settings.is_empty() {
        let rows = settings
            .iter()
            .map(|setting| vec![format!("  {}", setting.name), format!("default {}", setting.default), setting.description.clone()]);
        let _ = writeln!(out, "Settings:\n{}", columns(&rows.collect::<Vec<_>>()));
    }
    let api = &pattern.api;
    let _ = writeln!(out, "API: {} ({})\n  {}", api.service, api.status, list(&pattern.api.methods));
    out
}

/// A setting of a pattern.
#[derive(Serialize)]
struct PatternSetting {
    name: String,
    default: String,
    /// The first sentence of its documentation.
    description: String,
}

/// Returns the settings of a pattern of this build, from the JSON Schema of its settings.
fn pattern_settings(name: &str) -> Vec<PatternSetting> {
    let Some(pattern) = prism_pattern::find(name) else { return Vec::new() };
    let schema = (pattern.schema)().to_value();
    let describe = |(name, property): (&String, &Value)| {
        let text = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        let first = text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.').to_owned();
        let default = property["default"].as_str().map_or_else(|| property["default"].to_string(), str::to_owned);
        PatternSetting { name: name.clone(), default, description: first }
    };
    schema["properties"].as_object().into_iter().flatten().map(describe).collect()
}

/// Renders the interfaces, and on the next line the capabilities that they express.
fn render_interfaces(registry: &Registry, which: &str, names: &[Name]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let capabilities = names.iter().filter_map(|name| registry.interface(name)).map(|interface| interface.capability.as_str());
    let capabilities = capabilities.filter(|capability| *capability != "basic").collect::<Vec<_>>();
    let mut out = format!("    {which} interfaces: {}\n", list(names));
    if !capabilities.is_empty() {
        let _ = writeln!(out, "    {which} capabilities: {}", list(capabilities));
    }
    out
}
