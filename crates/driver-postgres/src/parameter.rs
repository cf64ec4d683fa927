//! Parameters of statements that are written for one request.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub enum Parameter {
    Number(i64),
    OptionalNumber(Option<i64>),
    Time(Option<SystemTime>),
    Text(String),
    Texts(Vec<String>),
    Bytes(Vec<u8>),
    ByteStrings(Vec<Vec<u8>>),
}

impl Parameter {
    /// The value with its type.
    pub fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Number(number) => (number, Type::INT8),
            Self::OptionalNumber(number) => (number, Type::INT8),
            Self::Time(time) => (time, Type::TIMESTAMPTZ),
            Self::Text(text) => (text, Type::TEXT),
            Self::Texts(texts) => (texts, Type::TEXT_ARRAY),
            Self::Bytes(bytes) => (bytes, Type::BYTEA),
            Self::ByteStrings(strings) => (strings, Type::BYTEA_ARRAY),
        }
    }
}
