//! Bodies of documents as JSON texts, as SQL databases store them.

use std::{fmt, io};

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Whole numbers up to here are exact in an IEEE 754 double, and are written without a fraction.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The JSON text of a body. Numbers that are equal have the same text.
pub fn write(body: &Struct) -> String {
    // Writing to memory does not fail, and names of fields are strings.
    serde_json::to_string(&ObjectText(body)).unwrap_or_default()
}

/// The JSON text of a value.
pub fn write_value(value: &Value) -> String {
    serde_json::to_string(&ValueText(value)).unwrap_or_default()
}

/// Bytes of the JSON text of a body.
pub fn size(body: &Struct) -> u64 {
    let mut counter = Counter(0);
    let _ = serde_json::to_writer(&mut counter, &ObjectText(body));
    counter.0
}

/// Reads the JSON text of a body; `None` if it is not that of an object.
pub fn read(text: &str) -> Option<Struct> {
    match read_value(text)?.kind {
        Some(Kind::StructValue(body)) => Some(body),
        _ => None,
    }
}

/// Reads the JSON text of a value.
pub fn read_value(text: &str) -> Option<Value> {
    serde_json::from_str::<Parsed>(text).ok().map(|parsed| parsed.0)
}

struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct ObjectText<'v>(&'v Struct);

impl Serialize for ObjectText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.fields.iter().map(|(name, value)| (name, ValueText(value))))
    }
}

struct ValueText<'v>(&'v Value);

impl Serialize for ValueText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            None | Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() <= EXACT =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within the range")]
                serializer.serialize_i64(*number as i64)
            }
            Some(Kind::NumberValue(number)) => serializer.serialize_f64(*number),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::ListValue(ListValue { values })) => serializer.collect_seq(values.iter().map(ValueText)),
            Some(Kind::StructValue(object)) => ObjectText(object).serialize(serializer),
        }
    }
}

struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(|kind| Self(Value { kind: Some(kind) }))
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::NullValue(0))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::BoolValue(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers have the precision of a double")]
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers have the precision of a double")]
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::StringValue(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::StringValue(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Kind, A::Error> {
        let mut values = Vec::new();
        while let Some(Parsed(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Kind::ListValue(ListValue { values }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let mut object = Struct::default();
        while let Some((name, Parsed(value))) = members.next_entry()? {
            object.fields.insert(name, value);
        }
        Ok(Kind::StructValue(object))
    }
}

/// The value of a JSON text that a test has written.
///
/// # Panics
/// If it is not a value of documents.
#[cfg(test)]
pub fn from_value(value: &serde_json::Value) -> Value {
    read_value(&value.to_string()).unwrap()
}

/// The body of a JSON text that a test has written.
///
/// # Panics
/// If it is not a body.
#[cfg(test)]
pub fn from_object(value: &serde_json::Value) -> Struct {
    read(&value.to_string()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in [
            r#"{"a":[1,-2.5,1e300,5e-324,null,true,false],"b":{"":"\u0000\"\\\n ä\u{10ffff}"}}"#.replace(r"\u{10ffff}", "\u{10ffff}"),
            "{}".to_owned(),
            r#"{"large":9007199254740992,"larger":1e16}"#.to_owned(),
        ] {
            let body = read(&text).unwrap();
            assert_eq!(read(&write(&body)).unwrap(), body);
            assert_eq!(size(&body), write(&body).len() as u64);
        }
        assert_eq!(write(&read(r#"{"a":1.0,"b":-0.0,"c":100000e-3}"#).unwrap()), r#"{"a":1,"b":0,"c":100}"#);
        assert_eq!(read("[]"), None);
        assert_eq!(read("{"), None);
    }
}
