//! `frontends`, and how namespaces are bound to them.

use std::collections::BTreeMap;

use crate::{
    config::{
        model::{Binding, Frontend, FrontendKind},
        reader::{Reader, Section},
    },
    yaml::{Node, Place, Value, unknown},
};

/// Stands for the name of the namespace in a base path.
const NAMESPACE: &str = "{namespace}";

pub(super) fn frontends(top: &Section<'_, '_>, listeners: &[String]) -> BTreeMap<String, Frontend> {
    let mut frontends = BTreeMap::new();
    for (name, node) in top.entries("frontends").unwrap_or_default() {
        let section = Section::new(top.reader, format!("frontends.{}", name.name), &name.place, Some(node));
        let there = section.node("type").is_some();
        let kind = section.choice("type", &FrontendKind::ALL.map(|kind| (kind.name(), kind)));
        if !there && kind.is_none() {
            let kinds = FrontendKind::ALL.map(FrontendKind::name).join(", ");
            section.reader.problem(&section.place, format!("`type` is missing; it is one of {kinds}"));
        }
        let (listener, host) = (listener(&section, listeners), host(&section));
        let base_path = base_path(&section);
        if let Some(built_in) = FrontendKind::ALL.into_iter().find(|kind| kind.name() == name.name) {
            let message = format!("the frontend `{}` is there already; give yours another name", built_in.name());
            section.reader.problem(&section.place, message);
        }
        section.finish();
        if let Some(kind) = kind {
            frontends.insert(name.name.clone(), Frontend { kind, listener, host, base_path });
        }
    }
    frontends
}

/// What is known when the frontends of a namespace are read.
pub(super) struct Bindings<'b> {
    pub namespace: &'b str,
    pub frontends: &'b BTreeMap<String, Frontend>,
    pub listeners: &'b [String],
}

impl Bindings<'_> {
    /// All ways to reach a namespace, and where each stands.
    pub fn read(&self, namespace: &Section<'_, '_>) -> Vec<(Binding, Place)> {
        let path = |frontend: &str| format!("{}.frontends.{frontend}", namespace.path);
        let Some(items) = namespace.list("frontends") else {
            let all = FrontendKind::ALL.into_iter().filter_map(|kind| {
                let section = Section::new(namespace.reader, path(kind.name()), &namespace.place, None);
                self.binding(&section, kind.name(), &namespace.place)
            });
            return all.collect();
        };
        let mut bindings = Vec::new();
        for node in items {
            let Some((name, place)) = frontend_of(namespace.reader, node) else { continue };
            let node = matches!(node.value, Value::Map(_)).then_some(node);
            let section = Section::new(namespace.reader, path(&name), &place, node);
            bindings.extend(self.binding(&section, &name, &place));
            section.node("frontend");
            section.finish();
        }
        bindings
    }

    fn binding(&self, section: &Section<'_, '_>, name: &str, place: &Place) -> Option<(Binding, Place)> {
        let built_in = FrontendKind::ALL.into_iter().find(|kind| kind.name() == name);
        let plain = |kind| Frontend { kind, listener: None, host: None, base_path: None };
        let (listener, host, base_path) = (listener(section, self.listeners), host(section), base_path(section));
        let Some(frontend) = built_in.map(plain).or_else(|| self.frontends.get(name).cloned()) else {
            let names = FrontendKind::ALL.map(FrontendKind::name).into_iter().chain(self.frontends.keys().map(String::as_str));
            section.reader.problem(place, unknown("frontend", name, names));
            return None;
        };
        let base_path = base_path.or(frontend.base_path).unwrap_or_else(|| format!("/{NAMESPACE}"));
        let binding = Binding {
            frontend: name.to_owned(),
            kind: frontend.kind,
            listener: listener.or(frontend.listener),
            host: host.or(frontend.host),
            base_path: base_path.replace(NAMESPACE, self.namespace).trim_end_matches('/').to_owned(),
        };
        Some((binding, place.clone()))
    }
}

/// The frontend that an item of the list names: the item itself, or its `frontend`.
fn frontend_of(reader: &Reader<'_>, node: &Node) -> Option<(String, Place)> {
    let named = match &node.value {
        Value::Map(entries) => {
            let found = entries.iter().find(|(key, _)| key.name == "frontend");
            if found.is_none() {
                reader.problem(&node.place, "`frontend` is missing; it is the name of a frontend, as rest");
            }
            &found?.1
        }
        _ => node,
    };
    let scalar = reader.scalar("frontend", named)?;
    Some((if let Value::Text(text) = scalar.value { text } else { scalar.shown }, scalar.place))
}

fn listener(section: &Section<'_, '_>, listeners: &[String]) -> Option<String> {
    let (name, place) = section.text("listener")?;
    if !listeners.contains(&name) {
        section.reader.problem(&place, unknown("listener", &name, listeners.iter().map(String::as_str)));
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
