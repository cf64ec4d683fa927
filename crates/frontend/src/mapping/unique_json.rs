//! Parses JSON, and refuses objects in which a name appears twice.
//!
//! Parsers differ in which of the two members counts (RFC 8259, section 4), so something that checks a request before Prism may see
//! another value than Prism.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use crate::json::Position;
use prism_call::{Code, Error as CallError};

/// Parses a JSON text. The error has line and column.
pub fn parse_json(bytes: &[u8]) -> Result<Json, CallError> {
    parse_json_at(bytes, Position::default())
}

/// Parses a JSON text that begins at a position of a larger one.
pub fn parse_json_at(bytes: &[u8], start: Position) -> Result<Json, CallError> {
    serde_json::from_slice(bytes).map(|UniqueJson(json)| json).map_err(|error| {
        let line = start.line + error.line().saturating_sub(1);
        let column = error.column() + if error.line() <= 1 { start.column - 1 } else { 0 };
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        let message = format!("the body is not valid JSON: {reason} at line {line}, column {column}");
        CallError::new(Code::InvalidArgument, "MALFORMED_JSON", message).with("line", line.to_string()).with("column", column.to_string())
    })
}

/// A JSON value whose objects have unique names.
struct UniqueJson(Json);

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(UniqueJson(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{name}` appears twice")));
            }
            let UniqueJson(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Json::Object(map))
    }
}
