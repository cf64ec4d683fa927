use proptest::prelude::*;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Map, Value, json};

use super::*;
use crate::tests::{self, SCHEMA, decode, descriptor, id, reference};

fn written(name: &str, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    encode(&SCHEMA, id(name), bytes, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What an error says of its place: field, line, column.
fn place(json: &str) -> (String, String, String) {
    let error = decode("Everything", json).unwrap_err();
    let field = error.violations().first().map(|violation| violation.field.clone()).unwrap_or_default();
    (field, error.get("line").unwrap().to_owned(), error.get("column").unwrap().to_owned())
}

/// Numbers that the other implementation's parser doesn't round: it reads only these exactly.
fn float() -> impl Strategy<Value = Value> {
    (-8_000_000..8_000_000_i32).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0))
}

fn inner() -> impl Strategy<Value = Value> {
    (".{0,4}", any::<i32>()).prop_map(|(name, size)| json!({"name": name, "size": size}))
}

pub fn free() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), float(), ".{0,4}".prop_map(Value::from)];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((".{0,3}", inner), 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object(keys: &'static str, values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::vec((keys, values), 0..3).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn many(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::vec(values, 0..4).prop_map(Value::from)
}

/// One field with a value that is right.
fn member() -> impl Strategy<Value = (&'static str, Value)> {
    let color = || prop_oneof![Just(json!("COLOR_RED")), Just(json!("COLOR_DARK_BLUE")), Just(json!(7)), Just(json!(-2))];
    let time =
        || "(19|20)[0-9]{2}-0[1-9]-[0-2][1-8]T[0-1][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:30)".prop_map(Value::from);
    let base64 = || {
        proptest::collection::vec(any::<u8>(), 0..6)
            .prop_map(|bytes| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into())
    };
    let names = |name: &'static str, values: BoxedStrategy<Value>| values.prop_map(move |value| (name, value)).boxed();
    proptest::strategy::Union::new([
        names("doubleValue", prop_oneof![float(), Just(json!("-Infinity"))].boxed()),
        names("floatValue", float().boxed()),
        names("int32_value", any::<i32>().prop_map(Value::from).boxed()),
        names("int64Value", any::<i64>().prop_map(|value| value.to_string().into()).boxed()),
        names("uint32Value", any::<u32>().prop_map(Value::from).boxed()),
        names("uint64Value", any::<u64>().prop_map(|value| value.to_string().into()).boxed()),
        names("sint32Value", any::<i32>().prop_map(Value::from).boxed()),
        names("sint64Value", any::<i64>().prop_map(Value::from).boxed()),
        names("fixed32Value", any::<u32>().prop_map(Value::from).boxed()),
        names("fixed64Value", any::<u64>().prop_map(Value::from).boxed()),
        names("sfixed32Value", any::<i32>().prop_map(Value::from).boxed()),
        names("sfixed64Value", any::<i64>().prop_map(Value::from).boxed()),
        names("boolValue", any::<bool>().prop_map(Value::from).boxed()),
        names("textValue", ".{0,8}".prop_map(Value::from).boxed()),
        names("bytesValue", base64().boxed()),
        names("color", color().boxed()),
        names("nested", inner().prop_map(|inner| json!({"inner": inner, "tags": ["a", ""]})).boxed()),
        names("optionalValue", any::<i32>().prop_map(Value::from).boxed()),
        names("numbers", many(any::<i32>().prop_map(Value::from)).boxed()),
        names("strings", many(".{0,4}".prop_map(Value::from)).boxed()),
        names("colors", many(color()).boxed()),
        names("inners", many(inner()).boxed()),
        names("doubles", many(float()).boxed()),
        names("labels", object(".{0,3}", ".{0,3}".prop_map(Value::from)).boxed()),
        names("byNumber", object("[1-9][0-9]{0,4}", inner()).boxed()),
        names("byBool", object("true|false", color()).boxed()),
        names("byBig", object("[1-9][0-9]{0,18}", base64()).boxed()),
        names("choiceInner", inner().boxed()),
        names("at", time().boxed()),
        names("ttl", "-?[0-9]{1,9}(\\.[0-9]{1,9})?s".prop_map(Value::from).boxed()),
        names("mask", Just(json!("a,fooBar.b")).boxed()),
        names("maybeText", ".{0,4}".prop_map(Value::from).boxed()),
        names("maybeNumber", any::<i64>().prop_map(|value| value.to_string().into()).boxed()),
        names("maybeBool", any::<bool>().prop_map(Value::from).boxed()),
        names("structure", object(".{0,3}", free()).boxed()),
        names("anything", free().boxed()),
        names("list", many(free()).boxed()),
        names("empty", Just(json!({})).boxed()),
        names("times", many(time()).boxed()),
        names("values", object(".{0,3}", free()).boxed()),
        names("other-name", ".{0,4}".prop_map(Value::from).boxed()),
    ])
}

/// A message of any fields that are right.
pub fn message() -> impl Strategy<Value = Value> {
    proptest::collection::vec(member(), 0..12)
        .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()))
}

