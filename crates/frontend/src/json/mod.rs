//! Transcodes JSON to protobuf and back (the "ProtoJSON format" in protobuf's documentation). Works from bytes to bytes by the tables of
//! [`MessageTypes`](super::message_types::MessageTypes), without a tree of values or a message struct.
//!
//! Decoding is strict, because a request that is half understood is worse than one that is refused. Unknown fields, unknown enum names,
//! duplicate fields and map keys, and two members of one `oneof` are errors. Each error has a JSON pointer (RFC 6901), a line and a column.
//! Names may be in lowerCamelCase or as in the proto file.
//!
//! Encoding writes every field without presence, also with its zero value, so that a response shows the whole message. Fields with presence
//! (`optional`, messages, members of a `oneof`) are written only if they are set. Empty repeated fields and maps are `[]` and `{}`.

mod decode;
mod decode_special;
mod encode;
mod encode_special;
mod fault;
mod reader;

#[cfg(test)]
pub(crate) mod tests;

pub use decode::{decode, decode_field};
pub use encode::{
    Occurrence, encode, encode_field, encode_field_as, encode_scalar, encode_streamed, encode_value_as, merged, occurrences_of, put_string,
    zero,
};
pub use fault::{JsonError, JsonText, Position, TextOrigin};
pub use reader::{JsonReader, Token};

pub(crate) use encode::{fits, occurrences};

/// How an API writes messages as JSON. The default is the ProtoJSON format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonStyle {
    /// Whether 64-bit integers are numbers instead of strings.
    pub numbers: bool,
    /// Whether members have their names in the proto file instead of lowerCamelCase.
    pub proto_names: bool,
    /// Whether fields and members with the zero value are written.
    pub zeros: ZeroValues,
}

/// Whether fields and members with the zero value are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroValues {
    /// They are written.
    #[default]
    Keep,
    /// They are omitted.
    Omit,
    /// They are omitted, except constant or computed members of mapped objects.
    OmitCopied,
}

/// Maximum nesting of messages, objects and lists, as in protobuf's own parsers.
pub const MAX_DEPTH: usize = 100;
