//! JSON to protobuf and back (the "ProtoJSON format" of protobuf's documentation), bytes to bytes by the tables of
//! [`Schema`](super::schema::Schema): no tree of values and no message object in between.
//!
//! Reading is strict, since a request that is half understood is worse than one that is refused: unknown fields, unknown
//! enum names, fields and map keys that stand twice, and two members of one `oneof` are errors. Each names the place as a
//! JSON pointer (RFC 6901) and as line and column. Names are taken in lowerCamelCase and as the proto file writes them.
//!
//! Writing gives every field without presence, also where it has its zero value, so that somebody who reads an answer
//! sees the whole shape of it; fields with presence (`optional`, messages, members of a `oneof`) stand only where they are
//! set. Repeated fields and maps that are empty are `[]` and `{}`.

mod decode;
mod decode_special;
mod encode;
mod encode_special;
mod fault;
mod reader;

#[cfg(test)]
pub(crate) mod tests;

pub use decode::{decode, decode_field};
pub use encode::{encode, encode_field, encode_field_as, encode_scalar, encode_value_as};
pub use fault::{Fault, Origin, Position, Text};
pub use reader::{Reader, Token};

pub(crate) use encode::{Occurrence, fits, merged, occurrences, put_string, zero};

/// How messages are written, where an API wants it otherwise than the ProtoJSON format does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// 64-bit integers are numbers, not strings.
    pub numbers: bool,
    /// Members are named as in the proto file, not in lowerCamelCase.
    pub proto_names: bool,
    /// What becomes of fields and members that have their zero value.
    pub zeros: Zeros,
}

/// What becomes of what has its zero value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// It is written.
    #[default]
    Keep,
    /// It is left out.
    Omit,
    /// It is left out, but for members of mapped objects that are constant or computed.
    OmitCopied,
}

/// How deeply messages, objects and lists may be nested; protobuf's parsers stop there too.
pub const MAX_DEPTH: usize = 100;
