//! `prism registry backends`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{LEGEND, count, driver_sign};
use crate::cli::{
    Outcome,
    output::{Format, columns, list, print},
};
use prism_registry::{Backend, DriverStatus, Interface, Match, Model, Name, Query, Registry, SlotCheck, unknown_name};

/// The subcommands of `prism registry backends`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List all kinds of backends
    List,
    /// Describe a kind of backend: its connection, interfaces, and the slots that it can fill
    Describe {
        /// As `redis`
        name: String,
    },
    /// Find backends by interfaces and capabilities, those with a driver first
    Find {
        /// An interface, as `keyvalue_scan`, or a data model, as `keyvalue`; all of them are needed
        #[arg(long, value_name = "INTERFACE", required_unless_present = "capability")]
        interface: Vec<String>,
        /// A capability, as `scan_support`; all of them are needed
        #[arg(long, value_name = "CAPABILITY")]
        capability: Vec<String>,
        /// Omit planned interfaces
        #[arg(long)]
        available: bool,
    },
}

pub(super) fn run(registry: &Registry, command: &Command, format: Format) -> Outcome {
    match command {
        Command::List => print(format, &registry.backends, || table(registry)),
        Command::Describe { name } => {
            let Some(backend) = registry.backend(name) else {
                return Err(unknown_name("backend", name, registry.backends.iter().map(|one| one.name.as_str())).into());
            };
            let fits = fits(registry, backend);
            print(format, &View { backend, fits: &fits }, || text(registry, backend, &fits))
        }
        Command::Find { interface, capability, available } => {
            find(registry, &Query { interfaces: interface.clone(), capabilities: capability.clone() }, *available, format)
        }
    }
}

fn table(registry: &Registry) -> String {
    let rows = registry.backends.iter().map(|backend| {
        let (done, more) = (backend.implements.len(), backend.planned.len());
        let counted = match (done, more) {
            (0, more) => format!("{} planned", count(more, "interface")),
            (done, 0) => count(done, "interface").into_owned(),
            (done, more) => format!("{}, {more} planned", count(done, "interface")),
        };
        let names = if done > 0 { &backend.implements } else { &backend.planned };
        vec![backend.name.to_string(), format!("{} {counted}", driver_sign(backend.driver)), list(models(registry, names))]
    });
    columns(&rows.collect::<Vec<_>>()) + LEGEND
}

/// `KeyValue 6, PubSub 2`
fn models(registry: &Registry, names: &[Name]) -> Vec<String> {
    let counted = registry.models.iter().map(|model| {
        let there = model.interfaces.iter().filter(|interface| names.contains(&interface.name)).count();
        (there > 0).then(|| format!("{} {there}", model.title))
    });
    counted.flatten().collect()
}

/// A slot that the backend can fill.
#[derive(Serialize)]
struct Fit<'a> {
    pattern: &'a str,
    slot: &'a str,
}

#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    backend: &'a Backend,
    fits: &'a [Fit<'a>],
}

fn fits<'a>(registry: &'a Registry, backend: &Backend) -> Vec<Fit<'a>> {
    let mut fits = Vec::new();
    for pattern in &registry.patterns {
        for (name, slot) in &pattern.slots {
            if SlotCheck::new(name, slot, backend).is_satisfied() {
                fits.push(Fit { pattern: &pattern.name, slot: name });
            }
        }
    }
    fits
}

