//! `backends`.

use std::collections::BTreeMap;

use super::settings::SettingsSource;
use crate::{
    model::Backend,
    reader::{Reader, Section},
};
use prism_settings::BackendSettings;
use prism_yaml::{Key, Node, unknown_name};

/// The backends by name. `None` if the kind is unknown, so that uses of the backend are not reported as well.
pub(super) type Backends = BTreeMap<String, Option<Backend>>;

pub(super) fn backends(top: &Section<'_, '_>) -> Backends {
    let entries = top.entries("backends").unwrap_or_default();
    entries.iter().map(|(name, node)| (name.name.clone(), backend(top.reader, name, node))).collect()
}

fn backend(reader: &Reader<'_>, name: &Key, node: &Node) -> Option<Backend> {
    let section = Section::new(reader, format!("backends.{}", name.name), &name.position, Some(node));
    let kind = kind(&section)?;
    let driver = reader.known.driver(&kind)?;
    let source = SettingsSource {
        path: &section.path,
        position: &name.position,
        entries: reader.entries(&name.name, node),
        schema: &driver.schema,
        others: &["type"],
    };
    let settings = source.read(reader, |values| (driver.check)(&BackendSettings { name: name.name.clone(), values: values.clone() }));
    Some(Backend { kind, settings })
}

fn kind(section: &Section<'_, '_>) -> Option<String> {
    let drivers = || section.reader.known.drivers.iter().map(|driver| driver.kind.as_str()).collect::<Vec<_>>();
    let present = section.node("type").is_some();
    let Some((kind, position)) = section.text("type") else {
        if !present {
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
