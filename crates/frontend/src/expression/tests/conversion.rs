use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    json::tests::message,
    message_types::Field,
    tests::{bytes, descriptor, shown},
};

fn field(name: &str) -> &'static Field {
    let message = SCHEMA.message(id("Everything"));
    &message.fields[message.by_name(name).unwrap()]
}

/// Puts each member of a map into the field with its name.
fn put_all(name: &str, value: &Value) -> Vec<u8> {
    let Value::Map(map) = value else { panic!("{value:?}") };
    let message = SCHEMA.message(id(name));
    let mut out = Vec::new();
    for (key, value) in map.map.iter() {
        let place = message.by_name(&key.to_string()).unwrap();
        value::put(&SCHEMA, &message.fields[place], value, &mut out).unwrap();
    }
    out
}

fn put(name: &str, value: impl Into<Value>) -> Result<serde_json::Value, String> {
    let mut out = Vec::new();
    value::put(&SCHEMA, field(name), &value.into(), &mut out)?;
    Ok(shown(&descriptor("Everything"), &out))
}

fn read(json: &serde_json::Value) -> Value {
    value::from_message(&SCHEMA, id("Everything"), &bytes("Everything", &json.to_string())).unwrap()
}

fn as_json(value: &Value) -> String {
    let mut out = Vec::new();
    value::to_json(value, &mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn messages_survive_a_round_trip(json in message()) {
        let bytes = bytes("Everything", &json.to_string());
        let value = value::from_message(&SCHEMA, id("Everything"), &bytes).unwrap();
        let back = put_all("Everything", &value);
        prop_assert_eq!(shown(&descriptor("Everything"), &back), shown(&descriptor("Everything"), &bytes));
        // `from_field` gives the same value as the whole message does.
        let Value::Map(map) = &value else { panic!() };
        for field in &SCHEMA.message(id("Everything")).fields {
            let single = value::from_field(&SCHEMA, id("Everything"), field, &bytes).unwrap();
            prop_assert_eq!(single.as_ref().map(as_json), map.get(&cel::objects::KeyRef::String(&field.name)).map(as_json));
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = value::from_message(&SCHEMA, id("Everything"), &bytes);
    }

    #[test]
    fn json_survives_a_round_trip(json in crate::json::tests::free()) {
        let text = as_json(&value::from_json(&json));
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json);
    }

    #[test]
    fn integers_are_never_truncated(number: i64, positive: u64) {
        let shown = |name: &str, value: Value| put(name, value).map(|shown| shown.as_object().unwrap().values().next().cloned());
        prop_assert_eq!(shown("int32_value", Value::Int(number)).is_ok(), i32::try_from(number).is_ok());
        prop_assert_eq!(shown("uint32_value", Value::UInt(positive)).is_ok(), u32::try_from(positive).is_ok());
        prop_assert_eq!(shown("int64_value", Value::UInt(positive)).is_ok(), i64::try_from(positive).is_ok());
        prop_assert_eq!(shown("fixed64_value", Value::Int(number)).is_ok(), number >= 0);
        if number != 0 {
            prop_assert_eq!(shown("sint64_value", Value::Int(number)), Ok(Some(json!(number.to_string()))));
        }
    }
}

#[test]
fn unset_fields_are_present_only_without_field_presence() {
    let value = read(&json!({}));
    let Value::Map(map) = &value else { panic!() };
    let mut names: Vec<String> = map.map.keys().map(ToString::to_string).collect();
    names.sort();
    let expected: Vec<&str> = "bool_value by_big by_bool by_number bytes_value color colors double_value doubles fixed32_value \
        fixed64_value float_value inners int32_value int64_value labels nothing numbers renamed revision sfixed32_value \
        sfixed64_value sint32_value sint64_value strings text_value times uint32_value uint64_value values"
        .split_whitespace()
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn each_field_type_converts_to_its_value() {
    let value = read(&json!({
        "int64Value": "-7", "fixed64Value": "18446744073709551615", "floatValue": 0.1, "color": 9, "bytesValue": "aGk=",
        "at": "2026-05-01T12:00:00.5Z", "ttl": "1.5s", "mask": "displayName,a.b", "maybeNumber": "5", "maybeBool": false,
        "structure": {"a": [1, null, {"b": "c"}]}, "anything": null, "byNumber": {"-3": {"name": "n"}}, "byBool": {"true": "COLOR_RED"},
        "any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"},
    }));
    let Value::Map(map) = &value else { panic!() };
    let get = |name: &str| as_json(map.get(&cel::objects::KeyRef::String(name)).unwrap());
    for (name, expected) in [
        ("int64_value", "-7"),
        ("fixed64_value", "18446744073709551615"),
        ("float_value", "0.1"),
        ("color", "9"),
        ("bytes_value", "\"aGk=\""),
        ("at", "\"2026-05-01T12:00:00.500Z\""),
        ("ttl", "\"1.500s\""),
        ("mask", "\"displayName,a.b\""),
        ("maybe_number", "5"),
        ("maybe_bool", "false"),
        ("structure", "{\"a\":[1.0,null,{\"b\":\"c\"}]}"),
        ("anything", "null"),
        ("by_number", "{\"-3\":{\"name\":\"n\",\"size\":0}}"),
        ("by_bool", "{\"true\":\"COLOR_RED\"}"),
        ("any", "{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"CAM=\"}"),
    ] {
        assert_eq!(get(name), expected, "{name}");
    }
}

#[test]
fn deeply_nested_messages_are_refused() {
    let mut message = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0x0a];
        crate::wire::put_bytes(&mut outer, &message);
        message = outer;
    }
    assert!(value::from_message(&SCHEMA, id("Tree"), &message).is_err());
    let deep = (0..120).fold(json!(null), |inner, _| json!([inner]));
    assert!(put("anything", value::from_json(&deep)).unwrap_err().ends_with("is nested deeper than 100 levels"));
}

