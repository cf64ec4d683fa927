//! What stands in the way of reading what a writer writes ("Schema Resolution").
//!
//! First all pairs of types that would have to be read are collected and decided, then the differences of those that
//! can't are told, in the order of the reader's text. Neither recurses: two schemas that refer to themselves in circles of
//! different lengths have very many pairs.

mod fields;
mod message;
mod pairs;
mod report;

use std::collections::{BTreeSet, HashSet};

use super::model::{AvroKind, Enum, NamedType, Record, TypeGraph, TypeId};
use crate::Difference;

/// All differences, up to [`crate::MAX_DIFFERENCES`].
pub(super) fn differences(reader: &TypeGraph, writer: &TypeGraph) -> Vec<Difference> {
    let Some(pairs) = pairs::decide(reader, writer) else {
        return vec![Difference {
            kind: "TYPE_MISMATCH",
            path: "/".to_owned(),
            message: "the two schemas have too many combinations of types to be compared; make their unions smaller, or split them"
                .to_owned(),
            detail: "too many combinations of types".to_owned(),
        }];
    };
    report::report(&pairs)
}

/// Whether names match: without their namespaces, or by an alias of the reader, which is a full name.
fn same_name(reader: &NamedType, writer: &NamedType) -> bool {
    reader.name.simple() == writer.name.simple() || reader.aliases.contains(&writer.name)
}

/// Whether names match with their namespaces.
fn same_full_name(reader: &NamedType, writer: &NamedType) -> bool {
    reader.name == writer.name || reader.aliases.contains(&writer.name)
}

/// Symbols of the writer that the reader doesn't know and has no default for, sorted.
fn missing_symbols<'a>(reader: &Enum, writer: &'a Enum) -> BTreeSet<&'a str> {
    if reader.default.is_some() {
        return BTreeSet::new();
    }
    let known: HashSet<&str> = reader.symbols.iter().map(String::as_str).collect();
    writer.symbols.iter().map(String::as_str).filter(|symbol| !known.contains(symbol)).collect()
}

/// Whether a pair can be read, if that takes no more than a look at the two types. Logical types don't count, as in Java: what
/// they are on is read.
fn settled(reader: &TypeGraph, writer: &TypeGraph, pair: (TypeId, TypeId)) -> Option<bool> {
    match (reader.kind(pair.0), writer.kind(pair.1)) {
        (AvroKind::Union(_), _)
        | (_, AvroKind::Union(_))
        | (AvroKind::Array(_), AvroKind::Array(_))
        | (AvroKind::Map(_), AvroKind::Map(_)) => None,
        (AvroKind::Primitive(reader), AvroKind::Primitive(writer)) => Some(reader.reads(*writer)),
        (AvroKind::Fixed(reader), AvroKind::Fixed(writer)) => Some(same_name(&reader.named, &writer.named) && reader.size == writer.size),
        (AvroKind::Enum(Enum { named: reader, .. }), AvroKind::Enum(Enum { named: writer, .. }))
        | (AvroKind::Record(Record { named: reader, .. }), AvroKind::Record(Record { named: writer, .. })) => {
            (!same_name(reader, writer)).then_some(false)
        }
        _ => Some(false),
    }
}
