//! The table of cases: two schemas, their expected differences, and if possible data that shows the incompatibility.

use prism_schema::CompatibilityPolicy;
use serde::Deserialize;
use serde_json::Value;

use crate::json::{differences, schema, validator};

const TABLES: [(&str, &str); 6] = [
    ("types", include_str!("cases/types.json")),
    ("scalars", include_str!("cases/scalars.json")),
    ("objects", include_str!("cases/objects.json")),
    ("arrays", include_str!("cases/arrays.json")),
    ("combined", include_str!("cases/combined.json")),
    ("references", include_str!("cases/references.json")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The draft of both schemas, instead of `$schema`.
    draft: Option<String>,
    old: Value,
    new: Value,
    /// The expected differences, as kind and path.
    strict: Vec<String>,
    /// The expected differences under the lenient policy, if they are others.
    lenient: Option<Vec<String>>,
    /// Data that is valid under the old schema and invalid under the new one.
    #[serde(default, deserialize_with = "present")]
    witness: Option<Value>,
}

/// Reads a value, so that `null` counts as present.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn cases() -> impl Iterator<Item = (String, Case)> {
    TABLES.into_iter().flat_map(|(table, text)| {
        let cases: Vec<Case> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{table}: {error}"));
        cases.into_iter().map(move |mut case| {
            if let Some(draft) = &case.draft {
                let uri = format!("https://json-schema.org/draft/{draft}/schema");
                for schema in [&mut case.old, &mut case.new] {
                    schema.as_object_mut().unwrap().insert("$schema".to_owned(), uri.clone().into());
                }
            }
            (format!("{table}: {}", case.name), case)
        })
    })
}

#[test]
fn differences_are_as_the_table_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, case) in cases() {
        count += 1;
        let (old, new) = (schema(&case.old.to_string()), schema(&case.new.to_string()));
        for (policy, expected) in
            [(CompatibilityPolicy::Strict, &case.strict), (CompatibilityPolicy::Lenient, case.lenient.as_ref().unwrap_or(&case.strict))]
        {
            let actual = differences(&new, &old, policy);
            if actual != *expected {
                wrong.push(format!("{name}, {policy:?}: found {actual:?}, expected {expected:?}"));
            }
        }
    }
    assert!(count >= 150, "{count} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn schema_has_no_differences_from_itself() {
    for (name, case) in cases() {
        for text in [case.old.to_string(), case.new.to_string()] {
            let schema = schema(&text);
            for policy in [CompatibilityPolicy::Strict, CompatibilityPolicy::Lenient] {
                assert_eq!(differences(&schema, &schema, policy), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn counterexamples_are_valid_before_and_invalid_after() {
    for (name, case) in cases() {
        let Some(witness) = case.witness else { continue };
        let valid = |schema: &Value| validator(schema).is_valid(&witness);
        assert!(!case.strict.is_empty(), "{name}: a witness but no difference");
        assert!(valid(&case.old), "{name}: not valid for the old schema");
        assert!(!valid(&case.new), "{name}: valid for the new schema");
    }
}

#[test]
fn differences_have_witnesses() {
    let (with, without): (Vec<_>, Vec<_>) =
        cases().filter(|(_, case)| !case.strict.is_empty()).partition(|(_, case)| case.witness.is_some());
    assert!(with.len() > without.len() * 10, "without: {:?}", without.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

/// Each message says how to fix the difference.
#[test]
fn messages_say_what_to_change() {
    for (name, case) in cases() {
        let (old, new) = (schema(&case.old.to_string()), schema(&case.new.to_string()));
        for difference in prism_schema::json::differences(&new, &old, CompatibilityPolicy::Strict) {
            let words = [
                "keep",
                "leave",
                "remove",
                "accept",
                "distinguish",
                "let ",
                "close",
                "make",
                "add ",
                "use ",
                "list ",
                "allow",
                "widen",
                "no more than",
                "no further than",
            ];
            let message = &difference.message;
            assert!(words.iter().any(|word| message.contains(word)), "{name}: {message}");
            assert!(difference.path.starts_with('/'), "{name}: {}", difference.path);
        }
    }
}
