//! `prism frontend sdl`.

use std::sync::Arc;

use super::definition_source::{ConfigOption, DefinitionSource};
use crate::{
    cli::{Failure, Outcome, output::print_text},
    driver,
};
use prism_call::proto::patterns::slots::v1::Capabilities;
use prism_config::{Config, Namespace};
use prism_graphql::{GatewayNamespace, GraphqlSchema};
use prism_pattern::{self as pattern, NamespaceCapabilities, Pattern};
use prism_registry::unknown_name;

const EXAMPLES: &str = "\
Examples:
  prism frontend sdl default                            print the schema of the namespace `default`
  prism frontend sdl orders --config prism.yaml > orders.graphql
  prism frontend sdl --listener main                    print the schema of all namespaces, which the listener `main` serves at /graphql
  prism frontend sdl --definition frontends/notes.yaml  print the schema of a definition of the type `graphql`

The schema has what the backends of the namespace can do. Nothing is connected. Of a namespace with `remote`, the command prints the schema
with all RPCs; the other Prism has the backends.";

/// Arguments of `prism frontend sdl`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Namespace in the configuration
    #[arg(required_unless_present_any = ["listener", "definition"])]
    pub namespace: Option<String>,

    /// Listener in the configuration: print the schema of its GraphQL endpoint, with a field for each namespace
    #[arg(long, value_name = "NAME", conflicts_with = "namespace")]
    listener: Option<String>,

    /// Definition of the type `graphql`: its file, or the name of a frontend in the configuration
    #[arg(long, value_name = "NAME", conflicts_with_all = ["namespace", "listener"])]
    definition: Option<String>,

    /// Print the schema as a subgraph of a federation, as the setting `federation` of a frontend serves it
    #[arg(long, conflicts_with = "definition")]
    federation: bool,

    #[command(flatten)]
    config: ConfigOption,
}

/// Prints the schema.
pub(super) fn run(args: &Args) -> Outcome {
    if let Some(name) = &args.definition {
        return print_text(&DefinitionSource::find(name, &args.config)?.compile_graphql()?.schema.sdl());
    }
    let config = args.config.read_config();
    if let Some(listener) = &args.listener {
        return print_text(&of_listener(&config, listener, args.federation)?.sdl());
    }
    let name = args.namespace.as_deref().unwrap_or_default();
    let Some(namespace) = config.namespace(name) else {
        let names = config.namespaces.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>();
        return Err(Failure(unknown_name("namespace", name, names)));
    };
    let schema = if args.federation {
        GraphqlSchema::of_gateway(&[field_of(&config, namespace)?], true)?
    } else {
        let pattern = pattern_of(namespace)?;
        GraphqlSchema::of_namespace(&pattern.methods(), &capabilities(&config, namespace, pattern))?
    };
    print_text(&schema.sdl())
}

fn pattern_of(namespace: &Namespace) -> Result<&'static Pattern, Failure> {
    pattern::find(&namespace.pattern).ok_or_else(|| Failure(format!("this build can't serve the pattern `{}`", namespace.pattern)))
}

/// Returns the schema of the GraphQL endpoint of a listener.
fn of_listener(config: &Config, listener: &str, is_subgraph: bool) -> Result<Arc<GraphqlSchema>, Failure> {
    if !config.listeners.contains_key(listener) {
        return Err(Failure(unknown_name("listener", listener, config.listeners.keys().map(String::as_str))));
    }
    let Some((_, namespaces)) = config.graphql_of_listener(listener) else {
        return Err(Failure(format!("the listener `{listener}` has no GraphQL endpoint; set `graphql: graphql` there")));
    };
    let fields = namespaces.into_iter().map(|namespace| field_of(config, namespace)).collect::<Result<Vec<_>, _>>()?;
    Ok(GraphqlSchema::of_gateway(&fields, is_subgraph)?)
}

/// Returns what a field of a namespace has.
fn field_of(config: &Config, namespace: &Namespace) -> Result<GatewayNamespace, Failure> {
    let pattern = pattern_of(namespace)?;
    let (name, methods) = (namespace.name.as_str().into(), pattern.methods().into());
    Ok(GatewayNamespace { name, methods, capabilities: capabilities(config, namespace, pattern) })
}

fn capabilities(config: &Config, namespace: &Namespace, pattern: &Pattern) -> Capabilities {
    if namespace.remote.is_some() {
        return Capabilities::default();
    }
    let kinds = namespace.slots.iter().filter_map(|(slot, filled)| {
        let kind = driver::kind(&config.backends.get(&filled.backend)?.kind)?;
        Some((slot.clone(), kind.name, (kind.interfaces)()))
    });
    NamespaceCapabilities::of_kinds(pattern, &namespace.name, kinds.collect()).describe()
}
