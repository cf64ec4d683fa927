//! Compares fields with the same number.
//!
//! These types have the same encoding: `int32`, `uint32`, `int64`, `uint64` and `bool`; `sint32` and `sint64`; `string` and `bytes`;
//! `fixed32` and `sfixed32`; `fixed64` and `sfixed64`. An enum is compatible with the integers of the first group. A reader of a single
//! string, bytes or message uses the last of several values. Repeated numbers are packed and can't be read as a single one.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::{ProtobufComparison, same_name};
use crate::protobuf::{
    features::{self, WireTraits},
    link::LinkedFile,
};

/// A field or an extension. Both have the same encoding.
pub(super) struct WireField {
    pub number: u32,
    pub name: String,
    pub kind: Kind,
    pub repeated: bool,
    pub map: bool,
    pub traits: WireTraits,
    /// The oneof that contains it.
    pub oneof: Option<String>,
}

impl WireField {
    fn of_field(linked: &LinkedFile, field: &FieldDescriptor) -> Self {
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        Self {
            number: field.number(),
            name: field.name().to_owned(),
            kind: field.kind(),
            repeated: field.cardinality() == Cardinality::Repeated,
            map: field.is_map(),
            traits: features::field_traits(linked, field),
            oneof: oneof.map(|oneof| oneof.name().to_owned()),
        }
    }

    fn of_extension(linked: &LinkedFile, field: &ExtensionDescriptor) -> Self {
        Self {
            number: field.number(),
            name: field.full_name().to_owned(),
            kind: field.kind(),
            repeated: field.cardinality() == Cardinality::Repeated,
            map: field.is_map(),
            traits: features::extension_traits(linked, field),
            oneof: None,
        }
    }

    /// Returns whether repeated values are packed.
    fn is_packable(&self) -> bool {
        !matches!(self.kind, Kind::String | Kind::Bytes | Kind::Message(_))
    }

    /// Returns the type as it is written in source.
    fn type_name(&self) -> String {
        match (&self.kind, self.map) {
            (Kind::Message(entry), true) => {
                let part =
                    |number| entry.get_field(number).map_or_else(String::new, |field| render_type(&field.kind(), WireTraits::default()));
                format!("map<{}, {}>", part(1), part(2))
            }
            (kind, _) => render_type(kind, self.traits),
        }
    }
}

