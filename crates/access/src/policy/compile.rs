//! Compiles rules for the RPCs of a namespace.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{AccessKind, MethodRule, Policy, PolicySource, Rule, RuleSource, facts};
use prism_call::Method;
use prism_frontend::{
    expression::{Expression, Scope, Type},
    message_types::MessageTypes,
};

/// A namespace that rules are about.
#[derive(Clone, Copy)]
pub struct PolicyNamespace<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its RPCs.
    pub methods: &'n [Arc<Method>],
}

/// A problem of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The setting, below `policy`, as `rules.readers.when`.
    pub setting: String,
    /// What is wrong, one sentence.
    pub message: String,
}

/// Compiles the policy of each namespace, in the same order. The error has every problem.
pub fn compile(source: &PolicySource, namespaces: &[PolicyNamespace<'_>]) -> Result<Vec<Policy>, Vec<PolicyProblem>> {
    let mut compiler = Compiler { roles: BTreeMap::new(), problems: Vec::new() };
    compiler.compile_roles(source);
    let mut policies: Vec<Policy> = namespaces
        .iter()
        .map(|namespace| Policy {
            by_method: namespace.methods.iter().map(|_| Vec::new()).collect(),
            types: MessageTypes::of_methods(namespace.methods),
        })
        .collect();
    for rule in &source.rules {
        compiler.check_names(rule, namespaces);
        let covered = namespaces.iter().zip(&mut policies);
        compiler.compile_rule(rule, covered.filter(|(namespace, _)| rule.covers(namespace.name)));
    }
    if compiler.problems.is_empty() { Ok(policies) } else { Err(compiler.problems) }
}

impl RuleSource {
    fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace)
    }

    fn is_about(&self, method: &Method) -> bool {
        let right_kind = match self.access {
            None => true,
            Some(AccessKind::Read) => method.read_only,
            Some(AccessKind::Write) => !method.read_only,
        };
        right_kind && (self.methods.is_empty() || self.methods.iter().any(|name| names(name, method)))
    }
}

/// Tells whether a name in a rule means an RPC: its label, or all RPCs of an interface.
fn names(name: &str, method: &Method) -> bool {
    match name.strip_suffix(".*") {
        Some(interface) => method.interface == Some(interface),
        None => method.label == name,
    }
}

struct Compiler {
    /// Compiled roles; `None` for those with problems.
    roles: BTreeMap<String, Option<Arc<Expression>>>,
    problems: Vec<PolicyProblem>,
}

/// The compiled forms of the condition of a rule, by the type of the request. One that does not read the request has one form.
#[derive(Default)]
struct Forms {
    without_request: Option<Arc<Expression>>,
    by_request: HashMap<String, Option<Arc<Expression>>>,
}

impl Compiler {
    fn add(&mut self, setting: String, message: impl Into<String>) {
        let problem = PolicyProblem { setting, message: message.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn compile_roles(&mut self, source: &PolicySource) {
        for role in &source.roles {
            let compiled = condition(&role.condition, MessageTypes::all(), &facts::caller_scope());
            let compiled = compiled.map_err(|problem| self.add(format!("roles.{}", role.name), problem)).ok();
            self.roles.insert(role.name.clone(), compiled.map(Arc::new));
        }
    }

    /// Reports roles, namespaces and RPCs that do not exist.
    fn check_names(&mut self, rule: &RuleSource, namespaces: &[PolicyNamespace<'_>]) {
        for name in rule.roles.iter().filter(|name| !self.roles.contains_key(*name)).cloned().collect::<Vec<_>>() {
            let known = self.roles.keys().map(String::as_str).collect::<Vec<_>>();
            let message = prism_yaml::unknown_name("role", &name, known);
            self.add(format!("rules.{}.roles", rule.name), message);
        }
        for name in &rule.namespaces {
            if namespaces.iter().all(|namespace| namespace.name != name) {
                let message = prism_yaml::unknown_name("namespace", name, namespaces.iter().map(|namespace| namespace.name));
                self.add(format!("rules.{}.namespaces", rule.name), message);
            }
        }
        let covered = || namespaces.iter().filter(|namespace| rule.covers(namespace.name));
        for name in &rule.methods {
            let mut methods = covered().flat_map(|namespace| namespace.methods).peekable();
            // Namespaces that do not exist are reported above.
            if methods.peek().is_some() && !methods.any(|method| names(name, method)) {
                let mut known: Vec<&str> = covered().flat_map(|namespace| namespace.methods).map(|method| method.label.as_str()).collect();
                known.sort_unstable();
                known.dedup();
                self.add(format!("rules.{}.methods", rule.name), prism_yaml::unknown_name("RPC", name, known));
            }
        }
    }

    fn compile_rule<'p>(&mut self, source: &RuleSource, covered: impl Iterator<Item = (&'p PolicyNamespace<'p>, &'p mut Policy)>) {
        let roles = source.roles.iter().filter_map(|name| self.roles.get(name).cloned().flatten()).collect();
        let (name, reason) = (source.name.as_str().into(), source.reason.clone());
        let rule = Arc::new(Rule { name, effect: source.effect, roles, reason });
        let mut forms = Forms::default();
        for (namespace, policy) in covered {
            for (method, rules) in namespace.methods.iter().zip(&mut policy.by_method) {
                if !source.is_about(method) {
                    continue;
                }
                let Some(text) = &source.when else {
                    rules.push(MethodRule { rule: rule.clone(), when: None, reads_request: false });
                    continue;
                };
                if let Some(when) = self.compile_condition(&source.name, text, method, policy.types, &mut forms) {
                    rules.push(MethodRule { rule: rule.clone(), reads_request: when.reads(facts::REQUEST), when: Some(when) });
                }
            }
        }
    }

    fn compile_condition(
        &mut self,
        rule: &str,
        text: &str,
        method: &Method,
        types: &'static MessageTypes,
        forms: &mut Forms,
    ) -> Option<Arc<Expression>> {
        if let Some(known) = &forms.without_request {
            return Some(known.clone());
        }
        let input = method.descriptor.input();
        if let Some(known) = forms.by_request.get(input.full_name()) {
            return known.clone();
        }
        let request = types.find(input.full_name()).map_or(Type::Dyn, |id| Type::of_message(types, id));
        let compiled = match condition(text, types, &facts::scope().with(facts::REQUEST, request)) {
            Ok(compiled) => Some(Arc::new(compiled)),
            Err(problem) => {
                // The request is another one for each RPC. What is wrong whatever the request is, is said once.
                let message = match condition(text, types, &facts::scope().with(facts::REQUEST, Type::Dyn)) {
                    Err(always) => always,
                    Ok(_) => format!("{problem} (for {}; `methods` can leave it out)", method.label),
                };
                self.add(format!("rules.{rule}.when"), message);
                None
            }
        };
        if let Some(compiled) = compiled.as_ref().filter(|compiled| !compiled.reads(facts::REQUEST)) {
            forms.without_request = Some(compiled.clone());
        }
        forms.by_request.insert(input.full_name().to_owned(), compiled.clone());
        compiled
    }
}

/// Compiles an expression that must be true or false.
fn condition(text: &str, types: &MessageTypes, scope: &Scope) -> Result<Expression, String> {
    let compiled = Expression::compile(text, types, scope)?;
    match compiled.type_of() {
        Type::Bool | Type::Dyn => Ok(compiled),
        other => Err(format!("a condition must be true or false, not {}", other.describe(types))),
    }
}
