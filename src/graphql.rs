//! The GraphQL endpoints of listeners, which have a field for each namespace.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backends::call_limits;
use prism_call::{CallLimits, Context, Error, Handler, Input, Method, Metrics, Namespace, Reply};
use prism_config::{self as config, Config};
use prism_graphql::GraphqlSettings;
use prism_settings::SettingProblem;
use prism_yaml::unknown_name;

/// What metrics and logs have instead of a namespace for the requests themselves. No namespace can have this name.
const NAME: &str = "*";

/// Returns what requests to the endpoints are admitted to, or `None` if no listener has one. Each of their fields is then admitted to its own
/// namespace. The limits are the widest ones of the namespaces.
pub fn admission(config: &Config, metrics: &Metrics) -> Option<Arc<Namespace>> {
    let mut endpoints = config.listeners.keys().filter_map(|listener| config.graphql_of_listener(listener)).peekable();
    endpoints.peek()?;
    let limits = endpoints.flat_map(|(_, namespaces)| namespaces).map(call_limits).reduce(widest).unwrap_or_default();
    Some(Arc::new(Namespace::new(NAME, NAME, Vec::new(), Arc::new(NoRpcs), limits, metrics)))
}

fn widest(one: CallLimits, other: CallLimits) -> CallLimits {
    CallLimits {
        max_message_bytes: one.max_message_bytes.max(other.max_message_bytes),
        max_concurrent_calls: one.max_concurrent_calls.max(other.max_concurrent_calls),
        max_streams: one.max_streams.max(other.max_streams),
        timeout: one.timeout.max(other.timeout),
        max_timeout: one.max_timeout.max(other.max_timeout),
    }
}

/// Checks the namespace that has the trusted documents of a frontend, if it names one.
pub fn check_documents_namespace(settings: &GraphqlSettings, config: &Config) -> Result<(), SettingProblem> {
    const NAME: &str = "trusted_documents_namespace";
    let Some(name) = &settings.trusted_documents_namespace else { return Ok(()) };
    let problem = match config.namespace(name) {
        None => unknown_name("namespace", name, config.namespaces.iter().map(|namespace| namespace.name.as_str()).collect::<Vec<_>>()),
        Some(_) if settings.trusted_documents.is_some() => "can't be set beside `trusted_documents`; remove one of them".to_owned(),
        Some(namespace) if namespace.pattern != "keyvalue" => {
            format!("must name a namespace with the pattern keyvalue; `{name}` has {}", namespace.pattern)
        }
        Some(namespace) if namespace.scope.is_some() => format!("can't be `{name}`, which has the data of each tenant by itself (`scope`)"),
        Some(_) => return Ok(()),
    };
    Err(SettingProblem::other(NAME, problem))
}

/// Returns how callers of the endpoint of a listener may authenticate: in every way that one of its namespaces accepts.
pub fn authentication(config: &Config, listener: &str, definition: &config::Listener) -> Option<Vec<String>> {
    let (_, namespaces) = config.graphql_of_listener(listener)?;
    let mut names: Vec<String> = Vec::new();
    for namespace in namespaces {
        let own =
            if namespace.authentication.is_empty() { definition.authentication.as_slice() } else { namespace.authentication.as_slice() };
        let anonymous = [config::ANONYMOUS.to_owned()];
        for name in if own.is_empty() { &anonymous[..] } else { own } {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    Some(if names.is_empty() { definition.authentication.clone() } else { names })
}

/// The handler of a namespace without RPCs.
struct NoRpcs;

#[async_trait]
impl Handler for NoRpcs {
    async fn handle(&self, _: &Context, method: &Method, _: Input) -> Result<Reply, Error> {
        Err(Error::unknown_rpc(&method.service, &method.name))
    }
}