fn render_type(kind: &Kind, traits: WireTraits) -> String {
    match kind {
        Kind::Message(message) if traits.delimited => format!("group {}", message.full_name()),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// Returns the fields of a message by number, including the extensions in these files.
pub(super) fn wire_fields(linked: &LinkedFile, message: &MessageDescriptor) -> BTreeMap<u32, WireField> {
    let fields = message.fields().map(|field| WireField::of_field(linked, &field));
    let extensions = message.extensions().map(|field| WireField::of_extension(linked, &field));
    fields.chain(extensions).map(|field| (field.number, field)).collect()
}

/// Groups of types with the same encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WireEncoding {
    Varint,
    Zigzag,
    Bytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

fn wire_encoding(kind: &Kind) -> Option<WireEncoding> {
    Some(match kind {
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool => WireEncoding::Varint,
        Kind::Sint32 | Kind::Sint64 => WireEncoding::Zigzag,
        Kind::String | Kind::Bytes => WireEncoding::Bytes,
        Kind::Fixed32 | Kind::Sfixed32 => WireEncoding::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => WireEncoding::Fixed64,
        Kind::Float => WireEncoding::Float,
        Kind::Double => WireEncoding::Double,
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

/// Returns the types that can read data of a type, for messages.
fn compatible_types(kind: &Kind) -> &'static str {
    match wire_encoding(kind) {
        Some(WireEncoding::Varint) => "int32, uint32, int64, uint64 or bool",
        Some(WireEncoding::Zigzag) => "sint32 or sint64",
        Some(WireEncoding::Bytes) => "string or bytes",
        Some(WireEncoding::Fixed32) => "fixed32 or sfixed32",
        Some(WireEncoding::Fixed64) => "fixed64 or sfixed64",
        Some(WireEncoding::Float) => "float",
        Some(WireEncoding::Double) => "double",
        None => "the type that it had",
    }
}

impl ProtobufComparison<'_> {
    /// Compares a field of the reader with the field of the same number.
    pub(super) fn compare_field(&mut self, path: &str, field: &WireField, written: Option<&WireField>) {
        let (name, number) = (&field.name, field.number);
        if field.traits.required && !written.is_some_and(|written| written.traits.required) {
            let text = if written.is_some() {
                format!("field `{name}` with number {number} becomes required: data without it can't be read; leave it optional")
            } else {
                format!("required field `{name}` with number {number} is new: data without it can't be read; make it optional")
            };
            self.report("REQUIRED_FIELD_ADDED", path.to_owned(), name, text);
        }
        let Some(written) = written else { return };
        if field.repeated != written.repeated && !field.map && !written.map && (field.is_packable() || written.is_packable()) {
            let (had, has) = if field.repeated { ("one value", "many") } else { ("many values", "one") };
            let text = format!(
                "field `{name}` with number {number} had {had} and now has {has}: repeated numbers are packed; \
                 keep the label, or use a new number"
            );
            self.report("FIELD_NUMERIC_LABEL_CHANGED", path.to_owned(), name, text);
        }
        match (&field.kind, &written.kind) {
            (Kind::Message(reader), Kind::Message(writer)) if field.map && written.map => self.compare_entries(path, name, reader, writer),
            _ if field.map != written.map => self.report_kind_change(path, field, written),
            _ => self.compare_types(path, field, written),
        }
    }

    /// Compares the keys and values of two maps.
    fn compare_entries(&mut self, path: &str, name: &str, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        let (fields, written) = (wire_fields(self.reader, reader), wire_fields(self.writer, writer));
        for (number, mut field) in fields {
            let Some(written) = written.get(&number) else { continue };
            field.name = format!("{name}.{}", field.name);
            self.compare_types(&format!("{path}/{number}"), &field, written);
        }
    }

    fn compare_types(&mut self, path: &str, field: &WireField, written: &WireField) {
        let (name, number) = (&field.name, field.number);
        match (&field.kind, &written.kind) {
            (Kind::Message(reader), Kind::Message(writer)) if field.traits.delimited == written.traits.delimited => {
                // The name of a group comes from its field and doesn't matter.
                if field.traits.delimited
                    || same_name((&reader.parent_file(), reader.full_name()), (&writer.parent_file(), writer.full_name()))
                {
                    self.compare_later(reader, writer);
                } else {
                    self.report_type_change(path, field, written);
                }
            }
            (Kind::Enum(reader), Kind::Enum(writer)) => {
                if !same_name((&reader.parent_file(), reader.full_name()), (&writer.parent_file(), writer.full_name())) {
                    self.report_type_change(path, field, written);
                }
            }
            (Kind::Enum(_), other) | (other, Kind::Enum(_))
                if wire_encoding(other) == Some(WireEncoding::Varint) && *other != Kind::Bool => {}
            (reader, writer) => match (wire_encoding(reader), wire_encoding(writer)) {
                (Some(reader), Some(writer)) if reader == writer => {}
                (Some(_), Some(_)) => {
                    let (has, had) = (field.type_name(), written.type_name());
                    let text = format!(
                        "field `{name}` with number {number} changes from {had} to {has}, which has another encoding; use {}, or a new number",
                        compatible_types(writer)
                    );
                    self.report("FIELD_SCALAR_KIND_CHANGED", path.to_owned(), &has, text);
                }
                _ => self.report_kind_change(path, field, written),
            },
        }
    }

    fn report_kind_change(&mut self, path: &str, field: &WireField, written: &WireField) {
        let (has, had) = (field.type_name(), written.type_name());
        let text = format!(
            "field `{}` with number {} changes from {had} to {has}, which is of another kind; keep the type, or use a new number",
            field.name, field.number
        );
        self.report("FIELD_KIND_CHANGED", path.to_owned(), &has, text);
    }

    fn report_type_change(&mut self, path: &str, field: &WireField, written: &WireField) {
        let (has, had) = (field.type_name(), written.type_name());
        let text = format!(
            "field `{}` with number {} refers to {has} instead of {had}; keep the name of the type, or use a new number",
            field.name, field.number
        );
        self.report("FIELD_NAMED_TYPE_CHANGED", path.to_owned(), &has, text);
    }
}
