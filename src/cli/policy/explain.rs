//! `prism policy explain`.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use serde_json::Value;

use super::case::{Call, Caller, Loaded, Remote};
use crate::cli::{
    Outcome,
    output::{columns, print_text},
    style,
};
use prism_access::policy::{Decision, Effect, RuleState};

/// Arguments of `prism policy explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration [default: prism.yaml]
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// The namespace
    #[arg(short, long)]
    namespace: String,
    /// The RPC, as Store or queue_basic.Enqueue
    #[arg(short, long)]
    method: String,
    /// The subject of the caller [default: the caller is anonymous]
    #[arg(short, long)]
    subject: Option<String>,
    /// The tenant of the caller
    #[arg(long, default_value = "", hide_default_value = true)]
    tenant: String,
    /// The groups of the caller, separated by commas
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// The claims of the caller, as a JSON object
    #[arg(long, default_value = "{}", hide_default_value = true)]
    claims: String,
    /// How the caller was authenticated: api-key, basic, mtls or jwt
    #[arg(long)]
    authentication: Option<String>,
    /// The protocol, as grpc or rest
    #[arg(long)]
    protocol: Option<String>,
    /// The listener
    #[arg(long)]
    listener: Option<String>,
    /// The address of the caller
    #[arg(long)]
    address: Option<IpAddr>,
    /// The request, as JSON
    #[arg(short, long)]
    request: Option<String>,
}

/// Shows the rules and the decision. Exit code 1: the call is denied.
pub fn run(args: &Args) -> Outcome {
    let loaded = Loaded::load(args.config.clone())?;
    let caller = Caller {
        subject: args.subject.clone(),
        tenant: args.tenant.clone(),
        groups: args.groups.clone(),
        claims: serde_json::from_str(&args.claims).map_err(|error| format!("`--claims` is no JSON object: {error}"))?,
        method: args.authentication.clone(),
    };
    let remote = Remote { address: args.address, listener: args.listener.clone(), tls: false };
    let call = Call { namespace: args.namespace.clone(), method: args.method.clone(), protocol: args.protocol.clone() };
    let request: Option<Value> = match &args.request {
        Some(text) => Some(serde_json::from_str(text).map_err(|error| format!("`--request` is no JSON: {error}"))?),
        None => None,
    };
    let call = loaded.prepare(&caller, &remote, &call, request.as_ref())?;
    let states = call.policy.explain(&call.facts(), call.request.as_deref());
    let rows: Vec<_> = states.iter().map(|(name, effect, state)| vec![name.to_string(), effect_name(*effect), describe(state)]).collect();
    let decision = call.policy.decide(&call.facts(), call.request.as_deref());
    let (text, code) = match decision {
        Decision::Allowed { rule } => (style::good(&format!("allowed by `{rule}`")), ExitCode::SUCCESS),
        Decision::Denied { rule: Some(rule), .. } => (style::bad(&format!("denied by `{rule}`")), ExitCode::FAILURE),
        Decision::Denied { rule: None, .. } => (style::bad("denied, because no rule allows it"), ExitCode::FAILURE),
        Decision::DependsOnRequest => ("depends on the request; give one with --request".to_owned(), ExitCode::SUCCESS),
    };
    print_text(&format!("{}{text}\n", columns(&rows)))?;
    Ok(code)
}

fn effect_name(effect: Effect) -> String {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
    .to_owned()
}

fn describe(state: &RuleState) -> String {
    match state {
        RuleState::NoRole => "does not match: the caller has none of its roles".to_owned(),
        RuleState::False => "does not match: its condition is false".to_owned(),
        RuleState::Fails(problem) => format!("its condition fails, which counts against the caller: {problem}"),
        RuleState::DependsOnRequest => "depends on the request".to_owned(),
        RuleState::Matches => "matches".to_owned(),
    }
}
