//! Policies: who may call what. Rules are data, their conditions are CEL, and everything is checked when the configuration is loaded.
//!
//! A rule that denies beats every rule that allows. If no rule allows a call, it is denied. A condition that fails counts against the caller: a rule
//! that allows does not match then, and a rule that denies does.

mod compile;
mod decide;
mod facts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use prism_frontend::{expression::Expression, message_types::MessageTypes};

pub use compile::{PolicyNamespace, PolicyProblem, compile};
pub use decide::{Decision, RuleState};
pub use facts::CallFacts;

/// The rules of a configuration.
#[derive(Clone, Debug, Default)]
pub struct PolicySource {
    /// Conditions with a name.
    pub roles: Vec<RoleSource>,
    /// Rules, in the order of the file.
    pub rules: Vec<RuleSource>,
}

/// A condition about the caller, with a name.
#[derive(Clone, Debug)]
pub struct RoleSource {
    /// Unique name.
    pub name: String,
    /// A CEL expression over `principal` and `peer`.
    pub condition: String,
}

/// A rule.
#[derive(Clone, Debug, Default)]
pub struct RuleSource {
    /// Unique name.
    pub name: String,
    /// What the rule does.
    pub effect: Effect,
    /// The namespaces that it is about; empty: all.
    pub namespaces: Vec<String>,
    /// The RPCs that it is about, as `Store` or `queue_basic.*`; empty: all.
    pub methods: Vec<String>,
    /// Whether it is about RPCs that read or about those that write. `None`: both.
    pub access: Option<AccessKind>,
    /// Roles of which the caller must have one; empty: anybody.
    pub roles: Vec<String>,
    /// A CEL expression over `principal`, `call`, `peer` and `request`.
    pub when: Option<String>,
    /// What a caller is told that the rule denies.
    pub reason: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// It allows calls.
    #[default]
    Allow,
    /// It denies calls, whatever other rules allow.
    Deny,
}

/// What an RPC does with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It has no side effects.
    Read,
    /// It may change data.
    Write,
}

/// The policy of one namespace.
pub struct Policy {
    /// The rules about each RPC, by its index.
    by_method: Vec<Vec<MethodRule>>,
    types: &'static MessageTypes,
}

/// A rule, compiled for one RPC.
struct MethodRule {
    rule: Arc<Rule>,
    /// `None`: it always matches.
    when: Option<Arc<Expression>>,
    /// Whether `when` reads the request.
    reads_request: bool,
}

/// What a rule is about, whatever the RPC.
struct Rule {
    name: Arc<str>,
    effect: Effect,
    /// Of which the caller must have one; empty: anybody.
    roles: Vec<Arc<Expression>>,
    reason: Option<String>,
}
