//! Translates `unevaluatedProperties` and `unevaluatedItems` into `additionalProperties` and `items`.
//!
//! With choices (`anyOf`, `if` …), the set of evaluated properties depends on the data. So there are two translations: one with the
//! properties that are always evaluated, and one with those that can be evaluated.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::node::{Subschema, SubschemaId};
use crate::budget::{BudgetExceeded, hold, spend};

/// The memory of a name or pattern in a translation, in bytes.
const ENTRY_BYTES: usize = 56;

/// The properties and items that a schema evaluates.
#[derive(Default)]
struct Evaluated {
    names: BTreeSet<Arc<str>>,
    patterns: BTreeSet<Arc<str>>,
    all_properties: bool,
    prefix: usize,
    all_items: bool,
}

/// Adds both translations to all subschemas that have one of the keywords.
pub fn add_translations(nodes: &mut Vec<Subschema>) -> Result<(), BudgetExceeded> {
    let closing: Vec<SubschemaId> = (0..nodes.len())
        .filter(|id| nodes[*id].links.unevaluated_properties.is_some() || nodes[*id].links.unevaluated_items.is_some())
        .collect();
    if closing.is_empty() {
        return Ok(());
    }
    let mut anything = Subschema::anything(nodes[0].location.clone());
    anything.verdict = Some(true);
    nodes.push(anything);
    let anything = nodes.len() - 1;
    for id in closing {
        let at_most = translate(nodes, id, &collect_evaluated(nodes, id, false)?, anything)?;
        let at_least = translate(nodes, id, &collect_evaluated(nodes, id, true)?, anything)?;
        nodes.extend([at_most, at_least]);
        nodes[id].links.rest_at_most = Some(nodes.len() - 2);
        nodes[id].links.rest_at_least = Some(nodes.len() - 1);
    }
    Ok(())
}

fn translate(nodes: &[Subschema], id: SubschemaId, evaluated: &Evaluated, anything: SubschemaId) -> Result<Subschema, BudgetExceeded> {
    hold(size_of::<Subschema>() + (evaluated.names.len() + evaluated.patterns.len() + evaluated.prefix) * ENTRY_BYTES)?;
    let mut node = Subschema::anything(nodes[id].location.clone());
    if let Some(rest) = nodes[id].links.unevaluated_properties.filter(|_| !evaluated.all_properties) {
        node.links.properties = evaluated.names.iter().map(|name| (Arc::clone(name), anything)).collect();
        node.links.patterns = evaluated.patterns.iter().map(|pattern| (Arc::clone(pattern), anything)).collect();
        node.links.additional = Some(rest);
    }
    if let Some(rest) = nodes[id].links.unevaluated_items.filter(|_| !evaluated.all_items) {
        node.links.prefix = vec![anything; evaluated.prefix];
        node.links.items = Some(rest);
    }
    Ok(node)
}

/// Returns what `id` and the schemas beside it evaluate: always, or (`possible`) with any choice.
fn collect_evaluated(nodes: &[Subschema], id: SubschemaId, possible: bool) -> Result<Evaluated, BudgetExceeded> {
    let mut evaluated = Evaluated::default();
    let mut seen = HashSet::from([id]);
    let mut todo = vec![id];
    while let Some(next) = todo.pop() {
        let links = &nodes[next].links;
        spend(1 + links.count() * 2)?;
        evaluated.names.extend(links.properties.keys().cloned());
        evaluated.patterns.extend(links.patterns.keys().cloned());
        let inner = next != id;
        evaluated.all_properties |= links.additional.is_some() || inner && links.unevaluated_properties.is_some();
        evaluated.prefix = evaluated.prefix.max(links.prefix.len());
        evaluated.all_items |= links.items.is_some() || inner && links.unevaluated_items.is_some() || possible && links.contains.is_some();
        let mut within: Vec<SubschemaId> = links.reference.into_iter().chain(links.all_of.iter().copied()).collect();
        if possible && links.dynamic.is_some() {
            (evaluated.all_properties, evaluated.all_items) = (true, true);
        }
        if possible {
            let choices = links.any_of.iter().chain(&links.one_of).chain(links.dependent.values()).chain(links.condition.iter().flatten());
            within.extend(choices);
        }
        todo.extend(within.into_iter().filter(|id| seen.insert(*id)));
    }
    Ok(evaluated)
}
