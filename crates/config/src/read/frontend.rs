//! `frontends`, and the bindings of namespaces to frontends.

use std::collections::BTreeMap;

use crate::{
    model::{Binding, Frontend, FrontendKind},
    reader::{Reader, Section},
};
use prism_yaml::{Node, Position, Value, unknown_name};

/// Placeholder for the name of the namespace in a base path.
const NAMESPACE: &str = "{namespace}";

pub(super) fn frontends(top: &Section<'_, '_>, listeners: &[String]) -> BTreeMap<String, Frontend> {
    let mut frontends = BTreeMap::new();
    for (name, node) in top.entries("frontends").unwrap_or_default() {
        let section = Section::new(top.reader, format!("frontends.{}", name.name), &name.position, Some(node));
        let kind = kind(&section);
        let definition = definition(&section);
        let settings = settings(&section);
        let (listener, host) = (listener(&section, listeners), host(&section));
        let (base_path, documentation) = (base_path(&section), documentation(&section));
        if let Some(built_in) = FrontendKind::ALL.into_iter().find(|kind| kind.name() == name.name) {
            let message = format!("the frontend `{}` is there already; give yours another name", built_in.name());
            section.reader.problem(&section.position, message);
        }
        if kind.is_some_and(|kind| kind != FrontendKind::Definition) && definition.is_some() {
            section.reader.problem(section.position_of("definition"), "a frontend with a `definition` has no other `type`");
        }
        section.finish();
        if let Some(kind) = kind {
            frontends.insert(name.name.clone(), Frontend { kind, definition, settings, listener, host, base_path, documentation });
        }
    }
    frontends
}

/// Reads the protocol. It is optional if there is a definition.
fn kind(section: &Section<'_, '_>) -> Option<FrontendKind> {
    let there = section.node("type").is_some();
    let defined = section.node("definition").is_some();
    let mut kinds = FrontendKind::ALL.to_vec();
    kinds.push(FrontendKind::Definition);
    let choices: Vec<_> = kinds.iter().map(|kind| (kind.name(), *kind)).collect();
    let kind = section.choice("type", &choices);
    match (kind, there, defined) {
        (None, false, true) => Some(FrontendKind::Definition),
        (Some(FrontendKind::Definition), _, false) => {
            section.reader.problem(&section.position, "`definition` is missing; it is a file, as frontends/notes.yaml");
            None
        }
        (None, false, false) => {
            let kinds = FrontendKind::ALL.map(FrontendKind::name).join(", ");
            section.reader.problem(&section.position, format!("`type` is missing; it is one of {kinds}, or there is a `definition`"));
            None
        }
        (kind, ..) => kind,
    }
}

/// Reads a definition: a file, or the name of a definition that is part of Prism. Reports a definition that does not exist.
fn definition(section: &Section<'_, '_>) -> Option<String> {
    let (name, position) = section.text("definition")?;
    if is_file(&name) {
        let file = located(section.reader, &name);
        if let Err(error) = std::fs::metadata(&file) {
            section.reader.problem(&position, format!("the definition `{file}` can't be read: {error}"));
        }
    } else if !section.reader.known.definitions.iter().any(|known| known.name == name) {
        let known = section.reader.known.definitions.iter().map(|known| known.name.as_str());
        let message = unknown_name("definition", &name, known.collect::<Vec<_>>());
        section.reader.problem(&position, format!("{message}; a file's name ends with .yaml"));
    }
    Some(name)
}

/// Returns whether a definition is given by its file.
pub(super) fn is_file(name: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| name.ends_with(end)) || name.contains('/')
}

/// Returns the path of a definition's file. A relative path starts in the folder of the configuration, so that both can be moved together.
fn located(reader: &Reader<'_>, name: &str) -> String {
    match reader.source.file.as_deref().and_then(std::path::Path::parent) {
        Some(folder) if is_file(name) => folder.join(name).display().to_string(),
        _ => name.to_owned(),
    }
}

/// Reads the settings of a definition. They are checked when the definition is compiled.
fn settings(section: &Section<'_, '_>) -> BTreeMap<String, serde_json::Value> {
    let Some((node, _)) = section.node("settings") else { return BTreeMap::new() };
    section.reader.entries("settings", node).iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect()
}

/// The data for reading the frontends of a namespace.
pub(super) struct Bindings<'b> {
    pub namespace: &'b str,
    pub pattern: Option<&'b str>,
    pub frontends: &'b BTreeMap<String, Frontend>,
    pub listeners: &'b [String],
}

