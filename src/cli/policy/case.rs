//! A call that a policy decides about.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    cli::{Failure, load_plan},
    plan::Plan,
};
use prism_access::policy::{CallFacts, Policy};
use prism_call::{AuthenticationMethod, Method, Peer, Principal, TlsPeer};
use prism_config::{Config, Namespace, Source};
use prism_frontend::{json, message_types::MessageTypes};
use prism_pattern as pattern;

/// A configuration with a policy.
pub struct Loaded {
    config: Config,
    plan: Plan,
}

/// A call, as cases describe it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// The namespace.
    pub namespace: String,
    /// The RPC.
    pub method: String,
    /// The protocol.
    pub protocol: Option<String>,
}

/// A caller, as cases describe it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// Without it, the caller is anonymous.
    pub subject: Option<String>,
    pub tenant: String,
    pub groups: Vec<String>,
    pub claims: Map<String, Value>,
    /// How it was authenticated.
    pub method: Option<String>,
}

/// The remote end of a connection, as cases describe it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Remote {
    pub address: Option<IpAddr>,
    pub listener: Option<String>,
    pub tls: bool,
}

/// A call with everything that a policy knows of it.
pub struct PreparedCall<'l> {
    pub policy: &'l Policy,
    principal: Principal,
    peer: Peer,
    namespace: &'l Namespace,
    method: Arc<Method>,
    protocol: String,
    /// The message of the request.
    pub request: Option<Vec<u8>>,
}

impl Loaded {
    /// Loads a configuration, which must have a policy.
    pub fn load(file: Option<PathBuf>) -> Result<Self, Failure> {
        let (config, plan) = load_plan(&Source::find(file)).result?;
        if config.policy.is_none() {
            return Err("the configuration has no `policy`, so every call is allowed".into());
        }
        Ok(Self { config, plan })
    }

    /// Prepares a call.
    pub fn prepare(&self, caller: &Caller, remote: &Remote, call: &Call, request: Option<&Value>) -> Result<PreparedCall<'_>, Failure> {
        let names = self.config.namespaces.iter().map(|namespace| namespace.name.as_str());
        let namespace =
            self.config.namespace(&call.namespace).ok_or_else(|| Failure(prism_yaml::unknown_name("namespace", &call.namespace, names)))?;
        let (Some(pattern), Some(policy)) = (pattern::find(&namespace.pattern), self.plan.policy(&namespace.name)) else {
            return Err(format!("the namespace {} has no policy", namespace.name).into());
        };
        let methods = pattern.methods();
        let method = methods.iter().find(|method| method.label == call.method).cloned();
        let method = method
            .ok_or_else(|| Failure(prism_yaml::unknown_name("RPC", &call.method, methods.iter().map(|method| method.label.as_str()))))?;
        let request = request.map(|request| encode(&method, request)).transpose()?;
        let listener = remote.listener.as_deref().or_else(|| self.config.listeners.keys().next().map(String::as_str));
        let peer = Peer {
            address: remote.address.map(|address| (address, 0).into()),
            listener: listener.unwrap_or_default().into(),
            tls: remote.tls.then(TlsPeer::default),
            backlog: None,
        };
        let protocol = call.protocol.clone().unwrap_or_else(|| "grpc".to_owned());
        Ok(PreparedCall { policy, principal: principal(caller)?, peer, namespace, method, protocol, request })
    }
}

impl PreparedCall<'_> {
    /// Returns what conditions can ask about.
    pub fn facts(&self) -> CallFacts<'_> {
        CallFacts {
            principal: &self.principal,
            peer: &self.peer,
            namespace: &self.namespace.name,
            pattern: &self.namespace.pattern,
            method: &self.method,
            protocol: &self.protocol,
        }
    }
}

fn principal(caller: &Caller) -> Result<Principal, Failure> {
    let methods = [
        AuthenticationMethod::ApiKey,
        AuthenticationMethod::Basic,
        AuthenticationMethod::Certificate,
        AuthenticationMethod::Jwt,
        AuthenticationMethod::Introspection,
        AuthenticationMethod::None,
    ];
    let method = match &caller.method {
        Some(name) => *methods
            .iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| Failure(prism_yaml::unknown_name("method", name, methods.map(AuthenticationMethod::name))))?,
        None if caller.subject.is_none() => AuthenticationMethod::None,
        None => AuthenticationMethod::Jwt,
    };
    Ok(Principal {
        tenant: caller.tenant.as_str().into(),
        groups: caller.groups.iter().map(|group| group.as_str().into()).collect(),
        claims: serde_json::to_string(&caller.claims)?.into(),
        ..Principal::new(caller.subject.as_deref().unwrap_or("anonymous"), method)
    })
}

fn encode(method: &Arc<Method>, request: &Value) -> Result<Vec<u8>, Failure> {
    let types = MessageTypes::of_methods(std::slice::from_ref(method));
    let input = method.descriptor.input();
    let id = types.find(input.full_name()).ok_or("the type of the request is not known")?;
    let (text, mut bytes) = (request.to_string(), Vec::new());
    json::decode(types, id, text.as_bytes(), &mut bytes).map_err(|error| format!("the request of {}: {error}", method.label))?;
    Ok(bytes)
}
