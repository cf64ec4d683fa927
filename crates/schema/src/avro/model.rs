//! The data model of an Avro schema: a list of types that refer to each other by index.
//!
//! A recursive type is therefore not a cycle of pointers, and no code that walks or drops a schema has to recurse.

use serde_json::Value;

use super::{name::FullName, primitive::Primitive};

/// The index of a type in [`TypeGraph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TypeId(pub usize);

/// All types of a schema and of the schemas that it references.
#[derive(Clone, Debug)]
pub(super) struct TypeGraph {
    /// The types of the text and of its references.
    pub nodes: Vec<AvroType>,
    /// The type that the text itself describes.
    pub root: TypeId,
}

impl TypeGraph {
    /// Returns a type.
    pub fn node(&self, id: TypeId) -> &AvroType {
        &self.nodes[id.0]
    }

    /// Returns the kind of a type.
    pub fn kind(&self, id: TypeId) -> &AvroKind {
        &self.nodes[id.0].kind
    }

    /// Returns the names of a named type, or `None` for other types.
    pub fn named(&self, id: TypeId) -> Option<&NamedType> {
        self.kind(id).named()
    }
}

/// Attributes without a meaning for Avro, in the order of the text. `logicalType` is one of them.
pub(super) type Properties = Vec<(String, Value)>;

/// A type.
#[derive(Clone, Debug)]
pub(super) struct AvroType {
    /// The kind of the type, with what belongs to that kind.
    pub kind: AvroKind,
    /// Other attributes.
    pub properties: Properties,
    /// Whether a referenced schema defines the type.
    pub foreign: bool,
}

/// The kind of a type.
#[derive(Clone, Debug)]
pub(super) enum AvroKind {
    /// A primitive type.
    Primitive(Primitive),
    /// A list of values of one type.
    Array(TypeId),
    /// Text keys with values of one type.
    Map(TypeId),
    /// One of several types.
    Union(Vec<TypeId>),
    /// Named fields.
    Record(Record),
    /// One of some symbols.
    Enum(Enum),
    /// Bytes of one length.
    Fixed(Fixed),
    /// A name that was used before its definition was read. None is left when a text has been read completely.
    Forward,
}

impl AvroKind {
    /// Returns the names of a named type, or `None` for other types.
    pub fn named(&self) -> Option<&NamedType> {
        match self {
            Self::Record(record) => Some(&record.named),
            Self::Enum(symbols) => Some(&symbols.named),
            Self::Fixed(fixed) => Some(&fixed.named),
            _ => None,
        }
    }

    /// Returns Avro's name for the kind.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Primitive(primitive) => primitive.type_name(),
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum(_) => "enum",
            Self::Fixed(_) => "fixed",
            Self::Forward => "name",
        }
    }
}

/// The attributes that all named types have.
#[derive(Clone, Debug)]
pub(super) struct NamedType {
    /// Its name with its namespace.
    pub name: FullName,
    /// The documentation.
    pub doc: Option<String>,
    /// Names of writers' types that this type can read.
    pub aliases: Vec<FullName>,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Its names.
    pub named: NamedType,
    /// Whether it was declared as `error`. The type is the same apart from this word.
    pub error: bool,
    /// Its fields, in the order in which they are written.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub schema: TypeId,
    /// The documentation.
    pub doc: Option<String>,
    /// The value if the writer has no such field. `Some(Value::Null)` is a default too.
    pub default: Option<Value>,
    /// The order of this field when records are sorted.
    pub order: Order,
    /// Names of writers' fields that this field can read.
    pub aliases: Vec<String>,
    /// Other attributes.
    pub properties: Properties,
}

/// The sort order of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
    /// The field is ignored.
    Ignore,
}

/// An enum.
#[derive(Clone, Debug)]
pub(super) struct Enum {
    /// Its names.
    pub named: NamedType,
    /// Its symbols. Data contains their indexes.
    pub symbols: Vec<String>,
    /// The symbol that a reader uses for unknown symbols.
    pub default: Option<String>,
}

/// A type of a fixed number of bytes.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    /// Its names.
    pub named: NamedType,
    /// The length in bytes.
    pub size: u64,
}
