//! Decides whether two types match by name and kind.

use std::collections::{BTreeSet, HashSet};

use crate::avro::model::{AvroKind, Enum, NamedType, Record, TypeGraph, TypeId};

/// Returns whether names match: without their namespaces, or by an alias of the reader, which is a full name.
pub(super) fn same_name(reader: &NamedType, writer: &NamedType) -> bool {
    reader.name.simple() == writer.name.simple() || reader.aliases.contains(&writer.name)
}

/// Returns whether names match with their namespaces.
pub(super) fn same_full_name(reader: &NamedType, writer: &NamedType) -> bool {
    reader.name == writer.name || reader.aliases.contains(&writer.name)
}

/// Returns the sorted symbols of the writer that the reader doesn't know and has no default for.
pub(super) fn missing_symbols<'a>(reader: &Enum, writer: &'a Enum) -> BTreeSet<&'a str> {
    if reader.default.is_some() {
        return BTreeSet::new();
    }
    let known: HashSet<&str> = reader.symbols.iter().map(String::as_str).collect();
    writer.symbols.iter().map(String::as_str).filter(|symbol| !known.contains(symbol)).collect()
}

/// Returns whether a pair is readable if the two types alone decide it. Logical types are ignored, as in Java: the underlying type counts.
pub(super) fn decide_at_once(reader: &TypeGraph, writer: &TypeGraph, pair: (TypeId, TypeId)) -> Option<bool> {
    match (reader.kind(pair.0), writer.kind(pair.1)) {
        (AvroKind::Union(_), _)
        | (_, AvroKind::Union(_))
        | (AvroKind::Array(_), AvroKind::Array(_))
        | (AvroKind::Map(_), AvroKind::Map(_)) => None,
        (AvroKind::Primitive(reader), AvroKind::Primitive(writer)) => Some(reader.can_read(*writer)),
        (AvroKind::Fixed(reader), AvroKind::Fixed(writer)) => Some(same_name(&reader.named, &writer.named) && reader.size == writer.size),
        (AvroKind::Enum(Enum { named: reader, .. }), AvroKind::Enum(Enum { named: writer, .. }))
        | (AvroKind::Record(Record { named: reader, .. }), AvroKind::Record(Record { named: writer, .. })) => {
            (!same_name(reader, writer)).then_some(false)
        }
        _ => Some(false),
    }
}

/// Finds the branch of a reader's union that is most similar to a type of the writer: the one with the same full name, or else the first one
/// with the same simple name, or the only one of its kind.
pub(super) fn similar_branch(reader: &TypeGraph, branches: &[TypeId], writer: &AvroKind) -> Option<(usize, TypeId)> {
    let find = |same: fn(&NamedType, &NamedType) -> bool| {
        branches.iter().copied().enumerate().find(|(_, branch)| {
            let kind = reader.kind(*branch);
            let named = kind.named().zip(writer.named());
            kind.type_name() == writer.type_name() && named.is_none_or(|(r, w)| same(r, w))
        })
    };
    find(same_full_name).or_else(|| find(same_name))
}