proptest! {
    #[test]
    fn messages_match_a_reference_implementation(message in message()) {
        let json = message.to_string();
        let wanted = reference("Everything", &json);
        prop_assert_eq!(&decode("Everything", &json).unwrap(), &wanted, "{}", json);

        // And back: what we write is read to the same by the other one, and by us.
        let text = written("Everything", &tests::bytes("Everything", &json));
        prop_assert_eq!(&reference("Everything", &text), &wanted, "{}", text);
        prop_assert_eq!(&decode("Everything", &text).unwrap(), &wanted, "{}", text);
    }

    #[test]
    fn arbitrary_text_is_parsed_or_refused(text in r#"[\[\]{}:,"a-z0-9.@\\ ]{0,32}"#) {
        let _ = decode("Everything", &text);
    }

    #[test]
    fn arbitrary_bytes_are_encoded_or_refused(bytes: Vec<u8>) {
        let mut out = Vec::new();
        if encode(&SCHEMA, id("Everything"), &bytes, &mut out).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&out).is_ok());
        }
    }
}

#[test]
fn output_with_all_fields_matches_a_reference_implementation() {
    let json = r#"{"textValue":"\u0000\"ä","uint64Value":"18446744073709551615","color":"COLOR_RED","labels":{"a":"b"},"byBool":{"true":1},
        "at":"2026-05-01T12:00:00.120Z","maybeText":"","choiceNumber":0,"nothing":null,"anything":null,"byBig":{"7":"AQI="}}"#;
    let bytes = tests::bytes("Everything", json);
    let ours: Value = serde_json::from_str(&written("Everything", &bytes)).unwrap();
    let message = DynamicMessage::decode(descriptor("Everything"), bytes.as_slice()).unwrap();
    let mut other = Vec::new();
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut other), &options).unwrap();
    let mut other: Value = serde_json::from_slice(&other).unwrap();
    // The other one writes fields that have presence and are not set too.
    other.as_object_mut().unwrap().retain(|name, _| ours.get(name).is_some());
    assert_eq!(ours, other);
    assert_eq!(ours["choiceNumber"], json!(0));
    assert_eq!(ours["numbers"], json!([]));
    assert_eq!(ours.get("optionalValue"), None);
}

