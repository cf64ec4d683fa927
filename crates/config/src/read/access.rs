//! `authenticators`, and the lists that choose among them.

use std::collections::BTreeMap;

use super::settings::SettingsSource;
use crate::{
    model::{ANONYMOUS, Authenticator},
    reader::{Reader, Section},
};
use prism_yaml::{Key, Node, unknown_name};

/// The authenticators by name. `None` if the kind is unknown, so that uses of the authenticator are not reported as well.
pub(super) type Authenticators = BTreeMap<String, Option<Authenticator>>;

pub(super) fn authenticators(top: &Section<'_, '_>) -> Authenticators {
    let entries = top.entries("authenticators").unwrap_or_default();
    for (name, _) in entries.iter().filter(|(name, _)| name.name == ANONYMOUS) {
        top.reader.problem(&name.position, format!("`{ANONYMOUS}` always exists, and stands for no authentication; choose another name"));
    }
    entries.iter().map(|(name, node)| (name.name.clone(), authenticator(top.reader, name, node))).collect()
}

fn authenticator(reader: &Reader<'_>, name: &Key, node: &Node) -> Option<Authenticator> {
    let section = Section::new(reader, format!("authenticators.{}", name.name), &name.position, Some(node));
    let kinds = || reader.known.authenticators.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>();
    let there = section.node("type").is_some();
    let Some((kind, position)) = section.text("type") else {
        if !there {
            reader.problem(&section.position, format!("`type` is missing; it is one of {}", kinds().join(", ")));
        }
        return None;
    };
    let Some(known) = reader.known.authenticator(&kind) else {
        reader.problem(&position, unknown_name("type of authenticator", &kind, kinds()));
        return None;
    };
    let source = SettingsSource {
        path: &section.path,
        position: &name.position,
        entries: reader.entries(&name.name, node),
        schema: &known.schema,
        others: &["type"],
    };
    let settings = source.read(reader, known.check);
    Some(Authenticator { kind, settings })
}

/// Reads a list of authenticators. In a variable, they are separated by commas.
pub(super) fn methods(section: &Section<'_, '_>, known: &Authenticators) -> Vec<String> {
    let Some(texts) = section.texts("authentication") else { return Vec::new() };
    if texts.is_empty() {
        let message = format!("`authentication` must name an authenticator, or `{ANONYMOUS}` for no authentication");
        section.reader.problem(section.position_of("authentication"), message);
    }
    let mut names = Vec::new();
    for (name, position) in texts {
        if name != ANONYMOUS && !known.contains_key(&name) {
            let choices = known.keys().map(String::as_str).filter(|known| *known != ANONYMOUS).chain([ANONYMOUS]);
            section.reader.problem(&position, unknown_name("authenticator", &name, choices));
        } else if names.contains(&name) {
            section.reader.problem(&position, format!("`{name}` is in this list twice; remove one"));
        } else {
            names.push(name);
        }
    }
    names
}
