//! Fields by their numbers.
//!
//! Alike on the wire are `int32`, `uint32`, `int64`, `uint64` and `bool`; `sint32` and `sint64`; `string` and `bytes`;
//! `fixed32` and `sfixed32`; `fixed64` and `sfixed64`; and an enum with all integers of the first. One of several values is
//! the last one that was written, for texts, bytes and messages; numbers are packed, and can't be read alone.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::ProtobufComparison;
use crate::protobuf::{
    features::{self, WireTraits},
    link::LinkedFile,
};

/// A field or an extension: on the wire they are the same.
pub(super) struct WireField {
    pub number: u32,
    pub name: String,
    pub kind: Kind,
    pub repeated: bool,
    pub map: bool,
    pub traits: WireTraits,
    /// The oneof that it is written in.
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
            traits: features::of_field(linked, field),
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
            traits: features::of_extension(linked, field),
            oneof: None,
        }
    }

    /// Numbers are packed when there are many of them.
    fn numeric(&self) -> bool {
        !matches!(self.kind, Kind::String | Kind::Bytes | Kind::Message(_))
    }

    /// Its type as it is written.
    fn type_name(&self) -> String {
        match (&self.kind, self.map) {
            (Kind::Message(entry), true) => {
                let part = |number| entry.get_field(number).map_or_else(String::new, |field| named(&field.kind(), WireTraits::default()));
                format!("map<{}, {}>", part(1), part(2))
            }
            (kind, _) => named(kind, self.traits),
        }
    }
}

fn named(kind: &Kind, traits: WireTraits) -> String {
    match kind {
        Kind::Message(message) if traits.delimited => format!("group {}", message.full_name()),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// All that a message may hold, by number: its fields, and what extends it in these files.
pub(super) fn slots(linked: &LinkedFile, message: &MessageDescriptor) -> BTreeMap<u32, WireField> {
    let fields = message.fields().map(|field| WireField::of_field(linked, &field));
    let extensions = message.extensions().map(|field| WireField::of_extension(linked, &field));
    fields.chain(extensions).map(|slot| (slot.number, slot)).collect()
}

/// What is alike on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint,
    Zigzag,
    Bytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

fn wire(kind: &Kind) -> Option<Wire> {
    Some(match kind {
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool => Wire::Varint,
        Kind::Sint32 | Kind::Sint64 => Wire::Zigzag,
        Kind::String | Kind::Bytes => Wire::Bytes,
        Kind::Fixed32 | Kind::Sfixed32 => Wire::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Wire::Fixed64,
        Kind::Float => Wire::Float,
        Kind::Double => Wire::Double,
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

/// What to write instead of a type, so that data of another one can be read.
fn alike(kind: &Kind) -> &'static str {
    match wire(kind) {
        Some(Wire::Varint) => "int32, uint32, int64, uint64 or bool",
        Some(Wire::Zigzag) => "sint32 or sint64",
        Some(Wire::Bytes) => "string or bytes",
        Some(Wire::Fixed32) => "fixed32 or sfixed32",
        Some(Wire::Fixed64) => "fixed64 or sfixed64",
        Some(Wire::Float) => "float",
        Some(Wire::Double) => "double",
        None => "the type that it had",
    }
}

impl ProtobufComparison<'_> {
    /// A field of the reader with the one of the same number.
    pub(super) fn field(&mut self, path: &str, slot: &WireField, written: Option<&WireField>) {
        let (name, number) = (&slot.name, slot.number);
        if slot.traits.required && !written.is_some_and(|written| written.traits.required) {
            let text = if written.is_some() {
                format!("field `{name}` with number {number} becomes required: data without it can't be read; leave it optional")
            } else {
                format!("required field `{name}` with number {number} is new: data without it can't be read; make it optional")
            };
            self.found("REQUIRED_FIELD_ADDED", path.to_owned(), name, text);
        }
        let Some(written) = written else { return };
        if slot.repeated != written.repeated && !slot.map && !written.map && (slot.numeric() || written.numeric()) {
            let (had, has) = if slot.repeated { ("one value", "many") } else { ("many values", "one") };
            let text = format!(
                "field `{name}` with number {number} had {had} and has {has}: numbers are packed where there are many; \
                 keep the label, or use a new number"
            );
            self.found("FIELD_NUMERIC_LABEL_CHANGED", path.to_owned(), name, text);
        }
        match (&slot.kind, &written.kind) {
            (Kind::Message(reader), Kind::Message(writer)) if slot.map && written.map => self.entries(path, name, reader, writer),
            _ if slot.map != written.map => self.kind_changed(path, slot, written),
            _ => self.types(path, slot, written),
        }
    }

    /// The keys and values of two maps.
    fn entries(&mut self, path: &str, name: &str, reader: &MessageDescriptor, writer: &MessageDescriptor) {
        let (fields, written) = (slots(self.reader, reader), slots(self.writer, writer));
        for (number, mut slot) in fields {
            let Some(written) = written.get(&number) else { continue };
            slot.name = format!("{name}.{}", slot.name);
            self.types(&format!("{path}/{number}"), &slot, written);
        }
    }

    fn types(&mut self, path: &str, slot: &WireField, written: &WireField) {
        let (name, number) = (&slot.name, slot.number);
        match (&slot.kind, &written.kind) {
            (Kind::Message(reader), Kind::Message(writer)) if slot.traits.delimited == written.traits.delimited => {
                // A group is named by its field, whose name doesn't matter.
                if slot.traits.delimited || self.same_name(reader.full_name(), writer.full_name()) {
                    self.later(reader, writer);
                } else {
                    self.type_changed(path, slot, written);
                }
            }
            (Kind::Enum(reader), Kind::Enum(writer)) => {
                if !self.same_name(reader.full_name(), writer.full_name()) {
                    self.type_changed(path, slot, written);
                }
            }
            (Kind::Enum(_), other) | (other, Kind::Enum(_)) if wire(other) == Some(Wire::Varint) && *other != Kind::Bool => {}
            (reader, writer) => match (wire(reader), wire(writer)) {
                (Some(reader), Some(writer)) if reader == writer => {}
                (Some(_), Some(_)) => {
                    let (has, had) = (slot.type_name(), written.type_name());
                    let text = format!(
                        "field `{name}` with number {number} changes from {had} to {has}, which reads other bytes; use {}, or a new number",
                        alike(writer)
                    );
                    self.found("FIELD_SCALAR_KIND_CHANGED", path.to_owned(), &has, text);
                }
                _ => self.kind_changed(path, slot, written),
            },
        }
    }

    fn kind_changed(&mut self, path: &str, slot: &WireField, written: &WireField) {
        let (has, had) = (slot.type_name(), written.type_name());
        let text = format!(
            "field `{}` with number {} changes from {had} to {has}, which is of another kind; keep the type, or use a new number",
            slot.name, slot.number
        );
        self.found("FIELD_KIND_CHANGED", path.to_owned(), &has, text);
    }

    fn type_changed(&mut self, path: &str, slot: &WireField, written: &WireField) {
        let (has, had) = (slot.type_name(), written.type_name());
        let text = format!(
            "field `{}` with number {} refers to {has} instead of {had}; keep the name of the type, or use a new number",
            slot.name, slot.number
        );
        self.found("FIELD_NAMED_TYPE_CHANGED", path.to_owned(), &has, text);
    }
}
