//! Values of documents: their order, their equality, and the checks of bodies.

use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{MAX_BODY_BYTES, MAX_DEPTH, json};
use prism_call::Error;

/// A value as bytes. Two values are equal if and only if their keys are, and the order of keys is that of the contract: no value, null, false, true, numbers,
/// strings by the bytes of their UTF-8, lists, objects.
pub type Key = Vec<u8>;

/// The first byte of a key says of which type the value is.
pub mod rank {
    /// No value.
    pub const ABSENT: u8 = 0;
    /// JSON null.
    pub const NULL: u8 = 1;
    /// false
    pub const FALSE: u8 = 2;
    /// true
    pub const TRUE: u8 = 3;
    /// A number; eight bytes follow.
    pub const NUMBER: u8 = 4;
    /// A string; its UTF-8 follows.
    pub const STRING: u8 = 5;
    /// A list; the keys of its elements follow, each after its length.
    pub const LIST: u8 = 6;
    /// An object; names and keys follow, each after its length.
    pub const OBJECT: u8 = 7;
}

/// The key of a value, or of its absence.
pub fn key(value: Option<&Value>) -> Key {
    let mut key = Key::new();
    match value {
        None => key.push(rank::ABSENT),
        Some(value) => put_key(value, &mut key),
    }
    key
}

/// The key of a string.
pub fn string_key(text: &str) -> Key {
    [&[rank::STRING], text.as_bytes()].concat()
}

fn put_key(value: &Value, key: &mut Key) {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => key.push(rank::NULL),
        Some(Kind::BoolValue(false)) => key.push(rank::FALSE),
        Some(Kind::BoolValue(true)) => key.push(rank::TRUE),
        Some(Kind::NumberValue(number)) => {
            key.push(rank::NUMBER);
            key.extend(ordered_bits(*number).to_be_bytes());
        }
        Some(Kind::StringValue(text)) => {
            key.push(rank::STRING);
            key.extend(text.as_bytes());
        }
        Some(Kind::ListValue(ListValue { values })) => {
            key.push(rank::LIST);
            for value in values {
                put_sized(key, |key| put_key(value, key));
            }
        }
        Some(Kind::StructValue(Struct { fields })) => {
            key.push(rank::OBJECT);
            for (name, value) in fields {
                put_sized(key, |key| key.extend(name.as_bytes()));
                put_sized(key, |key| put_key(value, key));
            }
        }
    }
}

fn put_sized(key: &mut Key, put: impl FnOnce(&mut Key)) {
    let at = key.len();
    key.extend([0; 4]);
    put(key);
    let size = u32::try_from(key.len() - at - 4).unwrap_or(u32::MAX);
    key[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// The bits of a number, whose order as integers is that of the numbers. Minus zero is zero.
fn ordered_bits(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Whether two values are equal: lists element by element, objects field by field.
pub fn equal(one: &Value, other: &Value) -> bool {
    match (&one.kind, &other.kind) {
        (Some(Kind::ListValue(one)), Some(Kind::ListValue(other))) => {
            one.values.len() == other.values.len() && one.values.iter().zip(&other.values).all(|(one, other)| equal(one, other))
        }
        (Some(Kind::StructValue(one)), Some(Kind::StructValue(other))) => {
            one.fields.len() == other.fields.len()
                && one.fields.iter().zip(&other.fields).all(|(one, other)| one.0 == other.0 && equal(one.1, other.1))
        }
        (Some(Kind::NullValue(_)), Some(Kind::NullValue(_))) => true,
        (one, other) => one == other,
    }
}

/// JSON null.
pub fn null() -> Value {
    Value { kind: Some(Kind::NullValue(0)) }
}

/// A number.
pub fn number(number: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(number)) }
}

/// Checks the body of a document, and returns its size as JSON.
pub fn check_body(field: &str, body: &Struct) -> Result<u64, Error> {
    let mut path = vec![field];
    for (name, value) in &body.fields {
        path.push(name);
        check_within(&mut path, value, 1)?;
        path.pop();
    }
    let size = json::size(body);
    if size > MAX_BODY_BYTES {
        return Err(too_large(field, format!("has {size} bytes as JSON; at most {MAX_BODY_BYTES} are allowed"), MAX_BODY_BYTES));
    }
    Ok(size)
}

/// Checks that a value has what JSON has: numbers that are finite, and a kind everywhere.
pub fn check_value(field: &str, value: &Value) -> Result<(), Error> {
    check_within(&mut vec![field], value, 0)
}

fn check_within<'v>(path: &mut Vec<&'v str>, value: &'v Value, depth: usize) -> Result<(), Error> {
    match &value.kind {
        None => return Err(Error::invalid(path.join("."), "has no value; JSON null is null_value")),
        Some(Kind::NumberValue(number)) if !number.is_finite() => {
            return Err(Error::invalid(path.join("."), "is not a finite number, and JSON has no others"));
        }
        Some(Kind::StructValue(_) | Kind::ListValue(_)) if depth == MAX_DEPTH => {
            return Err(too_large(path[0], format!("has more than {MAX_DEPTH} levels of objects and lists"), MAX_DEPTH as u64));
        }
        Some(Kind::StructValue(Struct { fields })) => {
            for (name, value) in fields {
                path.push(name);
                check_within(path, value, depth + 1)?;
                path.pop();
            }
        }
        Some(Kind::ListValue(ListValue { values })) => {
            for value in values {
                check_within(path, value, depth + 1)?;
            }
        }
        Some(_) => {}
    }
    Ok(())
}

