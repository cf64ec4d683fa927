//! Warnings about parameters and components of an OpenAPI document that nothing uses. The definition works without them.

use std::collections::{BTreeSet, HashMap};

use prism_frontend::{
    definition::{Definition, Document, Operation, Texts},
    json_pointer::unescape_token,
    mapping::{Endpoint, Parameter, ParameterLocation, RequestPlan},
};
use prism_yaml::{self as yaml, Node, Problem, Problems, Value};

/// Returns the warnings about the document of a definition.
pub(super) fn find_warnings(definition: &Definition, texts: &Texts, document: &Document) -> Vec<Problems> {
    let (root, _) = yaml::parse(&texts.text);
    let routes = root.get("routes");
    // A route has the name of the operation's id, or method and path.
    let by_name: HashMap<&str, &Node> = entries(routes).iter().map(|(key, node)| (key.name.as_str(), node)).collect();
    let by_operation: HashMap<String, &Operation> = document.operations.iter().map(|operation| (operation.name(), operation)).collect();
    let mut warnings = Vec::new();
    for (_, _, endpoint) in definition.api.operations() {
        let Some(operation) = by_operation.get(&endpoint.name) else { continue };
        let path = format!("{} {}", operation.method, operation.path);
        let Some(own) = by_name.get(endpoint.name.as_str()).or_else(|| by_name.get(path.as_str())) else { continue };
        let unused = unused_parameters(endpoint, own, definition.api.namespace.as_deref());
        if !unused.is_empty() {
            let message = format!("{}: no mapping reads {}", endpoint.name, unused.join(", "));
            let file = document.files.get(operation.file).unwrap_or(&texts.document_name).clone();
            warnings.push(Problems { file, list: vec![Problem { position: operation.position.clone(), message }] });
        }
    }
    // Parts of other files may refer to the components, too.
    if document.files.len() == 1 {
        let (root, _) = yaml::parse(texts.document.as_deref().unwrap_or_default());
        warnings.push(Problems { file: texts.document_name.clone(), list: unused_components(&root) });
    }
    warnings
}

/// Returns the entries of a mapping; none if the node is not a mapping.
fn entries(node: Option<&Node>) -> &[(yaml::Key, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

fn unused_parameters(endpoint: &Endpoint, route: &Node, namespace: Option<&str>) -> Vec<String> {
    let calls = || endpoint.cases.iter().filter_map(|case| case.action.call());
    // A route that answers without a call needs no parameters.
    if calls().next().is_none() {
        return Vec::new();
    }
    let is_read_by_call = |index: usize| {
        calls().any(|call| match &call.request {
            RequestPlan::One(plan) | RequestPlan::Each(_, plan) => plan.takes_parameter(index),
        })
    };
    let is_used = |index: usize, parameter: &Parameter| {
        (parameter.location == ParameterLocation::Path && (namespace == Some(parameter.name.as_str()) || !parameter.required))
            || is_read_by_call(index)
            || texts_of(route).iter().any(|text| mentions(text, parameter))
    };
    let list = endpoint.parameters.list.iter().enumerate();
    list.filter(|(index, parameter)| !is_used(*index, parameter))
        .map(|(_, parameter)| format!("{}.{}", parameter.location.name(), parameter.name))
        .collect()
}

/// Returns all texts below a node.
fn texts_of(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::Text(text) => vec![text],
        Value::List(items) => items.iter().flat_map(texts_of).collect(),
        Value::Map(entries) => entries.iter().flat_map(|(_, node)| texts_of(node)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Whether an expression reads a parameter, or all parameters of its location.
fn mentions(text: &str, parameter: &Parameter) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let root = parameter.location.name();
    text.match_indices(root).any(|(start, _)| {
        let (before, behind) = (&text[..start], &text[start + root.len()..]);
        if before.ends_with(|c: char| word(c) || c == '.') || behind.starts_with(word) {
            return false;
        }
        if let Some(member) = behind.strip_prefix('.') {
            let name: String = member.chars().take_while(|c| word(*c)).collect();
            return name == parameter.name || name == parameter.name.replace('-', "_");
        }
        match behind.strip_prefix('[') {
            Some(key) => {
                key.trim_start_matches(['"', '\'']).strip_prefix(&parameter.name).is_some_and(|rest| rest.starts_with(['"', '\'']))
            }
            None => true,
        }
    })
}

/// Returns the components that are not reachable from outside the components.
fn unused_components(root: &Node) -> Vec<Problem> {
    const KINDS: [&str; 7] = ["schemas", "responses", "parameters", "requestBodies", "headers", "examples", "pathItems"];
    let components = root.get("components");
    let mut waiting: Vec<&Node> = entries(Some(root)).iter().filter(|(key, _)| key.name != "components").map(|(_, node)| node).collect();
    let mut reached = BTreeSet::new();
    while let Some(node) = waiting.pop() {
        for text in texts_of(node) {
            let Some((kind, name)) = text.strip_prefix("#/components/").and_then(|path| path.split_once('/')) else { continue };
            // A reference into a component uses the whole component.
            let name = unescape_token(name.split('/').next().unwrap_or(name)).into_owned();
            let component = components.and_then(|components| components.get(kind)).and_then(|kind| kind.get(&name));
            if reached.insert((kind, name)) {
                waiting.extend(component);
            }
        }
    }
    let kinds = KINDS.iter().flat_map(|kind| entries(components.and_then(|node| node.get(kind))).iter().map(move |entry| (*kind, entry)));
    let unused = kinds.filter(|(kind, (key, _))| !reached.contains(&(*kind, key.name.clone())));
    let problems = unused.map(|(kind, (key, _))| Problem {
        position: key.position.clone(),
        message: format!("nothing refers to #/components/{kind}/{}", key.name),
    });
    problems.collect()
}
