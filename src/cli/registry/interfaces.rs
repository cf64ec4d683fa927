//! `prism registry interfaces`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::{
    Outcome,
    output::{Format, columns, list, print},
};
use prism_registry::{Interface, Model, Query, Registry, Rpc, rpcs, unknown_name};

/// The subcommands of `prism registry interfaces`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List all interfaces by data model
    List,
    /// Describe an interface with its RPCs, or all interfaces of a data model
    Describe {
        /// An interface, as `keyvalue_scan`, or a data model, as `keyvalue`
        name: String,
    },
    /// Find interfaces by data model, capability, or backend
    Find {
        /// A data model, as `keyvalue`
        #[arg(long, value_name = "MODEL")]
        interface: Vec<String>,
        /// A capability that the interface expresses, as `scan_support`
        #[arg(long, value_name = "CAPABILITY")]
        capability: Vec<String>,
        /// A backend whose driver implements the interface, as `redis`
        #[arg(long, value_name = "BACKEND")]
        backend: Option<String>,
    },
}

/// An interface, with the backends and patterns that refer to it.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    interface: &'a Interface,
    model: &'a str,
    implemented_by: Vec<&'a str>,
    planned_for: Vec<&'a str>,
    used_by: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rpcs: Vec<Rpc>,
}

impl<'a> View<'a> {
    fn new(registry: &'a Registry, interface: &'a Interface, rpcs: Vec<Rpc>) -> Self {
        let uses = registry.patterns.iter().flat_map(|pattern| {
            let slots = pattern.slots.iter().filter(|(_, slot)| slot.interfaces().any(|name| *name == interface.name));
            slots.map(move |(slot, _)| format!("{}.{slot}", pattern.name))
        });
        let backends = registry.backends.iter();
        Self {
            interface,
            model: interface.model(),
            implemented_by: backends.clone().filter(|one| one.implements(&interface.name)).map(|one| one.name.as_str()).collect(),
            planned_for: backends.filter(|one| one.plans(&interface.name)).map(|one| one.name.as_str()).collect(),
            used_by: uses.collect(),
            rpcs,
        }
    }
}

pub(super) fn run(registry: &Registry, command: &Command, format: Format) -> Outcome {
    match command {
        Command::List => {
            let all = registry.interfaces().collect::<Vec<_>>();
            show(registry, &all, format)
        }
        Command::Find { interface, capability, backend } => {
            let found = find(registry, interface, capability, backend.as_deref())?;
            show(registry, &found, format)
        }
        Command::Describe { name } => describe(registry, name, format),
    }
}

fn find<'a>(
    registry: &'a Registry,
    models: &[String],
    capabilities: &[String],
    backend: Option<&str>,
) -> Result<Vec<&'a Interface>, String> {
    let backend = match backend {
        None => None,
        Some(name) => Some(
            registry.backend(name).ok_or_else(|| unknown_name("backend", name, registry.backends.iter().map(|one| one.name.as_str())))?,
        ),
    };
    // Resolving reports unknown names.
    for name in models {
        registry.resolve(&Query { interfaces: vec![name.clone()], capabilities: Vec::new() })?;
    }
    for name in capabilities {
        if registry.capability(name).is_none() {
            return Err(unknown_name("capability", name, registry.capabilities.iter().map(|one| one.name.as_str())));
        }
    }
    let wanted = |interface: &&Interface| {
        (models.is_empty() || models.iter().any(|name| name == interface.model() || *name == *interface.name))
            && (capabilities.is_empty() || capabilities.iter().any(|name| *name == *interface.capability))
            && backend.is_none_or(|backend| backend.implements(&interface.name))
    };
    Ok(registry.interfaces().filter(wanted).collect())
}

fn show(registry: &Registry, interfaces: &[&Interface], format: Format) -> Outcome {
    let views = interfaces.iter().map(|interface| View::new(registry, interface, Vec::new())).collect::<Vec<_>>();
    print(format, &views, || {
        let rows = views.iter().map(|view| {
            let by = if view.implemented_by.is_empty() { "-".to_owned() } else { view.implemented_by.join(", ") };
            let cells = [view.interface.name.to_string(), view.interface.capability.to_string(), by];
            cells.into_iter().chain([view.interface.description.clone()]).collect::<Vec<_>>()
        });
        let head = ["INTERFACE", "CAPABILITY", "IMPLEMENTED BY", "DESCRIPTION"].map(str::to_owned).to_vec();
        columns(&[head].into_iter().chain(rows).collect::<Vec<_>>())
    })
}

fn describe(registry: &Registry, name: &str, format: Format) -> Outcome {
    let view = |interface: &'_ Interface| rpcs(&interface.service);
    if let Some(model) = registry.model(name) {
        let views = model.interfaces.iter().map(|one| View::new(registry, one, view(one))).collect::<Vec<_>>();
        return print(format, &views, || text_of_model(model, &views));
    }
    let Some(interface) = registry.interface(name) else {
        let names = registry.models.iter().map(|model| model.name.as_str());
        let names = names.chain(registry.interfaces().map(|one| one.name.as_str())).collect::<Vec<_>>();
        return Err(unknown_name("interface", name, names).into());
    };
    let view = View::new(registry, interface, view(interface));
    print(format, &view, || text(&view))
}

fn text_of_model(model: &Model, views: &[View<'_>]) -> String {
    let mut out = format!("Data model: {}\n  {}\n", model.title, model.description);
    for view in views {
        let _ = write!(out, "\n{}", text(view));
    }
    out
}

fn text(view: &View<'_>) -> String {
    let Interface { name, description, capability, proto_file, service, .. } = view.interface;
    let mut out = format!("Interface: {name}\n  {description}\n  Capability:     {capability}\n");
    // Writing into a String can't fail.
    let _ = writeln!(out, "  Proto:          proto/{proto_file}\n  Service:        {service}");
    let _ = writeln!(out, "  Implemented by: {}", list(&view.implemented_by));
    let _ = writeln!(out, "  Planned for:    {}", list(&view.planned_for));
    let _ = writeln!(out, "  Used by:        {}\n  RPCs:", list(&view.used_by));
    for rpc in &view.rpcs {
        let _ = writeln!(out, "    {}\n      {}", rpc.signature(), rpc.description);
    }
    out
}