fn too_large(field: &str, problem: String, limit: u64) -> Error {
    Error::invalid(field, problem).with_reason("VALUE_TOO_LARGE").with("limit", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_have_the_order_of_the_contract() {
        let ordered = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1e300),
            json!(-1),
            json!(-1e-300),
            json!(0),
            json!(5e-324),
            json!(2),
            json!(10),
            json!(""),
            json!("\0"),
            json!("A"),
            json!("a"),
            json!("a\0"),
            json!("ä"),
            json!("\u{ffff}"),
            json!("\u{10000}"),
            json!([]),
            json!({}),
        ];
        let mut keys = vec![key(None)];
        keys.extend(ordered.iter().map(|value| key(Some(&json::from_value(value)))));
        assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
    }

    #[test]
    fn keys_are_equal_if_values_are() {
        let values: Vec<Value> = [
            json!(0),
            json!("0"),
            json!([1, 2]),
            json!([[1], 2]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": 1, "b": {"c": null}}),
            json!({"a": 1}),
            json!({"b": 1}),
            json!([]),
            json!({}),
        ]
        .iter()
        .map(json::from_value)
        .collect();
        for one in &values {
            for other in &values {
                assert_eq!(equal(one, other), key(Some(one)) == key(Some(other)), "{one:?} {other:?}");
                assert_eq!(equal(one, other), std::ptr::eq(one, other), "{one:?} {other:?}");
            }
        }
        assert_eq!(key(Some(&number(0.0))), key(Some(&number(-0.0))));
        assert!(equal(&number(0.0), &number(-0.0)));
    }

    #[test]
    fn bodies_are_limited() {
        let nested = |levels: usize| {
            (1..levels).fold(Struct::default(), |inner, _| Struct {
                fields: [("a".to_owned(), Value { kind: Some(Kind::StructValue(inner)) })].into(),
            })
        };
        assert_eq!(check_body("body", &nested(1)).unwrap(), 2);
        check_body("body", &nested(MAX_DEPTH)).unwrap();
        let error = check_body("body", &nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!((error.reason(), error.get("limit")), ("VALUE_TOO_LARGE", Some("32")));
        let text = |bytes| json::from_object(&json!({"a": "x".repeat(bytes)}));
        check_body("body", &text((1 << 20) - 8)).unwrap();
        let error = check_body("replacement", &text((1 << 20) - 7)).unwrap_err();
        assert_eq!((error.get("limit"), error.violations()[0].field.as_str()), (Some("1048576"), "replacement"));
        let odd = |kind| Struct { fields: [("a".to_owned(), Value { kind })].into() };
        for kind in [None, Some(Kind::NumberValue(f64::NAN)), Some(Kind::NumberValue(f64::INFINITY))] {
            let error = check_body("body", &odd(kind)).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("INVALID_FIELD", "body.a"));
        }
    }
}
