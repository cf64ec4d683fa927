//! Static types of expressions, and the variables in scope.

use std::sync::Arc;

use cel::Value;

use crate::message_types::{EnumId, Field, FieldKind, FieldShape, MessageId, MessageTypes, WellKnownType};

/// The static type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// The type is known only at evaluation.
    Dyn,
    /// `null`: nothing is set.
    Null,
    /// `true` and `false`.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// An unsigned 64-bit integer, written `1u`.
    Uint,
    /// A floating-point number.
    Double,
    /// Text.
    String,
    /// Bytes, written `b"…"`.
    Bytes,
    /// A list with items of one type. The empty list has the item type [`Type::Null`].
    List(Box<Type>),
    /// A map from strings to values of one type.
    Map(Box<Type>),
    /// An object with known members.
    Object(Arc<Object>),
    /// A message. Its members are its fields, with their proto names.
    Message(MessageId),
    /// An enum. Its values are strings: the names of the enum values.
    Enum(EnumId),
}

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The known members.
    pub members: Vec<Member>,
    /// Whether the object may have other members. Their type is [`Type::Dyn`].
    pub open: bool,
}

/// A member of an [`Object`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name of the member, as it is selected.
    pub name: String,
    /// Type of its value.
    pub value: Type,
    /// Whether the member is always present. An optional member must be guarded with `has(…)`.
    pub required: bool,
}

/// Marks an entry of the scope as a path that is known to be present. No variable name begins with it.
const PRESENT: char = '?';

/// The variables that an expression may name. It is cheap to clone and to extend.
#[derive(Clone, Debug, Default)]
pub struct Scope(Option<Arc<Named>>);

#[derive(Debug)]
struct Named {
    name: String,
    value: Type,
    /// The value, if it is known already.
    constant: Option<Value>,
    outer: Scope,
}

impl Scope {
    /// Returns a scope without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns this scope with one more variable. It hides an older variable with the same name.
    #[must_use]
    pub fn with(&self, name: impl Into<String>, value: Type) -> Self {
        Self(Some(Arc::new(Named { name: name.into(), value, constant: None, outer: self.clone() })))
    }

    /// Returns this scope with one more variable whose value is known. An expression of such variables alone is a constant.
    #[must_use]
    pub fn with_constant(&self, name: impl Into<String>, constant: Value, value: Type) -> Self {
        Self(Some(Arc::new(Named { name: name.into(), value, constant: Some(constant), outer: self.clone() })))
    }

    /// Returns the value of a variable, if it is known.
    pub fn constant(&self, name: &str) -> Option<&Value> {
        self.each().find(|named| named.name == name)?.constant.as_ref()
    }

    /// Returns this scope with paths (such as `body.text`) that are known to be present, so that they need no guard.
    #[must_use]
    pub fn with_present(&self, paths: impl IntoIterator<Item = String>) -> Self {
        paths.into_iter().fold(self.clone(), |scope, path| scope.with(format!("{PRESENT}{path}"), Type::Bool))
    }

    /// Returns the paths that are known to be present.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        self.each().filter_map(|named| named.name.strip_prefix(PRESENT))
    }

    /// Returns the type of a variable.
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.each().find(|named| named.name == name).map(|named| &named.value)
    }

    /// Returns the names of all variables, in the order in which they were added.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for named in self.each().filter(|named| !named.name.starts_with(['@', '#', PRESENT])) {
            if !names.contains(&named.name.as_str()) {
                names.push(&named.name);
            }
        }
        names.reverse();
        names
    }

    fn each(&self) -> impl Iterator<Item = &Named> {
        std::iter::successors(self.0.as_deref(), |named| named.outer.0.as_deref())
    }
}

impl Object {
    /// Returns the member with this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl Type {
    /// Returns the type of a list with this item type.
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// Returns the type of a map from strings to this type.
    pub fn map(value: Self) -> Self {
        Self::Map(Box::new(value))
    }