#[test]
fn values_are_coerced_without_loss() {
    for (name, value, expected) in [
        ("int32_value", Value::Float(5.0), json!(5)),
        ("int64_value", Value::from("12"), json!("12")),
        ("uint64_value", Value::Int(3), json!("3")),
        ("double_value", Value::Int(3), json!(3.0)),
        ("bool_value", Value::from("true"), json!(true)),
        ("text_value", Value::from(b"hi".to_vec()), json!("hi")),
        ("bytes_value", Value::from("aGk"), json!("aGk=")),
        ("color", Value::from("COLOR_RED"), json!("COLOR_RED")),
        ("color", Value::Int(-2), json!("COLOR_DARK_BLUE")),
        ("at", Value::from("2026-05-01T14:00:00+02:00"), json!("2026-05-01T12:00:00Z")),
        ("ttl", Value::from("1.5s"), json!("1.500s")),
        ("maybe_text", Value::from("x"), json!("x")),
        ("anything", Value::Null, json!(null)),
        ("numbers", vec![1, 2].into(), json!([1, 2])),
        ("nested", value::from_json(&json!({"inner": {"name": "n"}, "tags": ["t"]})), json!({"inner": {"name": "n"}, "tags": ["t"]})),
        ("by_number", value::from_json(&json!({"5": {"size": "7"}})), json!({"5": {"size": 7}})),
    ] {
        let shown = put(name, value).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown.as_object().unwrap().values().next(), Some(&expected), "{name}");
    }
    assert_eq!(put("text_value", Value::Null), Ok(json!({})));
    assert_eq!(put("inners", Value::Null), Ok(json!({})));
}