impl Bindings<'_> {
    /// Reads the frontends of a namespace, and their positions.
    pub fn read(&self, namespace: &Section<'_, '_>) -> Vec<(Binding, Position)> {
        let path = |frontend: &str| format!("{}.frontends.{frontend}", namespace.path);
        let Some(items) = namespace.list("frontends") else {
            let all = FrontendKind::ALL.into_iter().filter_map(|kind| {
                let section = Section::new(namespace.reader, path(kind.name()), &namespace.position, None);
                self.binding(&section, kind.name(), &namespace.position)
            });
            return all.collect();
        };
        let mut bindings: Vec<(Binding, Position)> = Vec::new();
        let mut grpc = false;
        for node in items {
            let Some((name, position)) = frontend_of(namespace.reader, node) else { continue };
            let node = matches!(node.value, Value::Map(_)).then_some(node);
            let section = Section::new(namespace.reader, path(&name), &position, node);
            grpc |= name == FrontendKind::Grpc.name();
            bindings.extend(self.binding(&section, &name, &position));
            section.node("frontend");
            section.finish();
        }
        if !grpc {
            let name = FrontendKind::Grpc.name();
            let section = Section::new(namespace.reader, path(name), &namespace.position, None);
            bindings.extend(self.binding(&section, name, &namespace.position));
        }
        bindings
    }

    fn binding(&self, section: &Section<'_, '_>, name: &str, position: &Position) -> Option<(Binding, Position)> {
        let built_in = FrontendKind::ALL.into_iter().find(|kind| kind.name() == name);
        let definitions = &section.reader.known.definitions;
        let plain = |kind, definition| Frontend {
            kind,
            definition,
            settings: BTreeMap::new(),
            listener: None,
            host: None,
            base_path: None,
            documentation: None,
        };
        let (own, documentation) = (settings(section), documentation(section));
        let (listener, host, base_path) = (listener(section, self.listeners), host(section), base_path(section));
        let enabled = section.parsed("enabled", "true or false", |text| text.parse().ok()).is_none_or(|(enabled, _)| enabled);
        let found = built_in
            .map(|kind| plain(kind, None))
            .or_else(|| self.frontends.get(name).cloned())
            .or_else(|| definitions.iter().any(|known| known.name == name).then(|| plain(FrontendKind::Definition, Some(name.to_owned()))));
        let Some(frontend) = found else {
            let names = FrontendKind::ALL.map(FrontendKind::name).into_iter().chain(self.frontends.keys().map(String::as_str));
            let names: Vec<&str> = names.chain(definitions.iter().map(|known| known.name.as_str())).collect();
            section.reader.problem(position, unknown_name("frontend", name, names));
            return None;
        };
        let definition = frontend.definition.as_deref().map(|definition| located(section.reader, definition));
        let head = definition.as_deref().map(|definition| head(section.reader, definition)).unwrap_or_default();
        if let (Some(wanted), Some(pattern)) = (&head.pattern, self.pattern)
            && wanted != pattern
        {
            let message = format!("the frontend `{name}` maps the pattern {wanted}, but this namespace has {pattern}");
            section.reader.problem(position, message);
        }
        let base_path = base_path.or(frontend.base_path).or(head.base_path).unwrap_or_else(|| format!("/{NAMESPACE}"));
        let mut settings = frontend.settings;
        settings.extend(own);
        let binding = Binding {
            frontend: name.to_owned(),
            kind: if head.is_graphql { FrontendKind::Graphql } else { frontend.kind },
            definition,
            enabled,
            shared: head.shared,
            settings,
            listener: listener.or(frontend.listener),
            host: host.or(frontend.host),
            base_path: base_path.replace(NAMESPACE, self.namespace).trim_end_matches('/').to_owned(),
            documentation: documentation.or(frontend.documentation).unwrap_or(true),
        };
        Some((binding, position.clone()))
    }
}

/// The parts of a definition that the configuration uses.
#[derive(Default)]
struct Head {
    pattern: Option<String>,
    base_path: Option<String>,
    /// Whether it is an API of GraphQL.
    is_graphql: bool,
    /// Whether several namespaces may have the same host and base path, because a path parameter selects the namespace.
    shared: bool,
}

/// Reads the head of a definition. Its problems are reported when it is compiled.
fn head(reader: &Reader<'_>, definition: &str) -> Head {
    let known = reader.known.definitions.iter().find(|known| known.name == definition).map(|known| known.text.clone());
    let text = if is_file(definition) { crate::file::read_text(definition.as_ref()).ok() } else { known };
    let Some(text) = text else { return Head::default() };
    let (root, _) = prism_yaml::parse(&text);
    let text = |key: &str| root.get(key).and_then(Node::text).map(str::to_owned);
    let is_graphql = text("type").as_deref() == Some("graphql");
    Head { pattern: text("pattern"), base_path: text("base_path"), is_graphql, shared: text("namespace").is_some() }
}

/// Returns the name of the frontend in an item of the list: the item itself, or its `frontend`.
fn frontend_of(reader: &Reader<'_>, node: &Node) -> Option<(String, Position)> {
    let named = match &node.value {
        Value::Map(entries) => {
            let found = entries.iter().find(|(key, _)| key.name == "frontend");
            if found.is_none() {
                reader.problem(&node.position, "`frontend` is missing; it is the name of a frontend, as rest");
            }
            &found?.1
        }
        _ => node,
    };
    let scalar = reader.scalar("frontend", named)?;
    Some((if let Value::Text(text) = scalar.value { text } else { scalar.shown }, scalar.position))
}

fn listener(section: &Section<'_, '_>, listeners: &[String]) -> Option<String> {
    let (name, position) = section.text("listener")?;
    if !listeners.contains(&name) {
        section.reader.problem(&position, unknown_name("listener", &name, listeners.iter().map(String::as_str)));
        return None;
    }
    Some(name)
}

fn host(section: &Section<'_, '_>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    let parse = |text: &str| {
        let port = text.contains(':') && !text.ends_with(']');
        (!text.is_empty() && !port && text.bytes().all(plain)).then(|| text.to_ascii_lowercase())
    };
    section.parsed("host", "a host name without port, as api.example.com", parse).map(|(host, _)| host)
}

fn base_path(section: &Section<'_, '_>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    let parse = |text: &str| {
        let rest = text.replace(NAMESPACE, "x");
        let right = rest.starts_with('/') && !rest.contains("//") && rest.bytes().all(plain);
        right.then(|| text.to_owned())
    };
    section.parsed("base_path", "a path such as /kv, /{namespace} or /", parse).map(|(path, _)| path)
}

fn documentation(section: &Section<'_, '_>) -> Option<bool> {
    section.parsed("documentation", "true or false", |text| text.parse().ok()).map(|(value, _)| value)
}
