//! The primitive types.

/// A primitive type.
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

    /// Returns Avro's name for the type.
    pub fn type_name(self) -> &'static str {
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

    /// Returns the primitive type with a name.
    pub fn from_name(type_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primitive| primitive.type_name() == type_name)
    }

    /// Returns whether data written as `writer` can be read as this type ("Schema Resolution").
    pub fn can_read(self, writer: Self) -> bool {
        match self {
            Self::Long => matches!(writer, Self::Int | Self::Long),
            Self::Float => matches!(writer, Self::Int | Self::Long | Self::Float),
            Self::Double => matches!(writer, Self::Int | Self::Long | Self::Float | Self::Double),
            Self::Bytes | Self::String => matches!(writer, Self::Bytes | Self::String),
            Self::Null | Self::Boolean | Self::Int => self == writer,
        }
    }
}
