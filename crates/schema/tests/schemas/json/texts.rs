//! Schema texts: their canonical form, and refused texts.

use prism_schema::{CompatibilityPolicy, json};
use proptest::prelude::*;

use crate::json::{differences, generate, invalid, schema};

#[test]
fn canonical_keeps_order_and_numbers() {
    let text = " { \"title\" : \"a \\\" \\u00e9 \\/ b\" ,\n \"minimum\" : 1.0 , \"maximum\":123456789012345678901234567890.10, \"enum\":[1e3, -0, {}, [ ]], \"description\":\"\" } ";
    let canonical =
        r#"{"title":"a \" é / b","minimum":1.0,"maximum":123456789012345678901234567890.10,"enum":[1e3,-0,{},[]],"description":""}"#;
    assert_eq!(schema(text).canonical(), canonical);
    assert_eq!(schema(" true ").canonical(), "true");
}

#[test]
fn normalized_form_sorts_members_and_keeps_the_order_of_lists() {
    let text = r#"{"type":["string","null"],"required":["b","a"],"properties":{"b":{"type":"string","minLength":1.0},"a":true}}"#;
    let normalized = r#"{"properties":{"a":true,"b":{"minLength":1.0,"type":"string"}},"required":["b","a"],"type":["string","null"]}"#;
    assert_eq!(schema(text).normalized(), normalized);
    assert_eq!(schema(text).canonical(), text);
    assert_eq!(schema(text).render_as("serialized"), None);
}

#[test]
fn a_member_that_is_written_twice_counts_once() {
    assert_eq!(schema(r#"{"title":"a","type":"null","title":"b"}"#).canonical(), r#"{"title":"b","type":"null"}"#);
}

#[test]
fn errors_of_texts_that_are_no_schemas_name_the_position() {
    let cases: [(&str, &[&str]); 14] = [
        ("", &["not JSON", "line 1 column 0"]),
        ("{\n \"type\": }", &["not JSON", "line 2 column 10"]),
        ("[]", &["an object"]),
        ("\"string\"", &["an object"]),
        ("1", &["an object"]),
        (r#"{"type":"text"}"#, &["draft 7", "`/type`"]),
        (r#"{"properties":{"a":{"minLength":-1}}}"#, &["`/properties/a/minLength`"]),
        (r#"{"required":"a"}"#, &["`/required`"]),
        (r#"{"properties":{"a":{"pattern":"("}}}"#, &["/properties/a/pattern"]),
        (r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","pattern":"("}"#, &["/pattern", "regular expression"]),
        (r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","items":[{}]}"#, &["2020-12", "`/items`"]),
        (r#"{"$schema":"http://json-schema.org/draft-04/schema#","exclusiveMinimum":5}"#, &["draft 4"]),
        (r#"{"$schema":"http://json-schema.org/draft-04/schema#","not":true}"#, &["draft 4", "`/not`"]),
        (r#"{"allOf":[]}"#, &["`/allOf`"]),
    ];
    for (text, parts) in cases {
        let message = invalid(text, &[]);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn drafts_are_told_apart() {
    schema(r#"{"$schema":"http://json-schema.org/draft-04/schema#","minimum":1,"exclusiveMinimum":true}"#);
    schema(r#"{"$schema":"http://json-schema.org/draft-06/schema","exclusiveMinimum":1}"#);
    schema(r#"{"exclusiveMinimum":1}"#);
    schema(r#"{"$schema":"https://json-schema.org/draft/2019-09/schema","items":[{}]}"#);
    schema(r#"{"$schema":"https://example.com/my-own","exclusiveMinimum":1}"#);
    assert!(invalid(r#"{"$schema":"https://example.com/my-own","exclusiveMinimum":true}"#, &[]).contains("draft 7"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_is_a_fixed_point(value in generate::schema(false)) {
        let parsed = schema(&serde_json::to_string_pretty(&value).unwrap());
        let canonical = parsed.canonical();
        prop_assert_eq!(&canonical, &value.to_string());
        prop_assert_eq!(&schema(&canonical).canonical(), &canonical);
        let normalized = parsed.normalized();
        prop_assert_eq!(&schema(&normalized).normalized(), &normalized);
        let read: serde_json::Value = serde_json::from_str(&normalized).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(differences(&parsed, &schema(&normalized), CompatibilityPolicy::Strict), Vec::<String>::new());
    }

    /// Parts of the text are removed, repeated and exchanged. Parsing and comparing must not panic.
    #[test]
    fn mutated_texts_do_no_harm(
        value in generate::schema(true),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 1..4),
    ) {
        let original = value.to_string();
        let mut text: Vec<char> = original.chars().collect();
        for (from, to, kind) in cuts {
            let (from, to) = (from.index(text.len().max(1)), to.index(text.len().max(1)));
            let (from, to) = (from.min(to), from.max(to).min(text.len()));
            match kind {
                0 => drop(text.drain(from..to)),
                1 => { let part = text[from..to].to_vec(); text.splice(to..to, part); }
                2 if !text.is_empty() => {
                    let last = text.len() - 1;
                    text.swap(from.min(last), to.min(last));
                }
                _ => text.insert(from, ['"', '{', '}', '0', '\\', '\u{1F600}', '#'][to % 7]),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(mutated) = json::JsonSchema::parse(&text, &[]) {
            let canonical = mutated.canonical();
            prop_assert_eq!(&schema(&canonical).canonical(), &canonical);
            json::differences(&mutated, &schema(&original), CompatibilityPolicy::Strict);
            json::differences(&schema(&original), &mutated, CompatibilityPolicy::Lenient);
        }
    }
}
