//! `unevaluatedProperties` and `unevaluatedItems`, as the `additionalProperties` and `items` that they come to.
//!
//! What is evaluated depends on data where there are choices. So there are two readings: what is evaluated for sure, and
//! what may be.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::node::{Subschema, SubschemaId};

/// What a schema evaluates.
#[derive(Default)]
struct Evaluated {
    names: BTreeSet<Arc<str>>,
    patterns: BTreeSet<Arc<str>>,
    all_properties: bool,
    prefix: usize,
    all_items: bool,
}

/// Adds the readings to all schemas that have one of the keywords.
pub fn derive(nodes: &mut Vec<Subschema>) {
    let closing: Vec<SubschemaId> = (0..nodes.len())
        .filter(|id| nodes[*id].links.unevaluated_properties.is_some() || nodes[*id].links.unevaluated_items.is_some())
        .collect();
    if closing.is_empty() {
        return;
    }
    let mut anything = Subschema::anything(nodes[0].place.clone());
    anything.verdict = Some(true);
    nodes.push(anything);
    let anything = nodes.len() - 1;
    for id in closing {
        let at_most = reading(nodes, id, &evaluated(nodes, id, false), anything);
        let at_least = reading(nodes, id, &evaluated(nodes, id, true), anything);
        nodes.extend([at_most, at_least]);
        nodes[id].links.rest_at_most = Some(nodes.len() - 2);
        nodes[id].links.rest_at_least = Some(nodes.len() - 1);
    }
}

fn reading(nodes: &[Subschema], id: SubschemaId, evaluated: &Evaluated, anything: SubschemaId) -> Subschema {
    let mut node = Subschema::anything(nodes[id].place.clone());
    if let Some(rest) = nodes[id].links.unevaluated_properties.filter(|_| !evaluated.all_properties) {
        node.links.properties = evaluated.names.iter().map(|name| (Arc::clone(name), anything)).collect();
        node.links.patterns = evaluated.patterns.iter().map(|pattern| (Arc::clone(pattern), anything)).collect();
        node.links.additional = Some(rest);
    }
    if let Some(rest) = nodes[id].links.unevaluated_items.filter(|_| !evaluated.all_items) {
        node.links.prefix = vec![anything; evaluated.prefix];
        node.links.items = Some(rest);
    }
    node
}

/// What `id` and the schemas beside it evaluate: for sure, or (`maybe`) whatever way its choices go.
fn evaluated(nodes: &[Subschema], id: SubschemaId, maybe: bool) -> Evaluated {
    let mut evaluated = Evaluated::default();
    let mut seen = HashSet::from([id]);
    let mut todo = vec![id];
    while let Some(next) = todo.pop() {
        let links = &nodes[next].links;
        evaluated.names.extend(links.properties.keys().cloned());
        evaluated.patterns.extend(links.patterns.keys().cloned());
        let inner = next != id;
        evaluated.all_properties |= links.additional.is_some() || inner && links.unevaluated_properties.is_some();
        evaluated.prefix = evaluated.prefix.max(links.prefix.len());
        evaluated.all_items |= links.items.is_some() || inner && links.unevaluated_items.is_some() || maybe && links.contains.is_some();
        let mut within: Vec<SubschemaId> = links.reference.into_iter().chain(links.all_of.iter().copied()).collect();
        if maybe && !links.dynamic.is_empty() {
            (evaluated.all_properties, evaluated.all_items) = (true, true);
        }
        if maybe {
            let choices = links.any_of.iter().chain(&links.one_of).chain(links.dependent.values()).chain(links.condition.iter().flatten());
            within.extend(choices);
        }
        todo.extend(within.into_iter().filter(|id| seen.insert(*id)));
    }
    evaluated
}
