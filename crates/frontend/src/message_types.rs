//! Message types: tables that are compiled once from the descriptors, so that transcoding needs no look-ups by name.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};

use super::wire::WireType;
use prism_call::{Method, proto};

/// All message types of a descriptor pool.
#[derive(Debug, Default)]
pub struct MessageTypes {
    messages: Vec<MessageType>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
}

/// Identifies a message type in [`MessageTypes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(u32);

/// Identifies an enum in [`MessageTypes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(u32);

/// A message type.
#[derive(Debug)]
pub struct MessageType {
    /// Full name, such as `prism.patterns.keyvalue.v1.StoreRequest`.
    pub name: String,
    /// The fields, ordered by number.
    pub fields: Vec<Field>,
    /// Names of the oneofs, in their order.
    pub oneofs: Vec<String>,
    /// Set if the JSON form is not an object with the message's fields.
    pub special: Option<WellKnownType>,
    /// JSON names and proto names, sorted, each with the index of the field.
    names: Vec<(String, usize)>,
}

/// The message types that have their own JSON form ("ProtoJSON format", well-known types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnownType {
    /// `google.protobuf.Any`
    Any,
    /// `google.protobuf.Duration`
    Duration,
    /// `google.protobuf.Empty`: an ordinary object, except in an `Any`
    Empty,
    /// `google.protobuf.FieldMask`
    FieldMask,
    /// `google.protobuf.ListValue`
    ListValue,
    /// `google.protobuf.Struct`
    Struct,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Value`
    Value,
    /// `google.protobuf.StringValue` and the other wrappers: the bare value
    Wrapper,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// The name in the proto file.
    pub name: String,
    /// The name in JSON: in lowerCamelCase, or the `json_name` in the proto file.
    pub json_name: String,
    /// The JSON name in quotes, followed by a colon.
    pub json_key: String,
    /// Field number.
    pub number: u32,
    /// Type of the value, of an element, or of the values of a map.
    pub kind: FieldKind,
    /// Singular, repeated or map.
    pub shape: FieldShape,
    /// Index of the `oneof` in the message. `None` also for the synthetic one of an `optional` field.
    pub oneof: Option<usize>,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldShape {
    /// One value.
    Singular {
        /// Whether "not set" differs from the zero value.
        presence: bool,
    },
    /// A list of values.
    Repeated,
    /// A map with keys of this type.
    Map(FieldKind),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of protobuf's types")]
pub enum FieldKind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

/// An enum.
#[derive(Debug)]
pub struct Enum {
    /// Full name.
    pub name: String,
    /// Names and numbers in the order of the proto file.
    pub values: Vec<(String, i32)>,
    /// Whether it is `google.protobuf.NullValue`.
    pub null: bool,
}

static ALL: LazyLock<MessageTypes> = LazyLock::new(|| MessageTypes::of(proto::descriptors()));
static WITH_INTERFACES: LazyLock<MessageTypes> = LazyLock::new(|| MessageTypes::of(proto::all_descriptors()));

impl MessageTypes {
    /// Returns the types of the contracts of patterns.
    pub fn all() -> &'static Self {
        &ALL
    }

    /// Returns the types of the contracts of patterns and interfaces.
    pub fn with_interfaces() -> &'static Self {
        &WITH_INTERFACES
    }

    /// Returns the types that these RPCs need.
    pub fn of_methods(methods: &[Arc<Method>]) -> &'static Self {
        if methods.iter().any(|method| method.interface.is_some()) { &WITH_INTERFACES } else { &ALL }
    }

    /// Compiles the types of a descriptor pool.
    pub fn of(pool: &DescriptorPool) -> Self {
        let mut schema = Self::default();
        let (mut names, mut enums) = (HashMap::new(), HashMap::new());
        for (place, message) in (0..).zip(pool.all_messages()) {
            names.insert(message.full_name().to_owned(), MessageId(place));
        }
        for (place, descriptor) in (0..).zip(pool.all_enums()) {
            enums.insert(descriptor.full_name().to_owned(), EnumId(place));
            schema.enums.push(Enum::of(&descriptor));
        }
        schema.messages = pool.all_messages().map(|message| MessageType::of(&message, &names, &enums)).collect();
        schema.by_name = names;
        schema
    }

    /// Finds a message type by its full name.
    pub fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    /// Returns a message type.
    pub fn message(&self, id: MessageId) -> &MessageType {
        &self.messages[id.0 as usize]
    }

    /// Returns an enum.
    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0 as usize]
    }

    /// Returns the well-known type of a kind, if it is one.
    pub fn special(&self, kind: FieldKind) -> Option<WellKnownType> {
        match kind {
            FieldKind::Message(id) => self.message(id).special,
            _ => None,
        }
    }
}

impl MessageType {
    fn of(descriptor: &MessageDescriptor, messages: &HashMap<String, MessageId>, enums: &HashMap<String, EnumId>) -> Self {
        let mut fields: Vec<Field> = descriptor.fields().filter_map(|field| Field::of(&field, messages, enums)).collect();
        fields.sort_by_key(|field| field.number);
        let mut names: Vec<(String, usize)> = Vec::with_capacity(fields.len() * 2);
        for (place, field) in fields.iter().enumerate() {
            names.push((field.json_name.clone(), place));
            if field.name != field.json_name {
                names.push((field.name.clone(), place));
            }
        }
        names.sort();
        let oneofs = descriptor.oneofs().map(|oneof| oneof.name().to_owned()).collect();
        Self { name: descriptor.full_name().to_owned(), fields, oneofs, special: WellKnownType::of(descriptor.full_name()), names }
    }

    /// Returns the index of the field with this JSON name or proto name.
    pub fn by_name(&self, name: &str) -> Option<usize> {
        let found = self.names.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(self.names[found].1)
    }

    /// Returns the index of the field with this number.
    pub fn by_number(&self, number: u32) -> Option<usize> {
        // The fields of most messages are numbered 1, 2, 3 …
        let guess = (number as usize).wrapping_sub(1);
        if self.fields.get(guess).is_some_and(|field| field.number == number) {
            return Some(guess);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

impl WellKnownType {
    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "Duration" => Self::Duration,
            "Empty" => Self::Empty,
            "FieldMask" => Self::FieldMask,
            "ListValue" => Self::ListValue,
            "Struct" => Self::Struct,
            "Timestamp" => Self::Timestamp,
            "Value" => Self::Value,
            "BoolValue" | "BytesValue" | "DoubleValue" | "FloatValue" | "Int32Value" | "Int64Value" | "StringValue" | "UInt32Value"
            | "UInt64Value" => Self::Wrapper,
            _ => return None,
        })
    }
}

impl Field {
    /// Returns `None` for groups, which proto3 does not have.
    fn of(descriptor: &FieldDescriptor, messages: &HashMap<String, MessageId>, enums: &HashMap<String, EnumId>) -> Option<Self> {
        if descriptor.is_group() {
            return None;
        }
        let mut kind = FieldKind::of(&descriptor.kind(), messages, enums)?;
        let shape = if descriptor.is_map() {
            let ProtoKind::Message(entry) = descriptor.kind() else { return None };
            kind = FieldKind::of(&entry.map_entry_value_field().kind(), messages, enums)?;
            FieldShape::Map(FieldKind::of(&entry.map_entry_key_field().kind(), messages, enums)?)
        } else if descriptor.cardinality() == Cardinality::Repeated {
            FieldShape::Repeated
        } else {
            FieldShape::Singular { presence: descriptor.supports_presence() }
        };
        let oneof = descriptor.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let place = oneof.and_then(|oneof| oneof.parent_message().oneofs().position(|other| other == oneof));
        Some(Self {
            name: descriptor.name().to_owned(),
            json_name: descriptor.json_name().to_owned(),
            json_key: format!("{}:", serde_json::Value::from(descriptor.json_name())),
            number: descriptor.number(),
            kind,
            shape,
            oneof: place,
        })
    }

    /// Whether the field is a single scalar value.
    pub fn is_plain(&self) -> bool {
        matches!(self.shape, FieldShape::Singular { .. }) && !matches!(self.kind, FieldKind::Message(_))
    }
}

impl FieldKind {
    fn of(kind: &ProtoKind, messages: &HashMap<String, MessageId>, enums: &HashMap<String, EnumId>) -> Option<Self> {
        Some(match kind {
            ProtoKind::Double => Self::Double,
            ProtoKind::Float => Self::Float,
            ProtoKind::Int32 => Self::Int32,
            ProtoKind::Int64 => Self::Int64,
            ProtoKind::Uint32 => Self::Uint32,
            ProtoKind::Uint64 => Self::Uint64,
            ProtoKind::Sint32 => Self::Sint32,
            ProtoKind::Sint64 => Self::Sint64,
            ProtoKind::Fixed32 => Self::Fixed32,
            ProtoKind::Fixed64 => Self::Fixed64,
            ProtoKind::Sfixed32 => Self::Sfixed32,
            ProtoKind::Sfixed64 => Self::Sfixed64,
            ProtoKind::Bool => Self::Bool,
            ProtoKind::String => Self::String,
            ProtoKind::Bytes => Self::Bytes,
            ProtoKind::Message(message) => Self::Message(*messages.get(message.full_name())?),
            ProtoKind::Enum(descriptor) => Self::Enum(*enums.get(descriptor.full_name())?),
        })
    }

    /// The wire type of its values.
    pub const fn wire(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            Self::String | Self::Bytes | Self::Message(_) => WireType::Bytes,
            _ => WireType::Varint,
        }
    }
}

impl Enum {
    fn of(descriptor: &EnumDescriptor) -> Self {
        Self {
            name: descriptor.full_name().to_owned(),
            values: descriptor.values().map(|value| (value.name().to_owned(), value.number())).collect(),
            null: descriptor.full_name() == "google.protobuf.NullValue",
        }
    }

    /// Returns the number of a name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    /// Returns the first name of a number.
    pub fn value_name(&self, number: i32) -> Option<&str> {
        self.values.iter().find(|(_, known)| *known == number).map(|(name, _)| name.as_str())
    }
}