#[test]
fn errors_have_the_field_line_and_column() {
    let place_of = |json: &str| place(json);
    for (json, field, line, column) in [
        ("{\n  \"texValue\": 1}", "texValue", "2", "3"),
        (r#"{"inners":[{},{"name":7}]}"#, "inners[1].name", "1", "23"),
        (r#"{"labels":{"a.b":1}}"#, "labels[\"a.b\"]", "1", "18"),
        (r#"{"color":"COLOR_GREEN"}"#, "color", "1", "10"),
        (r#"{"textValue":"a","text_value":"b"}"#, "text_value", "1", "18"),
        (r#"{"labels":{"a":"1","a":"2"}}"#, "labels[\"a\"]", "1", "20"),
        (r#"{"choiceText":"a","choiceNumber":1}"#, "choiceNumber", "1", "19"),
        (r#"{"byNumber":{"x":{}}}"#, "byNumber[\"x\"]", "1", "14"),
        (r#"{"structure":{"a":1,"a":2}}"#, "structure[\"a\"]", "1", "21"),
        (r#"{"numbers":[1,2,null]}"#, "numbers[2]", "1", "17"),
        (r#"{"int32Value":2147483648}"#, "int32Value", "1", "15"),
        (r#"{"int32Value":1.5}"#, "int32Value", "1", "15"),
        (r#"{"boolValue":"true"}"#, "boolValue", "1", "14"),
        (r#"{"bytesValue":"?"}"#, "bytesValue", "1", "15"),
        (r#"{"at":"yesterday"}"#, "at", "1", "7"),
        (r#"{"optionalValue":"x"}"#, "optionalValue", "1", "18"),
        (r#"{"any":{"@type":"x/unknown.Type"}}"#, "any", "1", "8"),
        ("[]", "", "1", "1"),
    ] {
        assert_eq!(place_of(json), (field.to_owned(), line.to_owned(), column.to_owned()), "{json}");
    }
}

#[test]
fn syntax_errors_have_the_line_and_column() {
    for (json, line, column) in [
        ("{\"textValue\": \"a\",\n}", "2", "1"),
        ("", "1", "1"),
        ("{} x", "1", "4"),
        ("{\"textValue\":'a'}", "1", "14"),
        ("{\"a", "1", "4"),
    ] {
        let error = decode("Everything", json).unwrap_err();
        assert_eq!((error.reason(), error.get("line"), error.get("column")), ("MALFORMED_JSON", Some(line), Some(column)), "{json}");
    }
}

#[test]
fn synthetic_oneof_names_never_appear_in_errors() {
    let error = decode("Everything", r#"{"optional_value":{}}"#).unwrap_err();
    assert!(!format!("{error:?}").contains("_optional"), "{error:?}");
    let error = decode("Everything", r#"{"_optional_value":1}"#).unwrap_err();
    assert!(!error.message().replace("_optional_value: is no", "").contains("_optional"), "{error:?}");
}

#[test]
fn null_means_absent_except_in_protobuf_values() {
    let message =
        decode("Everything", r#"{"textValue":null,"numbers":null,"nested":null,"choiceText":null,"choiceNumber":3,"maybeText":null}"#)
            .unwrap();
    assert_eq!(message, reference("Everything", r#"{"choiceNumber":3}"#));
    let message = decode("Everything", r#"{"anything":null,"list":[null]}"#).unwrap();
    assert_eq!(message, json!({"anything": null, "list": [null]}));
}

#[test]
fn any_expands_known_types_and_keeps_bytes_of_unknown_types() {
    for json in [
        r#"{"any":{"name":"a","@type":"type.googleapis.com/prism.testing.transcoding.v1.Inner","size":1}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}}"#,
    ] {
        let message = decode("Everything", json).unwrap();
        assert_eq!(message, reference("Everything", json), "{json}");
        let text = written("Everything", &tests::bytes("Everything", json));
        assert_eq!(decode("Everything", &text).unwrap(), message, "{text}");
    }
    let unknown = prost::Message::encode_to_vec(&prost_types::Any { type_url: "x/unknown.Type".to_owned(), value: vec![1, 2] });
    let mut message = vec![0xda, 0x03];
    crate::wire::put_bytes(&mut message, &unknown);
    assert!(written("Everything", &message).contains(r#""any":{"@type":"x/unknown.Type","value":"AQI="}"#));
    assert_eq!(decode("Everything", r#"{"any":{"@type":"x/google.protobuf.Empty"}}"#).unwrap()["any"]["value"], json!({}));
    for bad in [
        r#"{"any":{"value":1}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Duration"}}"#,
        r#"{"any":{"@type":1}}"#,
        r#"{"any":{"@type":"a/google.protobuf.Empty","@type":"b"}}"#,
    ] {
        assert!(decode("Everything", bad).is_err(), "{bad}");
    }
}

#[test]
fn repeated_occurrences_of_a_field_are_merged() {
    let parts = [
        r#"{"nested":{"inner":{"name":"a","size":1}},"numbers":[1]}"#,
        r#"{"choiceText":"x"}"#,
        r#"{"nested":{"inner":{"name":"b"},"tags":["t"]},"numbers":[2],"choiceNumber":4}"#,
    ];
    let bytes: Vec<u8> = parts.iter().flat_map(|json| tests::bytes("Everything", json)).collect();
    assert_eq!(reference("Everything", &written("Everything", &bytes)), tests::shown(&descriptor("Everything"), &bytes));
}

#[test]
fn deeply_nested_messages_are_refused_in_both_directions() {
    let deep = |levels: usize| format!("{}{{}}{}", r#"{"child":"#.repeat(levels), "}".repeat(levels));
    assert!(decode("Tree", &deep(99)).is_ok());
    assert!(decode("Tree", &deep(100)).is_err());
    let mut message = Vec::new();
    for _ in 0..MAX_DEPTH {
        let mut outer = vec![0x12];
        crate::wire::put_bytes(&mut outer, &message);
        message = outer;
    }
    assert!(encode(&SCHEMA, id("Tree"), &message[3..], &mut Vec::new()).is_ok());
    assert!(encode(&SCHEMA, id("Tree"), &message, &mut Vec::new()).is_err());
}

#[test]
fn strings_are_escaped_like_the_reference() {
    let mut texts: Vec<String> = (0..300).map(|length| "x".repeat(length)).collect();
    for character in (0..=0x80).chain([0x7ff, 0x2028, 0xffff, 0x1_f600]).filter_map(char::from_u32) {
        // Before, on and behind the bounds of what is looked at together.
        texts.extend([0, 1, 62, 63, 64, 65, 127].map(|before| format!("{}{character}{character}\"", "y".repeat(before))));
    }
    texts.push("\"".repeat(200));
    for text in texts {
        let mut out = Vec::new();
        put_string(&text, &mut out);
        let reference = serde_json::to_string(&text).unwrap().replace("\\b", "\\u0008").replace("\\f", "\\u000c");
        assert_eq!(String::from_utf8(out).unwrap(), reference);
    }
}
