//! Which RPC an operation may mean. People decide; this only spares them most of the typing.

use std::sync::Arc;

use http::Method as Verb;

use prism_call::Method;
use prism_frontend::{
    definition::{Location, Operation},
    schema::Schema,
};

/// Words that mean the same, by what they do.
const KINDS: [&[&str]; 6] = [
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

/// The RPCs, the likeliest first.
pub fn ranked(operation: &Operation, methods: &[Arc<Method>], schema: &Schema) -> Vec<Arc<Method>> {
    let mut ranked: Vec<(i32, &Arc<Method>)> = methods.iter().map(|method| (score(operation, method, schema), method)).collect();
    // Stable: of those that are as likely, the first of the service comes first.
    ranked.sort_by_key(|(score, _)| -score);
    ranked.into_iter().map(|(_, method)| method.clone()).collect()
}

fn score(operation: &Operation, method: &Method, schema: &Schema) -> i32 {
    let rpc = words(&method.name);
    let name = words(operation.id.as_deref().unwrap_or_default());
    let path = operation.path.split('/').filter(|segment| !segment.starts_with('{')).flat_map(words);
    let known: Vec<String> = name.iter().cloned().chain(path).collect();
    let mut score = 0;
    let own = rpc.first().and_then(|word| kind(word));
    if own.is_some() {
        if own == name.iter().find_map(|word| kind(word)) {
            score += 4;
        }
        if own == by_verb(operation) {
            score += 3;
        }
    }
    // What an RPC does beside its verb, as `Batch`, has to be asked for.
    score += rpc.iter().skip(1).map(|word| if known.contains(word) { 2 } else { -2 }).sum::<i32>();
    score += match (&operation.method, method.read_only) {
        (&Verb::GET | &Verb::HEAD, false) => -6,
        (&Verb::PUT | &Verb::DELETE | &Verb::PATCH, true) => -4,
        (&Verb::POST, true) => -1,
        _ => 0,
    };
    let fields = schema.find(method.descriptor.input().full_name()).map_or(&[][..], |id| &schema.message(id).fields);
    let has = |name: &str| fields.iter().any(|field| same(&field.name, name));
    score + i32::try_from(operation.parameters.iter().filter(|parameter| has(&parameter.name)).count().min(3)).unwrap_or(0)
}

/// What the method of a request says, and whether its path ends with a name.
fn by_verb(operation: &Operation) -> Option<usize> {
    let one = operation.path.ends_with('}') || operation.parameters.iter().any(|parameter| parameter.location == Location::Path);
    match operation.method {
        Verb::GET if one => Some(0),
        Verb::GET => Some(1),
        Verb::PUT | Verb::POST | Verb::PATCH => Some(2),
        Verb::DELETE => Some(3),
        Verb::HEAD => Some(4),
        _ => None,
    }
}

fn kind(word: &str) -> Option<usize> {
    KINDS.iter().position(|kind| kind.contains(&word))
}

/// `findPetsByName` as `find`, `pet`, `by`, `name`.
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
        // Names of collections mean their items.
        if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && kind(word).is_none() {
            word.pop();
        }
    }
    words
}

/// Whether two names differ only in how words are joined: `pageSize` and `page_size`.
pub fn same(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        assert_eq!(words("findPetsByName"), ["find", "pet", "by", "name"]);
        assert_eq!(words("delete-key_value"), ["delete", "key", "value"]);
        assert!(same("pageSize", "page_size") && !same("page", "pages"));
    }
}
