//! `prism frontend list`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::definition_source::{ConfigOption, DefinitionSource, definition_path};
use crate::{
    cli::{
        Outcome,
        output::{Format, columns, print},
    },
    plan,
};
use prism_config::{Binding, Config, Frontend, FrontendKind};
use prism_frontend::definition;

const EXAMPLES: &str = "\
Examples:
  prism frontend list
  prism frontend list --config prism.yaml -o json";

/// Arguments of `prism frontend list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    config: ConfigOption,

    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// A frontend, as it is printed.
#[derive(Serialize)]
struct FrontendView {
    name: String,
    /// The protocol, or the definition.
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<usize>,
    /// Why the definition can't be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    bound_by: Vec<BindingView>,
}

/// A namespace that uses a frontend.
#[derive(Serialize)]
struct BindingView {
    /// Its name; `*` for the endpoint of a listener with all namespaces.
    namespace: String,
    /// URLs or addresses.
    at: Vec<String>,
}

/// Prints the frontends.
pub(super) fn run(args: &Args) -> Outcome {
    let config = args.config.read_config();
    let mut frontends = BTreeMap::new();
    for kind in FrontendKind::ALL {
        frontends.insert(kind.name().to_owned(), (kind, None));
    }
    for name in definition::names() {
        frontends.insert(name.to_owned(), (FrontendKind::Definition, Some(name.to_owned())));
    }
    for (name, Frontend { kind, definition, .. }) in &config.frontends {
        frontends.insert(name.clone(), (*kind, definition.as_ref().map(|definition| definition_path(&config, definition))));
    }
    let views: Vec<FrontendView> = frontends.into_iter().map(|(name, (kind, definition))| view(&config, name, kind, definition)).collect();
    print(args.output, &views, || table(&views))
}

fn view(config: &Config, name: String, kind: FrontendKind, definition: Option<String>) -> FrontendView {
    let mut bound_by = Vec::new();
    for namespace in &config.namespaces {
        for binding in namespace.frontends.iter().filter(|binding| binding.enabled && binding.frontend == name) {
            bound_by.push(BindingView { namespace: namespace.name.clone(), at: addresses(config, binding) });
        }
    }
    let endpoints = config.listeners.keys().filter_map(|listener| config.graphql_of_listener(listener));
    for (endpoint, _) in endpoints.filter(|(endpoint, _)| endpoint.frontend == name) {
        bound_by.push(BindingView { namespace: "*".to_owned(), at: addresses(config, &endpoint) });
    }
    let mut view =
        FrontendView { kind: kind.name().to_owned(), pattern: None, operations: None, problems: Vec::new(), definition, bound_by, name };
    let Some(definition) = &view.definition else { return view };
    let settings = config.frontends.get(&view.name).map(|frontend| frontend.settings.clone()).unwrap_or_default();
    match definition::Texts::find(definition).map(|texts| DefinitionSource { texts, settings }) {
        Err(problem) => view.problems.push(format!("{definition} can't be read: {problem}")),
        Ok(source) => {
            let header = definition::header(&source.texts.text);
            view.pattern = Some(header.pattern);
            let operations = if header.is_graphql {
                plan::compile_graphql(&source.texts).map(|definition| definition.schema.mapped_fields().len())
            } else {
                plan::compile(&source.texts, &source.settings).map(|definition| definition.api.operations().count())
            };
            match operations {
                Ok(count) => view.operations = Some(count),
                Err(problems) => view.problems.extend(problems.iter().flat_map(|problems| {
                    let lines: Vec<String> = problems.to_string().lines().map(str::to_owned).collect();
                    lines
                })),
            }
        }
    }
    view
}

/// Returns the URLs of a binding, or its addresses for protocols without paths.
fn addresses(config: &Config, binding: &Binding) -> Vec<String> {
    let listeners = config.listeners.iter().filter(|(name, _)| binding.listener.as_ref().is_none_or(|only| only == *name));
    let address = |listener: &prism_config::Listener| {
        let host = binding.host.as_ref().map_or_else(|| listener.address.to_string(), |host| format!("{host}:{}", listener.address.port()));
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        match binding.kind {
            FrontendKind::Grpc | FrontendKind::GrpcWeb => host,
            FrontendKind::Connect => format!("{scheme}://{host}"),
            FrontendKind::Websocket => {
                let scheme = if listener.tls.is_some() { "wss" } else { "ws" };
                format!("{scheme}://{host}{}/websocket", binding.base_path)
            }
            FrontendKind::Graphql => format!("{scheme}://{host}{}/graphql", binding.base_path),
            FrontendKind::Mcp => format!("{scheme}://{host}{}/mcp", binding.base_path),
            FrontendKind::Rest | FrontendKind::Definition => {
                let base_path = if binding.base_path.is_empty() { "/" } else { &binding.base_path };
                format!("{scheme}://{host}{base_path}")
            }
        }
    };
    listeners.map(|(_, listener)| address(listener)).collect()
}

fn table(views: &[FrontendView]) -> String {
    let mut rows = vec![["FRONTEND", "DEFINITION", "PATTERN", "OPERATIONS", "NAMESPACE", "AT"].map(str::to_owned).to_vec()];
    for view in views {
        let dash = || "-".to_owned();
        let definition = match &view.definition {
            Some(definition) if *definition == view.name => "comes with Prism".to_owned(),
            Some(definition) => definition.clone(),
            None if view.kind == view.name => "built in".to_owned(),
            None => view.kind.clone(),
        };
        let operations = match (view.problems.len(), view.operations) {
            (0, operations) => operations.map_or_else(dash, |count| count.to_string()),
            (1, _) => "✗ 1 problem".to_owned(),
            (count, _) => format!("✗ {count} problems"),
        };
        let mut head = vec![view.name.clone(), definition, view.pattern.clone().unwrap_or_else(|| "any".to_owned()), operations];
        let bindings = view.bound_by.iter().flat_map(|binding| binding.at.iter().map(|at| [binding.namespace.clone(), at.clone()]));
        let mut bindings: Vec<[String; 2]> = bindings.collect();
        if bindings.is_empty() {
            bindings.push([dash(), dash()]);
        }
        for binding in bindings {
            rows.push(std::mem::replace(&mut head, vec![String::new(); 4]).into_iter().chain(binding).collect());
        }
    }
    let broken = views.iter().filter(|view| !view.problems.is_empty());
    let hints =
        broken.filter_map(|view| view.definition.as_ref()).fold(String::new(), |hints, file| hints + "\n✗ prism frontend lint " + file);
    columns(&rows) + &hints + if hints.is_empty() { "" } else { "\n" }
}
