//! The supported schema formats.

use std::{fmt, str::FromStr};

/// A schema format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaFormat {
    /// Apache Avro, <https://avro.apache.org/docs/1.12.0/specification/>.
    #[default]
    Avro,
    /// JSON Schema, drafts 4 to 2020-12, <https://json-schema.org/specification>.
    Json,
    /// Protocol Buffers, proto2, proto3 and editions, <https://protobuf.dev/reference/>.
    Protobuf,
}

impl SchemaFormat {
    /// All formats, in the order of listings.
    pub const ALL: [Self; 3] = [Self::Json, Self::Protobuf, Self::Avro];

    /// Returns the name: `AVRO`, `JSON` or `PROTOBUF`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

impl fmt::Display for SchemaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchemaFormat {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(())
    }
}
