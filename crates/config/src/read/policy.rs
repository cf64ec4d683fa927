//! `policy`, and `quotas` of namespaces.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroU32,
};

use super::settings::SettingsSource;
use crate::{
    ResolvedSettings,
    model::{Policy, PolicyAccess, PolicyEffect, PolicyLog, PolicyRule, Quota, Quotas},
    reader::{Section, check_name},
};
use prism_yaml::{Node, Position, Value};

pub(super) fn policy(top: &Section<'_, '_>) -> Option<Policy> {
    top.node("policy")?;
    let section = top.section("policy");
    let roles = roles(&section);
    let rules = rules(&section);
    let decision_point = decision_point(&section);
    let log = log(&section);
    section.finish();
    Some(Policy { roles, rules, decision_point, log })
}

fn decision_point(policy: &Section<'_, '_>) -> Option<ResolvedSettings> {
    let reader = policy.reader;
    let (node, _) = policy.node("decision_point")?;
    let known = &reader.known.decision_point;
    let source = SettingsSource {
        path: &policy.path_of("decision_point"),
        position: policy.position_of("decision_point"),
        entries: reader.entries("decision_point", node),
        schema: &known.schema,
        others: &[],
    };
    Some(source.read(reader, known.check))
}

fn log(policy: &Section<'_, '_>) -> PolicyLog {
    let section = policy.section("log");
    let count = |key: &'static str| section.count(key).unwrap_or_default();
    let log = PolicyLog { denied: count("denied"), allowed: count("allowed") };
    section.finish();
    log
}

fn roles(section: &Section<'_, '_>) -> BTreeMap<String, String> {
    let reader = section.reader;
    let entries = section.entries("roles").unwrap_or_default();
    let mut roles = BTreeMap::new();
    for (name, node) in entries {
        let Some(scalar) = reader.scalar(&name.name, node) else { continue };
        let text = if let Value::Text(text) = scalar.value { text } else { scalar.shown };
        reader.set_position(format!("{}.{}", section.path_of("roles"), name.name), &scalar.position);
        roles.insert(name.name.clone(), text);
    }
    roles
}

fn rules(section: &Section<'_, '_>) -> Vec<PolicyRule> {
    let mut known = HashSet::new();
    let nodes = section.list("rules").unwrap_or_default();
    nodes.iter().filter_map(|node| rule(section, node, &mut known)).collect()
}

fn rule(policy: &Section<'_, '_>, node: &Node, known: &mut HashSet<String>) -> Option<PolicyRule> {
    let reader = policy.reader;
    let entries = reader.entries("rules", node);
    let Some((_, given)) = entries.iter().find(|(key, _)| key.name == "name") else {
        if matches!(node.value, Value::Map(_) | Value::Null) {
            reader.problem(&node.position, "`name` is missing; every rule has one");
        }
        return None;
    };
    let scalar = reader.scalar("name", given)?;
    let name = scalar.shown;
    check_name(reader, "rules", &name, &scalar.position);
    if !known.insert(name.clone()) {
        reader.problem(&scalar.position, format!("there is a rule `{name}` already; names are unique"));
        return None;
    }
    let section = Section::new(reader, format!("{}.{name}", policy.path_of("rules")), &scalar.position, Some(node));
    section.node("name");
    let names = |key: &'static str| {
        let Some(texts) = section.texts(key) else { return Vec::new() };
        reader.set_position(section.path_of(key), texts.first().map_or(&section.position, |(_, position): &(String, Position)| position));
        texts.into_iter().map(|(name, _)| name).collect()
    };
    let effects = [("allow", PolicyEffect::Allow), ("deny", PolicyEffect::Deny)];
    let rule = PolicyRule {
        effect: section.choice("effect", &effects).unwrap_or_default(),
        namespaces: names("namespaces"),
        methods: names("methods"),
        access: section.choice("access", &[("read", PolicyAccess::Read), ("write", PolicyAccess::Write)]),
        roles: names("roles"),
        when: section.text("when").map(|(text, _)| text),
        reason: section.text("reason").map(|(text, _)| text),
        name,
    };
    if rule.reason.is_some() && rule.effect == PolicyEffect::Allow {
        reader.problem(section.position_of("reason"), "`reason` is for rules with `effect: deny`");
    }
    section.finish();
    Some(rule)
}

pub(super) fn quotas(namespace: &Section<'_, '_>) -> Quotas {
    let section = namespace.section("quotas");
    let quotas = Quotas {
        peer: quota(&section, "peer"),
        principal: quota(&section, "principal"),
        namespace: quota(&section, "namespace"),
        cost: BTreeMap::new(),
    };
    let cost = costs(&section, &quotas);
    section.finish();
    Quotas { cost, ..quotas }
}

/// Reads what RPCs cost. No RPC may cost more than a rate ever has.
fn costs(section: &Section<'_, '_>, quotas: &Quotas) -> BTreeMap<String, NonZeroU32> {
    let reader = section.reader;
    let Some((node, position)) = section.node("cost") else { return BTreeMap::new() };
    let limits = [("peer", quotas.peer), ("principal", quotas.principal), ("namespace", quotas.namespace)];
    let capacity = |quota: Option<Quota>| quota.and_then(|quota| Some(quota.burst.unwrap_or(quota.rate?.calls)));
    let least = limits.into_iter().filter_map(|(name, quota)| Some((capacity(quota)?, name))).min();
    if least.is_none() {
        reader.problem(position, "`cost` needs `rate` in one of the quotas");
    }
    let mut costs = BTreeMap::new();
    for (key, node) in reader.entries("cost", node) {
        reader.set_position(format!("{}.{}", section.path_of("cost"), key.name), &key.position);
        let Some(scalar) = reader.scalar(&key.name, node) else { continue };
        let text = if let Value::Text(text) = &scalar.value { text } else { &scalar.shown };
        let Ok(cost) = text.parse::<NonZeroU32>() else {
            reader.problem(&node.position, format!("`{}` must be a whole number greater than 0, not `{}`", key.name, scalar.shown));
            continue;
        };
        if let Some((most, quota)) = least.filter(|(most, _)| cost > *most) {
            let message = format!(
                "`{}` can't cost {cost}, because the quota `{quota}` never has more than {most} calls; lower the cost, or raise `burst`",
                key.name
            );
            reader.problem(&node.position, message);
        }
        costs.insert(key.name.clone(), cost);
    }
    costs
}

fn quota(quotas: &Section<'_, '_>, key: &'static str) -> Option<Quota> {
    let section = quotas.section(key);
    let burst = section.count("burst");
    if burst == Some(0) {
        section.reader.problem(section.position_of("burst"), "`burst` must be at least 1");
    }
    let rate = section.parsed("rate", "a number of calls and a period, as 100/s, 500/m or 1000/h", |text| text.parse().ok());
    let quota = Quota {
        rate: rate.map(|(rate, _)| rate),
        burst: burst.and_then(std::num::NonZeroU32::new),
        max_concurrent: section.count("max_concurrent"),
    };
    if quota.burst.is_some() && section.node("rate").is_none() && quota.rate.is_none() {
        section.reader.problem(section.position_of("burst"), "`burst` needs `rate`");
    }
    section.finish();
    Some(quota).filter(|quota| *quota != Quota::default())
}
