//! The head of a definition: what definitions of HTTP and of GraphQL have in common.

use std::sync::Arc;

use super::reader::Section;
use prism_call::Method;
use prism_yaml::{self as yaml, Node, unknown_name};

/// Returns the RPCs of a pattern.
pub type MethodsOfPattern<'a> = dyn Fn(&str) -> Option<Vec<Arc<Method>>> + 'a;

/// The header of a definition.
#[derive(Clone, Debug, Default)]
pub struct DefinitionHeader {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The pattern whose RPCs are called.
    pub pattern: String,
    /// The default base path.
    pub base_path: Option<String>,
    /// Whether it is an API of GraphQL (`type: graphql`), and not one of HTTP.
    pub is_graphql: bool,
    /// The path of the OpenAPI document, or of the GraphQL schema, relative to the definition.
    pub document: String,
}

/// Reads the header of a definition. Missing fields are empty.
pub fn header(text: &str) -> DefinitionHeader {
    let (root, _) = yaml::parse(text);
    header_of(&root)
}

/// Like [`header`], for a definition that is parsed already.
pub fn header_of(root: &Node) -> DefinitionHeader {
    let text = |key: &str| root.get(key).and_then(Node::text).unwrap_or_default().to_owned();
    let is_graphql = text("type") == "graphql";
    DefinitionHeader {
        name: text("frontend"),
        title: text("title"),
        description: text("description"),
        pattern: text("pattern"),
        base_path: Some(text("base_path")).filter(|path| !path.is_empty()),
        is_graphql,
        document: text(if is_graphql { "schema" } else { "openapi" }),
    }
}

/// Reads the keys of the head of a definition of a type, and reports their problems. Returns the RPCs of the pattern.
pub fn read(section: &Section<'_, '_>, kind: &str, methods: &MethodsOfPattern<'_>, patterns: &[&str]) -> Option<Vec<Arc<Method>>> {
    check_name(section);
    section.choice("type", &[(kind, ())]);
    for key in ["title", "description", "base_path"] {
        section.text(key);
    }
    check_base_path(section);
    find_methods(section, methods, patterns)
}

fn check_name(section: &Section<'_, '_>) {
    let Some(name) = section.required("frontend", "notes") else { return };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=63).contains(&name.len()) || !name.bytes().all(plain) {
        let position = section.get("frontend").map_or(&section.position, |node| &node.position);
        section
            .file
            .problem(position, format!("`{name}` is not a valid name of a frontend: use at most 63 lower-case letters, digits and `-`"));
    }
}

fn check_base_path(section: &Section<'_, '_>) {
    let Some(node) = section.get("base_path") else { return };
    let Some(text) = node.text() else { return };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    let rest = text.replace("{namespace}", "x");
    if !rest.starts_with('/') || rest.contains("//") || !rest.bytes().all(plain) {
        section.file.problem(&node.position, "`base_path` must be a path such as /kv, /{namespace} or /");
    }
}

fn find_methods(section: &Section<'_, '_>, methods: &MethodsOfPattern<'_>, patterns: &[&str]) -> Option<Vec<Arc<Method>>> {
    let pattern = section.required("pattern", "keyvalue")?;
    let found = methods(pattern);
    if found.is_none() {
        let position = section.get("pattern").map_or(&section.position, |node| &node.position);
        section.file.problem(position, unknown_name("pattern", pattern, patterns.iter().copied()));
    }
    found
}
