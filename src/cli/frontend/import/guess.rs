//! Guessing the RPC of an operation. The user checks each guess.

use std::sync::Arc;

use http::Method as Verb;

use prism_call::Method;
use prism_frontend::{definition::Operation, mapping::ParameterLocation, message_types::MessageTypes};

/// Verbs with similar meanings.
const VERB_GROUPS: [&[&str]; 6] = [
    &["retrieve", "get", "read", "fetch", "lookup", "show", "describe", "load"],
    &["scan", "list", "find", "search", "query", "all", "iterate", "range"],
    &[
        "store", "put", "set", "write", "create", "save", "add", "register", "update", "upsert", "insert", "publish", "post", "send",
        "patch",
    ],
    &["remove", "delete", "drop", "unregister", "destroy", "erase"],
    &["exists", "exist", "has", "head", "check", "test"],
    &["count", "size", "number", "total"],
];

/// Orders the RPCs, the most likely first.
pub fn rank_methods(operation: &Operation, methods: &[Arc<Method>], schema: &MessageTypes) -> Vec<Arc<Method>> {
    let mut ranked: Vec<(i32, &Arc<Method>)> = methods.iter().map(|method| (score(operation, method, schema), method)).collect();
    // The sort is stable, so equally likely RPCs stay in the order of the service.
    ranked.sort_by_key(|(score, _)| -score);
    ranked.into_iter().map(|(_, method)| method.clone()).collect()
}

fn score(operation: &Operation, method: &Method, schema: &MessageTypes) -> i32 {
    let rpc = words(&method.name);
    let name = words(operation.id.as_deref().unwrap_or_default());
    let path = operation.path.split('/').filter(|segment| !segment.starts_with('{')).flat_map(words);
    let known: Vec<String> = name.iter().cloned().chain(path).collect();
    let mut score = 0;
    let group = rpc.first().and_then(|word| verb_group(word));
    if group.is_some() {
        if group == name.iter().find_map(|word| verb_group(word)) {
            score += 4;
        }
        if group == verb_group_of_http_method(operation) {
            score += 3;
        }
    }
    // The other words of an RPC, such as `Batch`, must occur in the operation.
    score += rpc.iter().skip(1).map(|word| if known.contains(word) { 2 } else { -2 }).sum::<i32>();
    score += match (&operation.method, method.read_only) {
        (&Verb::GET | &Verb::HEAD, false) => -6,
        (&Verb::PUT | &Verb::DELETE | &Verb::PATCH, true) => -4,
        (&Verb::POST, true) => -1,
        _ => 0,
    };
    let fields = schema.find(method.descriptor.input().full_name()).map_or(&[][..], |id| &schema.message(id).fields);
    let has = |name: &str| fields.iter().any(|field| is_same_name(&field.name, name));
    score + i32::try_from(operation.parameters.iter().filter(|parameter| has(&parameter.name)).count().min(3)).unwrap_or(0)
}

/// Returns the group of verbs that the HTTP method suggests. A GET reads one item if the path has a parameter.
fn verb_group_of_http_method(operation: &Operation) -> Option<usize> {
    let is_one_item =
        operation.path.ends_with('}') || operation.parameters.iter().any(|parameter| parameter.location == ParameterLocation::Path);
    match operation.method {
        Verb::GET if is_one_item => Some(0),
        Verb::GET => Some(1),
        Verb::PUT | Verb::POST | Verb::PATCH => Some(2),
        Verb::DELETE => Some(3),
        Verb::HEAD => Some(4),
        _ => None,
    }
}

fn verb_group(word: &str) -> Option<usize> {
    VERB_GROUPS.iter().position(|kind| kind.contains(&word))
}

/// Splits a name into words in lower case: `findPetsByName` into `find`, `pet`, `by`, `name`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut fresh = true;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            fresh = true;
            continue;
        }
        if fresh || c.is_uppercase() {
            words.push(String::new());
        }
        fresh = false;
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    for word in &mut words {
        // Plurals become singulars.
        if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && verb_group(word).is_none() {
            word.pop();
        }
    }
    words
}

/// Whether two names have the same words, such as `pageSize` and `page_size`.
pub fn is_same_name(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        assert_eq!(words("findPetsByName"), ["find", "pet", "by", "name"]);
        assert_eq!(words("delete-key_value"), ["delete", "key", "value"]);
        assert!(is_same_name("pageSize", "page_size") && !is_same_name("page", "pages"));
    }
}
