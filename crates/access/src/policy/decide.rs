//! Decides about calls.

use std::sync::Arc;

use super::{CallFacts, Effect, MethodRule, Policy, facts::Facts};
use prism_call::{Code, Error};
use prism_frontend::{
    expression::{Expression, Value},
    message_types::MessageTypes,
};

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A rule allows the call.
    Allowed {
        /// Name of the rule.
        rule: Arc<str>,
    },
    /// A rule denies the call, or none allows it.
    Denied {
        /// Name of the rule; `None`: no rule allows it.
        rule: Option<Arc<str>>,
        /// The reason of the rule.
        reason: Option<String>,
    },
    /// Conditions ask for fields of the request.
    DependsOnRequest,
}

/// What a rule says about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// The caller has none of its roles.
    NoRole,
    /// Its condition is false.
    False,
    /// Its condition fails, for this reason.
    Fails(String),
    /// Its condition asks for fields of the request.
    DependsOnRequest,
    /// It matches.
    Matches,
}

impl Policy {
    /// Decides about a call. Without the request, conditions that ask for its fields are open.
    pub fn decide(&self, call: &CallFacts<'_>, request: Option<&[u8]>) -> Decision {
        let mut open = (false, false);
        let mut allowed = None;
        for rule in self.rules(call) {
            let state = rule.state(call, request.map(|bytes| (self.types, bytes)));
            match (rule.rule.effect, state) {
                (Effect::Deny, RuleState::Matches | RuleState::Fails(_)) => {
                    return Decision::Denied { rule: Some(rule.rule.name.clone()), reason: rule.rule.reason.clone() };
                }
                (Effect::Allow, RuleState::Matches) => allowed = allowed.or(Some(rule)),
                (Effect::Deny, RuleState::DependsOnRequest) => open.0 = true,
                (Effect::Allow, RuleState::DependsOnRequest) => open.1 = true,
                _ => {}
            }
        }
        match (open, allowed) {
            ((false, _), Some(rule)) => Decision::Allowed { rule: rule.rule.name.clone() },
            ((true, _), Some(_)) | ((_, true), None) => Decision::DependsOnRequest,
            ((_, false), None) => Decision::Denied { rule: None, reason: None },
        }
    }

    /// Returns what each rule about the RPC says, in the order of the file: its name, its effect, and its state.
    pub fn explain(&self, call: &CallFacts<'_>, request: Option<&[u8]>) -> Vec<(Arc<str>, Effect, RuleState)> {
        let state = |rule: &MethodRule| rule.state(call, request.map(|bytes| (self.types, bytes)));
        self.rules(call).iter().map(|rule| (rule.rule.name.clone(), rule.rule.effect, state(rule))).collect()
    }

    fn rules(&self, call: &CallFacts<'_>) -> &[MethodRule] {
        self.by_method.get(call.method.index).map_or(&[], Vec::as_slice)
    }
}

impl MethodRule {
    fn state(&self, call: &CallFacts<'_>, request: Option<(&MessageTypes, &[u8])>) -> RuleState {
        let facts = Facts { call, request };
        let mut failure = None;
        let has_role = self.rule.roles.is_empty()
            || self.rule.roles.iter().any(|role| match evaluate(role, &facts) {
                Ok(has) => has,
                Err(problem) => {
                    failure = Some(problem);
                    false
                }
            });
        if !has_role {
            return failure.map_or(RuleState::NoRole, RuleState::Fails);
        }
        let Some(when) = &self.when else { return RuleState::Matches };
        if self.reads_request && request.is_none() {
            return RuleState::DependsOnRequest;
        }
        match evaluate(when, &facts) {
            Ok(true) => RuleState::Matches,
            Ok(false) => RuleState::False,
            Err(problem) => RuleState::Fails(problem),
        }
    }
}

fn evaluate(condition: &Expression, facts: &Facts<'_>) -> Result<bool, String> {
    match condition.evaluate(facts)? {
        Value::Bool(value) => Ok(value),
        other => Err(format!("the condition is {}, not true or false", other.type_of())),
    }
}

fn policy_denied(message: String) -> Error {
    Error::new(Code::PermissionDenied, "POLICY_DENIED", message)
}

impl CallFacts<'_> {
    /// Returns the error of a call that the decision point denies.
    pub fn denied_externally(&self) -> Error {
        let Self { principal, namespace, method, .. } = self;
        let (subject, label) = (&principal.subject, &method.label);
        policy_denied(format!("{subject} may not call {label} in the namespace {namespace}: the decision point denies it"))
    }

    /// Returns the error of a call that a rule denies, or that no rule allows.
    pub fn denied(&self, rule: Option<Arc<str>>, reason: Option<String>) -> Error {
        let Self { principal, namespace, method, .. } = self;
        let what = format!("{} may not call {} in the namespace {namespace}", principal.subject, method.label);
        let message = match (&rule, reason) {
            (Some(_), Some(reason)) => format!("{what}: {reason}"),
            (Some(rule), None) => format!("{what}: the rule `{rule}` denies it"),
            (None, _) => format!("{what}: no rule allows it"),
        };
        let error = policy_denied(message);
        match rule {
            Some(rule) => error.with("rule", &*rule),
            None => error,
        }
    }
}
