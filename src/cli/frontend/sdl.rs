//! `prism frontend sdl`.

use super::definition_source::ConfigOption;
use crate::{
    cli::{Failure, Outcome, output::print_text},
    driver,
};
use prism_call::proto::patterns::slots::v1::Capabilities;
use prism_config::{Config, Namespace};
use prism_graphql::GraphqlSchema;
use prism_pattern::{self as pattern, NamespaceCapabilities, Pattern};
use prism_registry::unknown_name;

const EXAMPLES: &str = "\
Examples:
  prism frontend sdl default                            print the schema of the namespace `default`
  prism frontend sdl orders --config prism.yaml > orders.graphql

The schema has what the backends of the namespace can do. Nothing is connected. Of a namespace with `remote`, the command prints the schema
with all RPCs; the other Prism has the backends.";

/// Arguments of `prism frontend sdl`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Namespace in the configuration
    pub namespace: String,

    #[command(flatten)]
    config: ConfigOption,
}

/// Prints the schema.
pub(super) fn run(args: &Args) -> Outcome {
    let config = args.config.read_config();
    let Some(namespace) = config.namespace(&args.namespace) else {
        let names = config.namespaces.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>();
        return Err(Failure(unknown_name("namespace", &args.namespace, names)));
    };
    let Some(pattern) = pattern::find(&namespace.pattern) else {
        return Err(Failure(format!("this build can't serve the pattern `{}`", namespace.pattern)));
    };
    let schema = GraphqlSchema::of_namespace(&pattern.methods(), &capabilities(&config, namespace, pattern))?;
    print_text(&schema.sdl())
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
