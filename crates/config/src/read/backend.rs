//! `backends`.

use std::collections::BTreeMap;

use super::settings::SettingsReader;
use crate::{
    Settings,
    model::Backend,
    reader::{Reader, Section},
};
use prism_yaml::{Key, Node, unknown_name};

/// The backends by name; `None` for one whose kind is not known, so that what names it is not wrong too.
pub(super) type Backends = BTreeMap<String, Option<Backend>>;

pub(super) fn backends(top: &Section<'_, '_>) -> Backends {
    let entries = top.entries("backends").unwrap_or_default();
    entries.iter().map(|(name, node)| (name.name.clone(), backend(top.reader, name, node))).collect()
}

fn backend(reader: &Reader<'_>, name: &Key, node: &Node) -> Option<Backend> {
    let path = format!("backends.{}", name.name);
    let section = Section::new(reader, path.clone(), &name.position, Some(node));
    let kind = kind(&section)?;
    let schema = &reader.known.driver(&kind)?.schema;
    let settings = SettingsReader { reader, path: &path, root: schema, kind: reader.known.registry.backend(&kind) };
    let entries = reader.entries(&name.name, node);
    let (values, shown) = settings.object(schema, entries, &path, &name.position, &["type"]);
    Some(Backend { kind, settings: Settings::new(values, shown) })
}

fn kind(section: &Section<'_, '_>) -> Option<String> {
    let drivers = || section.reader.known.drivers.iter().map(|driver| driver.kind.as_str()).collect::<Vec<_>>();
    let there = section.node("type").is_some();
    let Some((kind, position)) = section.text("type") else {
        if !there {
            section.reader.problem(&section.position, format!("`type` is missing; it is one of {}", drivers().join(", ")));
        }
        return None;
    };
    if section.reader.known.driver(&kind).is_some() {
        return Some(kind);
    }
    let message = match section.reader.known.registry.backend(&kind) {
        Some(_) => format!("this build has no driver for `{kind}`; there are: {}", drivers().join(", ")),
        None => unknown_name("type of backend", &kind, drivers()),
    };
    section.reader.problem(&position, message);
    None
}