    /// Returns the type of an object with exactly these members.
    pub fn object(members: impl IntoIterator<Item = Member>) -> Self {
        Self::Object(Arc::new(Object { members: members.into_iter().collect(), open: false }))
    }

    /// Returns the type of a message field.
    pub fn of_field(types: &MessageTypes, field: &Field) -> Self {
        let value = Self::of_kind(types, field.kind);
        match field.shape {
            FieldShape::Singular { .. } => value,
            FieldShape::Repeated => Self::list(value),
            FieldShape::Map(_) => Self::map(value),
        }
    }

    /// Returns the type of one value of a field kind.
    pub fn of_kind(types: &MessageTypes, kind: FieldKind) -> Self {
        match kind {
            FieldKind::Double | FieldKind::Float => Self::Double,
            FieldKind::Int32 | FieldKind::Int64 | FieldKind::Sint32 | FieldKind::Sint64 | FieldKind::Sfixed32 | FieldKind::Sfixed64 => {
                Self::Int
            }
            FieldKind::Uint32 | FieldKind::Uint64 | FieldKind::Fixed32 | FieldKind::Fixed64 => Self::Uint,
            FieldKind::Bool => Self::Bool,
            FieldKind::String => Self::String,
            FieldKind::Bytes => Self::Bytes,
            FieldKind::Enum(id) if types.enumeration(id).null => Self::Null,
            FieldKind::Enum(id) => Self::Enum(id),
            FieldKind::Message(id) => Self::of_message(types, id),
        }
    }

    /// Returns the type of a message, or of the value that replaces a well-known type.
    pub fn of_message(types: &MessageTypes, id: MessageId) -> Self {
        let message = types.message(id);
        match message.special {
            Some(WellKnownType::Timestamp | WellKnownType::Duration | WellKnownType::FieldMask) => Self::String,
            Some(WellKnownType::Wrapper) => message.fields.first().map_or(Self::Dyn, |field| Self::of_kind(types, field.kind)),
            Some(WellKnownType::Struct) => Self::map(Self::Dyn),
            Some(WellKnownType::ListValue) => Self::list(Self::Dyn),
            Some(WellKnownType::Value) => Self::Dyn,
            Some(WellKnownType::Any) => {
                Self::object(["@type", "value"].map(|name| Member { name: name.to_owned(), value: Self::String, required: true }))
            }
            Some(WellKnownType::Empty) | None => Self::Message(id),
        }
    }

    /// Returns a type that holds values of both types. Joined with `null`, a type stays the same, because `null` means that
    /// nothing is set.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (left, right) if left == right => left.clone(),
            (Self::Null, known) | (known, Self::Null) => known.clone(),
            (Self::Enum(_) | Self::String, Self::Enum(_) | Self::String) => Self::String,
            (Self::List(left), Self::List(right)) => Self::list(left.join(right)),
            (Self::Map(left), Self::Map(right)) => Self::map(left.join(right)),
            (Self::Map(_) | Self::Object(_), Self::Map(_) | Self::Object(_)) => Self::map(Self::Dyn),
            _ => Self::Dyn,
        }
    }

    /// Returns whether values of this type are text.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Enum(_))
    }

    /// Returns whether values of this type are numbers.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Describes the type in messages, such as `a string`.
    pub fn describe(&self, types: &MessageTypes) -> String {
        match self {
            Self::Dyn => "a value of any type".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Bool => "a bool".to_owned(),
            Self::Int => "an int".to_owned(),
            Self::Uint => "a uint".to_owned(),
            Self::Double => "a double".to_owned(),
            Self::String => "a string".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Object(_) => "an object".to_owned(),
            Self::Message(id) => format!("a message {}", short(&types.message(*id).name)),
            Self::Enum(id) => format!("an enum {}", short(&types.enumeration(*id).name)),
        }
    }
}

/// Returns the name of a type without its package.
pub fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
