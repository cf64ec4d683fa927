//! Compares types, listed values, and the constraints of strings.

use std::sync::Arc;

use super::{Conjunction, JsonComparison};
use crate::{
    json::node::{Subschema, SubschemaId, TypeSet, ValueList, normalized_text},
    text::{list_some, shorten},
};

/// The maximum number of values in a message.
const MAX_LISTED: usize = 5;
/// The maximum length of a value in a message, in characters.
const MAX_VALUE: usize = 60;

/// Formats that JSON Schema defines, Validation section 7.3. Unknown formats assert nothing.
const FORMATS: [&str; 19] = [
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "uri-template",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];

/// Formats, and the formats that accept all their values.
const WIDER_FORMATS: [(&str, &[&str]); 5] = [
    ("email", &["idn-email"]),
    ("hostname", &["idn-hostname"]),
    ("uri", &["uri-reference", "iri", "iri-reference"]),
    ("uri-reference", &["iri-reference"]),
    ("iri", &["iri-reference"]),
];

impl JsonComparison {
    /// Compares `type`, Validation section 6.1.1. `None` means that nothing else has to be compared.
    pub(super) fn check_types(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> Option<bool> {
        let Some(new) = node.types else { return Some(true) };
        let old = self.possible_types(writer);
        if old.is_within(new) {
            return Some(true);
        }
        let (lost, kept) = (old.without(new), old.and(new));
        if kept.is_empty() {
            self.report("TYPE_CHANGED", reader, &["type"], new.title(), || {
                format!("the type changes from {} to {}; keep it, or list both in `type`", old.title(), new.title())
            });
            return None;
        }
        let said = writer.iter().any(|id| !self.nodes[*id].is_anything());
        self.report("TYPE_NARROWED", reader, &["type"], lost.title(), || {
            if lost == TypeSet::FRACTION {
                return "numbers that aren't whole are no longer valid, and the old schema allows them; keep `number`".to_owned();
            }
            format!("data of type {} is no longer valid, and the old schema allows it; add it to `type`", lost.title())
        });
        said.then_some(false)
    }

    /// Compares the keywords for values that are not containers.
    pub(super) fn check_scalars(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut types = self.possible_types(writer);
        types = types.and(node.types.unwrap_or(TypeSet::ALL));
        let mut answer = self.check_values(reader, node, writer);
        if types.intersects(TypeSet::NUMBER) {
            answer &= self.check_numbers(reader, node, writer, types);
        }
        if types.intersects(TypeSet::STRING) {
            answer &= self.check_strings(reader, node, writer);
        }
        answer
    }

    /// Compares `enum` and `const`, Validation sections 6.1.2 and 6.1.3.
    fn check_values(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        for new in &node.values {
            let old = self.finite_values(writer);
            let lost: Vec<String> = match &old {
                Some(old) => old.iter().filter(|value| !new.contains(value)).map(normalized_text).collect(),
                None => Vec::new(),
            };
            if old.is_some() && lost.is_empty() {
                continue;
            }
            let had = writer.iter().any(|id| !self.nodes[*id].values.is_empty());
            let known = old.as_deref().map(ValueList::new);
            let added = known.is_some_and(|known| new.values.iter().any(|value| !known.contains(value)));
            let kind = if had && added { "ENUM_ARRAY_CHANGED" } else { "ENUM_ARRAY_NARROWED" };
            let keyword = if new.values.len() == 1 && node.values.len() > 1 || !node.shape.contains("enum") { "const" } else { "enum" };
            let short: Vec<String> = lost.iter().map(|value| shorten(value, MAX_VALUE)).collect();
            let list = list_some(&short, MAX_LISTED);
            answer = self.report(kind, reader, &[keyword], lost.join(","), || {
                if lost.is_empty() {
                    format!("`{keyword}` is added, so only some of the values of the old schema are valid; remove it")
                } else {
                    format!("`{keyword}` no longer has {list}, which data written with the old schema may hold; keep what it listed")
                }
            });
        }
        answer
    }

    /// Compares `minLength`, `maxLength`, `pattern` and `format`, Validation sections 6.3 and 7.
    fn check_strings(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let longest = writer.iter().filter_map(|id| self.nodes[*id].max_length).min();
        let shortest = writer.iter().map(|id| self.nodes[*id].min_length).max().unwrap_or(0);
        let mut answer = self.at_most(reader, "maxLength", node.max_length, longest, ["MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED"]);
        answer &= self.at_least(reader, "minLength", node.min_length, shortest, ["MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED"]);
        if let Some(pattern) = node.pattern.as_deref().filter(|pattern| !["", ".*", "^.*"].contains(pattern)) {
            let olds: Vec<Arc<str>> = writer.iter().filter_map(|id| self.nodes[*id].pattern.clone()).collect();
            if !olds.iter().any(|old| &**old == pattern) {
                let kind = if olds.is_empty() { "PATTERN_ADDED" } else { "PATTERN_CHANGED" };
                answer = self.report(kind, reader, &["pattern"], pattern.to_owned(), || match olds.first() {
                    Some(old) => format!(
                        "`pattern` goes from `{old}` to `{pattern}`; it can't be decided whether it matches everything that the old pattern matched, so keep it"
                    ),
                    None => format!(
                        "`pattern` is `{pattern}`, and the old schema has none; strings that don't match are no longer valid, so remove it"
                    ),
                });
            }
        }
        if let Some(format) = node.format.as_deref().filter(|format| FORMATS.contains(format)) {
            let olds: Vec<Arc<str>> = writer.iter().filter_map(|id| self.nodes[*id].format.clone()).collect();
            let fits = |old: &str| old == format || WIDER_FORMATS.iter().any(|(narrow, wide)| *narrow == old && wide.contains(&format));
            if !olds.iter().any(|old| fits(old)) {
                let kind = if olds.is_empty() { "FORMAT_ADDED" } else { "FORMAT_CHANGED" };
                answer = self.report(kind, reader, &["format"], format.to_owned(), || match olds.first() {
                    Some(old) => format!("`format` goes from `{old}` to `{format}`; keep it"),
                    None => format!(
                        "`format` is `{format}`, and the old schema has none; strings of another format are no longer valid, so remove it"
                    ),
                });
            }
        }
        answer
    }

    /// Compares a keyword for a maximum.
    pub(super) fn at_most(
        &mut self,
        reader: SubschemaId,
        keyword: &str,
        new: Option<u64>,
        old: Option<u64>,
        kinds: [&'static str; 2],
    ) -> bool {
        let Some(new) = new.filter(|new| old.is_none_or(|old| old > *new)) else { return true };
        self.report(kinds[usize::from(old.is_some())], reader, &[keyword], new.to_string(), || match old {
            Some(old) => format!(
                "`{keyword}` goes down from {old} to {new}, and data written with the old schema may have more; keep at least {old}"
            ),
            None => format!("`{keyword}` is {new}, and the old schema has no limit; remove it"),
        })
    }

    /// Compares a keyword for a minimum.
    pub(super) fn at_least(&mut self, reader: SubschemaId, keyword: &str, new: u64, old: u64, kinds: [&'static str; 2]) -> bool {
        if new <= old {
            return true;
        }
        self.report(kinds[usize::from(old > 0)], reader, &[keyword], new.to_string(), || {
            format!("`{keyword}` goes up from {old} to {new}, and data written with the old schema may have less; keep at most {old}")
        })
    }
}
