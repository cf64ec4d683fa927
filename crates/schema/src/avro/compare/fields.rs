//! Finds the writer's field for each field of a reader's record.

use std::collections::HashMap;

use crate::avro::model::{Field, Record};

/// The source of the value of a reader's field.
pub(super) enum FieldSource<'a> {
    /// A field of the writer.
    Field(&'a Field),
    /// The default of the reader's field.
    Default,
    /// No source: the field can't be read.
    Missing,
    /// The name and aliases match more than one field of the writer.
    Several(Vec<&'a str>),
}

/// Returns the sources of all fields of a reader's record. A field is found by its name or an alias. If more than one of the writer's
/// fields match, Java refuses to read any data.
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