#[test]
fn refusals_name_the_path_and_the_expected_value() {
    for (name, value, expected) in [
        ("int32_value", Value::Int(1 << 40), "`int32_value` must be a whole number from -2147483648 to 2147483647"),
        ("int32_value", Value::Float(1.5), "`int32_value` must be a whole number from -2147483648 to 2147483647"),
        ("uint64_value", Value::Int(-1), "`uint64_value` must be a whole number from 0 to 18446744073709551615"),
        ("float_value", Value::Float(1e300), "`float_value` is beyond what a float can hold"),
        ("double_value", Value::Int((1 << 53) + 1), "`double_value` is a whole number that a floating-point one can't hold exactly"),
        ("bool_value", Value::Int(1), "`bool_value` must be true or false"),
        ("text_value", Value::Int(1), "`text_value` must be a string; convert with string(…)"),
        ("text_value", Value::from(vec![0xff_u8]), "`text_value` must be text, and these bytes are not UTF-8"),
        ("color", Value::from("RED"), "`color` \"RED\" is not one of COLOR_DARK_BLUE, COLOR_UNSPECIFIED, COLOR_RED"),
        ("strings", Value::from("x"), "`strings` must be a list"),
        ("labels", Value::from("x"), "`labels` must be a map"),
        ("numbers", vec![Value::Int(1), Value::Null].into(), "`numbers[1]` must be a number"),
        ("at", Value::from("noon"), "`at` must be a time in RFC 3339 format, such as 2026-05-01T12:00:00Z"),
        ("inners", value::from_json(&json!([{"name": "a"}, {"name": 5}])), "`inners[1].name` must be a string; convert with string(…)"),
        (
            "inners",
            value::from_json(&json!([{"nmae": "a"}])),
            "`inners[0].nmae` is no field of prism.testing.transcoding.v1.Inner; its fields are name, size",
        ),
        (
            "by_number",
            value::from_json(&json!({"x": {}})),
            "`by_number[\"x\"]` has a key that must be a whole number from -2147483648 to 2147483647",
        ),
    ] {
        assert_eq!(put(name, value), Err(expected.to_owned()), "{name}");
    }
}

#[test]
fn a_static_type_that_never_fits_is_refused() {
    let table = [
        ("query.tags", "text_value", "a list can't be put into `text_value`, which is one string"),
        ("path.key", "strings", "a string can't be put into `strings`, which is a list, each item one string"),
        ("query.verbose", "int32_value", "a bool can't be put into `int32_value`, which is a whole number"),
        ("query.limit", "text_value", "an int can't be put into `text_value`, which is one string"),
        ("query.tags.map(tag, size(tag))", "strings", "an int can't be put into `strings[…]`, which is one string"),
        ("reply.inners", "nested", "a list can't be put into `nested`, which is a message Nested"),
        (
            "{\"inner\": {\"nmae\": path.key}}",
            "nested",
            "`nested.inner` has no field `nmae` (did you mean `name`?); the fields of Inner are name, size",
        ),
        ("{\"inner\": {\"size\": b\"x\"}}", "nested", "bytes can't be put into `nested.inner.size`, which is a whole number"),
        ("reply.choice_inner", "nested", "`nested` has no field `name`; the fields of Nested are inner, tags"),
        ("query.limit", "at", "an int can't be put into `at`, which is a time"),
        ("\"RED\"", "color", "`color` \"RED\" is not one of COLOR_DARK_BLUE, COLOR_UNSPECIFIED, COLOR_RED"),
        ("3000000000", "int32_value", "`int32_value` must be a whole number from -2147483648 to 2147483647"),
    ];
    for (text, name, expected) in table {
        assert_eq!(fits(&compile(text).unwrap(), field(name)), Err(expected.to_owned()), "{text}");
    }
    for (text, name) in [
        ("path.id", "int64_value"),
        ("path.key", "bool_value"),
        ("path.key", "color"),
        ("path.key", "bytes_value"),
        ("path.key", "at"),
        ("body.anything", "nested"),
        ("reply.choice_inner", "choice_inner"),
        ("[]", "strings"),
        ("null", "nested"),
        ("{\"inner\": {\"name\": path.key}, \"tags\": query.tags}", "nested"),
        ("header", "labels"),
        ("query.tags.map(tag, {\"name\": tag})", "inners"),
        ("{\"a\": 1}", "structure"),
        ("reply.color", "text_value"),
        ("\"COLOR_RED\"", "color"),
    ] {
        assert_eq!(fits(&compile(text).unwrap(), field(name)), Ok(()), "{text}");
    }
}

/// Checks whether a value can be put into a field, as the loader of definitions does: constants are also converted.
fn fits(expression: &Expression, field: &Field) -> Result<(), String> {
    value::assignable(&SCHEMA, expression.type_of(), field)?;
    expression.as_constant().map_or(Ok(()), |constant| value::put(&SCHEMA, field, constant, &mut Vec::new()).map_err(Into::into))
}
