//! A schema as it is worked with: all its types in one list, each referring to others by their place in it.
//!
//! A type that refers to itself is no cycle of pointers that way, and nothing that walks or drops a schema has to recurse.

use serde_json::Value;

use super::name::FullName;

/// The place of a type in [`TypeGraph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TypeId(pub usize);

/// A schema and all that it refers to.
#[derive(Clone, Debug)]
pub(super) struct TypeGraph {
    /// All types, of the text itself and of those that it refers to.
    pub nodes: Vec<AvroType>,
    /// The type that the text as a whole is.
    pub root: TypeId,
}

impl TypeGraph {
    /// The type at a place.
    pub fn node(&self, id: TypeId) -> &AvroType {
        &self.nodes[id.0]
    }

    /// What kind of type is at a place.
    pub fn kind(&self, id: TypeId) -> &AvroKind {
        &self.nodes[id.0].kind
    }

    /// What a named type is called by; `None` for all others.
    pub fn named(&self, id: TypeId) -> Option<&NamedType> {
        self.kind(id).named()
    }
}

/// Attributes that mean nothing to Avro, `logicalType` among them, in the order of the text.
pub(super) type Properties = Vec<(String, Value)>;

/// A type.
#[derive(Clone, Debug)]
pub(super) struct AvroType {
    /// What it is.
    pub kind: AvroKind,
    /// What else its text says.
    pub properties: Properties,
    /// It comes from another text.
    pub foreign: bool,
}

/// What a type is.
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
    /// A name that wasn't known where it was read. None is left once a text is read.
    Forward,
}

impl AvroKind {
    /// What a named type is called by; `None` for all others.
    pub fn named(&self) -> Option<&NamedType> {
        match self {
            Self::Record(record) => Some(&record.named),
            Self::Enum(symbols) => Some(&symbols.named),
            Self::Fixed(fixed) => Some(&fixed.named),
            _ => None,
        }
    }

    /// What Avro calls it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Primitive(primitive) => primitive.word(),
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

/// The primitive types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Primitive {
    /// No value.
    Null,
    /// A truth value.
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// IEEE 754, 32 bits.
    Float,
    /// IEEE 754, 64 bits.
    Double,
    /// Any bytes.
    Bytes,
    /// UTF-8.
    String,
}

impl Primitive {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::Null, Self::Boolean, Self::Int, Self::Long, Self::Float, Self::Double, Self::Bytes, Self::String];

    /// What Avro calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }

    /// The type of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primitive| primitive.word() == word)
    }

    /// Whether what was written as `writer` can be read as this ("Schema Resolution").
    pub fn reads(self, writer: Self) -> bool {
        match self {
            Self::Long => matches!(writer, Self::Int | Self::Long),
            Self::Float => matches!(writer, Self::Int | Self::Long | Self::Float),
            Self::Double => matches!(writer, Self::Int | Self::Long | Self::Float | Self::Double),
            Self::Bytes | Self::String => matches!(writer, Self::Bytes | Self::String),
            Self::Null | Self::Boolean | Self::Int => self == writer,
        }
    }
}

/// What all named types have.
#[derive(Clone, Debug)]
pub(super) struct NamedType {
    /// Its name with its namespace.
    pub name: FullName,
    /// For people.
    pub doc: Option<String>,
    /// Names of writers' types that are read as this one.
    pub aliases: Vec<FullName>,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Its names.
    pub named: NamedType,
    /// It was declared as `error`, which differs in nothing but the word.
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
    /// For people.
    pub doc: Option<String>,
    /// What it is where the writer has no such field; `Some(Value::Null)` is a default, too.
    pub default: Option<Value>,
    /// How it counts when records are sorted.
    pub order: Order,
    /// Names of writers' fields that are read as this one.
    pub aliases: Vec<String>,
    /// What else its text says.
    pub properties: Properties,
}

/// How a field counts when records are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
    /// Not at all.
    Ignore,
}

/// An enum.
#[derive(Clone, Debug)]
pub(super) struct Enum {
    /// Its names.
    pub named: NamedType,
    /// Its symbols, in the order by which they are written.
    pub symbols: Vec<String>,
    /// What a reader takes a symbol for that it doesn't have.
    pub default: Option<String>,
}

/// A type of a fixed number of bytes.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    /// Its names.
    pub named: NamedType,
    /// How many bytes.
    pub size: u64,
}
