//! `prism policy test`.

use std::{fs, path::PathBuf, process::ExitCode};

use serde::Deserialize;
use serde_json::Value;

use super::case::{Call, Caller, Loaded, Remote};
use crate::cli::{Failure, Outcome, output::print_text, style};
use prism_access::policy::Decision;

/// Arguments of `prism policy test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cases, as YAML
    pub cases: PathBuf,
    /// The configuration [default: prism.yaml]
    #[arg(short, long)]
    pub config: Option<PathBuf>,
}

/// A case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    principal: Caller,
    #[serde(default)]
    peer: Remote,
    call: Call,
    /// The message of the request. Default: one without any field set.
    request: Option<Value>,
    expect: Expectation,
    /// The rule that must decide.
    rule: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    Allow,
    Deny,
}

/// Runs the cases.
pub fn run(args: &Args) -> Outcome {
    let loaded = Loaded::load(args.config.clone())?;
    let text = fs::read_to_string(&args.cases).map_err(|error| format!("{} can't be read: {error}", args.cases.display()))?;
    let cases: Vec<Case> = serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", args.cases.display()))?;
    if cases.is_empty() {
        return Err(format!("{} has no cases", args.cases.display()).into());
    }
    let (mut lines, mut failed) = (Vec::new(), 0);
    for case in &cases {
        let (right, decision) = decide(&loaded, case).map_err(|Failure(problem)| format!("case `{}`: {problem}", case.name))?;
        let mark = if right { style::good("✓") } else { style::bad("✗") };
        lines.push(format!("{mark} {}: {decision}\n", case.name));
        failed += usize::from(!right);
    }
    lines.push(format!("passed: {}, failed: {failed}\n", cases.len() - failed));
    print_text(&lines.concat())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns whether the decision is as the case expects it, and its description.
fn decide(loaded: &Loaded, case: &Case) -> Result<(bool, String), Failure> {
    let empty = Value::Object(serde_json::Map::new());
    let call = loaded.prepare(&case.principal, &case.peer, &case.call, Some(case.request.as_ref().unwrap_or(&empty)))?;
    let (decided, rule, text) = match call.policy.decide(&call.facts(), call.request.as_deref()) {
        Decision::Allowed { rule } => (Expectation::Allow, Some(rule.clone()), format!("allowed by `{rule}`")),
        Decision::Denied { rule: Some(rule), .. } => (Expectation::Deny, Some(rule.clone()), format!("denied by `{rule}`")),
        Decision::Denied { rule: None, .. } | Decision::DependsOnRequest => {
            (Expectation::Deny, None, "denied, because no rule allows it".to_owned())
        }
    };
    let right_rule = case.rule.as_deref().is_none_or(|wanted| rule.as_deref() == Some(wanted));
    let right = decided == case.expect && right_rule;
    let expected = match (right, &case.rule) {
        (true, _) => String::new(),
        (false, Some(rule)) => format!("; expected: {:?} by `{rule}`", case.expect).to_lowercase(),
        (false, None) => format!("; expected: {:?}", case.expect).to_lowercase(),
    };
    Ok((right, text + &expected))
}
