//! The policy of a configuration, as it is compiled.

use prism_access::policy::{AccessKind, Effect, PolicySource, RoleSource, RuleSource};
use prism_config::{Policy, PolicyAccess, PolicyEffect, PolicyRule};

/// Returns the rules of a configuration.
pub fn source(policy: &Policy) -> PolicySource {
    let role = |(name, condition): (&String, &String)| RoleSource { name: name.clone(), condition: condition.clone() };
    let rule = |rule: &PolicyRule| RuleSource {
        name: rule.name.clone(),
        effect: match rule.effect {
            PolicyEffect::Allow => Effect::Allow,
            PolicyEffect::Deny => Effect::Deny,
        },
        namespaces: rule.namespaces.clone(),
        methods: rule.methods.clone(),
        access: rule.access.map(|access| match access {
            PolicyAccess::Read => AccessKind::Read,
            PolicyAccess::Write => AccessKind::Write,
        }),
        roles: rule.roles.clone(),
        when: rule.when.clone(),
        reason: rule.reason.clone(),
    };
    PolicySource { roles: policy.roles.iter().map(role).collect(), rules: policy.rules.iter().map(rule).collect() }
}
