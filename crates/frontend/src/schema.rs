//! Message types, compiled once from the descriptors into tables that transcoding walks without looking anything up twice.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};

use super::wire::WireType;
use prism_call::proto;

/// All message types of a descriptor pool.
#[derive(Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, MessageId>,
}

/// Names a message type of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(u32);

/// Names an enum of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumId(u32);

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// Full name, as `prism.patterns.keyvalue.v1.StoreRequest`.
    pub name: String,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
    /// What JSON makes of it, where that is not an object of its fields.
    pub special: Option<Special>,
    /// JSON names and proto names, sorted, each with the field's place.
    names: Vec<(String, usize)>,
}

/// The types that have a JSON form of their own ("ProtoJSON format", well-known types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
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
    /// `google.protobuf.StringValue` and its like: the bare value
    Wrapper,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// As in the proto file.
    pub name: String,
    /// As in JSON: lowerCamelCase, or what the proto file says.
    pub json_name: String,
    /// The JSON name in quotes with the colon, ready to be written.
    pub json_key: String,
    /// Number on the wire.
    pub number: u32,
    /// Type of the value, of one element, or of a map's values.
    pub kind: Kind,
    /// One, many, or a map.
    pub shape: Shape,
    /// Place of the `oneof` in the message; none for the synthetic ones of `optional`, which are nobody's business.
    pub oneof: Option<usize>,
}

/// How often a field may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Once. With presence, "not set" differs from the zero value.
    Singular {
        /// Whether it can be told if the field is set.
        presence: bool,
    },
    /// Any number of times.
    Repeated,
    /// A map with keys of this type.
    Map(Kind),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of protobuf's types")]
pub enum Kind {
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
    /// Names and numbers in their order; aliases follow what they alias.
    pub values: Vec<(String, i32)>,
    /// Whether it is `google.protobuf.NullValue`.
    pub null: bool,
}

static ALL: LazyLock<Schema> = LazyLock::new(|| Schema::of(proto::descriptors()));

impl Schema {
    /// The types of the compiled contracts.
    pub fn all() -> &'static Self {
        &ALL
    }

    /// The types of a pool.
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
        schema.messages = pool.all_messages().map(|message| Message::of(&message, &names, &enums)).collect();
        schema.by_name = names;
        schema
    }

    /// A type by its full name.
    pub fn find(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    /// A type.
    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0 as usize]
    }

    /// An enum.
    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0 as usize]
    }

    /// The special form of a type, if the type is a message that has one.
    pub fn special(&self, kind: Kind) -> Option<Special> {
        match kind {
            Kind::Message(id) => self.message(id).special,
            _ => None,
        }
    }
}

impl Message {
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
        Self { name: descriptor.full_name().to_owned(), fields, special: Special::of(descriptor.full_name()), names }
    }

    /// A field by its JSON name or its proto name.
    pub fn by_name(&self, name: &str) -> Option<usize> {
        let found = self.names.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(self.names[found].1)
    }

    /// A field by its number.
    pub fn by_number(&self, number: u32) -> Option<usize> {
        // Nearly all messages are numbered 1, 2, 3 …
        let guess = (number as usize).wrapping_sub(1);
        if self.fields.get(guess).is_some_and(|field| field.number == number) {
            return Some(guess);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

impl Special {
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
    /// Groups and extensions are older than proto3 and have no place here: they are left out.
    fn of(descriptor: &FieldDescriptor, messages: &HashMap<String, MessageId>, enums: &HashMap<String, EnumId>) -> Option<Self> {
        if descriptor.is_group() {
            return None;
        }
        let mut kind = Kind::of(&descriptor.kind(), messages, enums)?;
        let shape = if descriptor.is_map() {
            let ProtoKind::Message(entry) = descriptor.kind() else { return None };
            kind = Kind::of(&entry.map_entry_value_field().kind(), messages, enums)?;
            Shape::Map(Kind::of(&entry.map_entry_key_field().kind(), messages, enums)?)
        } else if descriptor.cardinality() == Cardinality::Repeated {
            Shape::Repeated
        } else {
            Shape::Singular { presence: descriptor.supports_presence() }
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

    /// Whether the field is one value that is no message.
    pub fn is_plain(&self) -> bool {
        matches!(self.shape, Shape::Singular { .. }) && !matches!(self.kind, Kind::Message(_))
    }
}

impl Kind {
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

    /// How its values are framed.
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

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    /// The first name of a number.
    pub fn value_name(&self, number: i32) -> Option<&str> {
        self.values.iter().find(|(_, known)| *known == number).map(|(name, _)| name.as_str())
    }
}