fn text(registry: &Registry, backend: &Backend, fits: &[Fit<'_>]) -> String {
    let mut out = format!("Backend: {} ({})\n  {}\n  Driver: {}\n", backend.name, backend.title, backend.description, backend.driver);
    // Writing into a String can't fail.
    if let Some(connection) = &backend.connection {
        let _ = writeln!(out, "  Connection: {}: {}", connection.setting, connection.format);
        let _ = writeln!(out, "    Example: {}", connection.example);
    }
    if !backend.settings.is_empty() {
        let rows = backend.settings.iter().map(|setting| {
            let default = match &setting.default {
                None => String::new(),
                Some(serde_json::Value::String(text)) => format!("default {text}"),
                Some(value) => format!("default {value}"),
            };
            vec![format!("    {}", setting.name), setting.kind.to_string(), default, setting.description.clone()]
        });
        let _ = write!(out, "  Settings:\n{}", columns(&rows.collect::<Vec<_>>()));
    }
    for (title, names) in [("Implements", &backend.implements), ("Planned", &backend.planned)] {
        if !names.is_empty() {
            let _ = write!(out, "  {title} ({}):\n{}", names.len(), by_model(registry, names));
        }
    }
    let limits = [
        ("key", backend.limits.key_bytes, " bytes"),
        ("value", backend.limits.value_bytes, " bytes"),
        ("batch", backend.limits.batch_items, " items"),
    ];
    let known = limits.iter().filter_map(|(what, limit, unit)| limit.map(|limit| format!("{what} {limit}{unit}")));
    let known = known.collect::<Vec<_>>();
    if !known.is_empty() {
        let _ = writeln!(out, "  Limits: {}", list(known));
    }
    let rows = registry.patterns.iter().filter_map(|pattern| {
        let slots = fits.iter().filter(|fit| *pattern.name == *fit.pattern).map(|fit| fit.slot).collect::<Vec<_>>();
        (!slots.is_empty()).then(|| vec![format!("    {}", pattern.name), slots.join(", ")])
    });
    let rows = rows.collect::<Vec<_>>();
    if !rows.is_empty() {
        let _ = write!(out, "  Fills the slots of:\n{}", columns(&rows));
    }
    out
}

fn by_model(registry: &Registry, names: &[Name]) -> String {
    let rows = registry.models.iter().filter_map(|model| {
        let there = model.interfaces.iter().filter(|interface| names.contains(&interface.name)).collect::<Vec<_>>();
        let names = there.iter().map(|interface| interface.flavour()).collect::<Vec<_>>().join(", ");
        (!there.is_empty()).then(|| vec![format!("    {}", model.title), format!("{} of {}", there.len(), model.interfaces.len()), names])
    });
    columns(&rows.collect::<Vec<_>>())
}

/// A backend that has what was asked for, implemented or planned.
#[derive(Serialize)]
struct Found<'a> {
    backend: &'a str,
    driver: DriverStatus,
    implemented: bool,
    interfaces: &'a [String],
    capabilities: Vec<&'a str>,
}

fn find(registry: &Registry, query: &Query, available: bool, format: Format) -> Outcome {
    let mut matches = registry.find(query)?;
    matches.retain(|one| one.implemented || !available);
    let models = query.interfaces.iter().filter_map(|name| registry.model(name)).collect::<Vec<_>>();
    let found = matches.iter().map(|one| found(registry, one, &models)).collect::<Vec<_>>();
    print(format, &found, || {
        if found.is_empty() {
            return "no backend has all of that\n".to_owned();
        }
        let titles = models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(" and ");
        let rows = found.iter().map(|one| {
            let sign = if one.implemented { '✓' } else { '○' };
            let what = match (models.is_empty(), one.capabilities.is_empty()) {
                (true, _) => one.interfaces.join(", "),
                (false, true) => titles.clone(),
                (false, false) => format!("{titles} with {}", one.capabilities.join(", ")),
            };
            vec![one.backend.to_owned(), format!("{sign} {what}")]
        });
        let legend = if found.iter().all(|one| one.implemented) { "" } else { LEGEND };
        columns(&rows.collect::<Vec<_>>()) + legend
    })
}

/// With whole models, all that the backend can do with them is of interest; else only what was asked for.
fn found<'a>(registry: &'a Registry, one: &'a Match<'a>, models: &[&'a Model]) -> Found<'a> {
    let has = |name: &str| one.backend.implements(name) || (!one.implemented && one.backend.plans(name));
    let concerned = |interface: &&Interface| match models {
        [] => one.interfaces.iter().any(|name| *interface.name == **name),
        models => models.iter().any(|model| *model.name == *interface.model()) && has(&interface.name),
    };
    let capabilities = registry.interfaces().filter(concerned).map(|interface| interface.capability.as_str());
    Found {
        backend: &one.backend.name,
        driver: one.backend.driver,
        implemented: one.implemented,
        interfaces: &one.interfaces,
        capabilities: capabilities.filter(|capability| *capability != "basic").collect(),
    }
}
