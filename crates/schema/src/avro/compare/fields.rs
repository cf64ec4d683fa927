//! Which field of the writer a field of the reader is filled from.

use std::collections::HashMap;

use crate::avro::model::{Field, Record};

/// Where a field of the reader gets its value from.
pub(super) enum FieldSource<'a> {
    /// A field of the writer.
    Field(&'a Field),
    /// Its default.
    Default,
    /// Nothing.
    Missing,
    /// Its name and its aliases stand for more than one field of the writer.
    Several(Vec<&'a str>),
}

/// The sources of all fields of a reader's record. A field is found by its name or by an alias; two that are found for
/// one can't both be read, and Java refuses to read any data then.
pub(super) fn sources<'a>(reader: &'a Record, writer: &'a Record) -> Vec<FieldSource<'a>> {
    let known: HashMap<&str, &Field> = writer.fields.iter().map(|field| (field.name.as_str(), field)).collect();
    let source = |field: &'a Field| {
        let aliases = field.aliases.iter().filter(|alias| **alias != field.name);
        let mut found = std::iter::once(&field.name).chain(aliases).filter_map(|name| known.get(name.as_str()).copied());
        match (found.next(), found.next()) {
            (Some(one), None) => FieldSource::Field(one),
            (Some(one), Some(two)) => FieldSource::Several([one, two].into_iter().chain(found).map(|field| field.name.as_str()).collect()),
            (None, _) if field.default.is_some() => FieldSource::Default,
            (None, _) => FieldSource::Missing,
        }
    };
    reader.fields.iter().map(source).collect()
}
