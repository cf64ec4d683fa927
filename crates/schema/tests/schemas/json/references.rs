//! Schemas with references.

use prism_schema::{CompatibilityPolicy, Dependency, json};

use crate::json::invalid;

fn dependency(name: &str, text: &str) -> Dependency {
    Dependency { name: name.into(), text: text.into() }
}

fn parsed(text: &str, dependencies: &[Dependency]) -> json::JsonSchema {
    json::JsonSchema::parse(text, dependencies).unwrap_or_else(|error| panic!("{}", error.message))
}

/// Returns the differences of a schema when the schema that it refers to changes.
fn differences_of_reference(text: &str, name: &str, old: &str, new: &str) -> Vec<(&'static str, String, String)> {
    let (old, new) = (parsed(text, &[dependency(name, old)]), parsed(text, &[dependency(name, new)]));
    assert_eq!(json::differences(&new, &new, CompatibilityPolicy::Strict), []);
    json::differences(&new, &old, CompatibilityPolicy::Strict).into_iter().map(|each| (each.kind, each.path, each.message)).collect()
}

#[test]
fn references_are_found_by_name_by_file_and_by_uri() {
    let cases = [
        (r#"{"$ref":"other.json"}"#, "other.json"),
        (r#"{"$ref":"./other.json"}"#, "other.json"),
        (r#"{"$ref":"other.json#"}"#, "other.json"),
        (r#"{"$ref":"com.example.Other"}"#, "com.example.Other"),
        (r#"{"$ref":"http://example.com/other"}"#, "http://example.com/other"),
        (r#"{"$id":"http://example.com/a/root.json","$ref":"other.json"}"#, "other.json"),
        (r#"{"$id":"http://example.com/a/root.json","allOf":[{"$ref":"../b/other.json"}]}"#, "http://example.com/b/other.json"),
        (r#"{"$id":"http://example.com/a/root.json","allOf":[{"$ref":"/other.json"}]}"#, "http://example.com/other.json"),
        (
            r#"{"$schema":"http://json-schema.org/draft-04/schema#","id":"http://example.com/x/","allOf":[{"$ref":"other.json"}]}"#,
            "http://example.com/x/other.json",
        ),
        (r#"{"$ref":"urn:example:other"}"#, "urn:example:other"),
    ];
    for (text, name) in cases {
        let differences = differences_of_reference(text, name, r#"{"type":"string"}"#, r#"{"type":"integer"}"#);
        assert_eq!(differences.len(), 1, "{text}: {differences:?}");
        assert_eq!(differences[0].0, "TYPE_CHANGED", "{text}");
    }
}

#[test]
fn references_are_found_by_the_id_in_the_referenced_schema() {
    let other = r#"{"$id":"http://example.com/shared/other.json","type":"string"}"#;
    parsed(r#"{"$ref":"http://example.com/shared/other.json"}"#, &[dependency("other", other)]);
    parsed(r#"{"$ref":"other"}"#, &[dependency("other", other)]);
}

#[test]
fn references_may_point_to_parts_and_anchors() {
    let other = r##"{"definitions":{"a":{"$id":"#name","type":"string"},"b c":{"type":"null"}}}"##;
    parsed(r#"{"$ref":"other.json#/definitions/a"}"#, &[dependency("other.json", other)]);
    parsed(r#"{"$ref":"other.json#/definitions/b%20c"}"#, &[dependency("other.json", other)]);
    parsed(r#"{"$ref":"other.json#name"}"#, &[dependency("other.json", other)]);
}

#[test]
fn referenced_schemas_may_refer_to_others() {
    let one = dependency("one.json", r#"{"properties":{"x":{"$ref":"two.json#/definitions/t"}}}"#);
    let two = |kind: &str| dependency("two.json", &format!(r#"{{"definitions":{{"t":{{"type":"{kind}"}}}}}}"#));
    let text = r#"{"type":"object","properties":{"a":{"$ref":"one.json"}}}"#;
    let (old, new) = (parsed(text, &[two("string"), one.clone()]), parsed(text, &[two("integer"), one]));
    let differences = json::differences(&new, &old, CompatibilityPolicy::Strict);
    assert_eq!(differences.len(), 1);
    // The path points into the registered text; the message names the exact position.
    assert_eq!(differences[0].path, "/properties/a/$ref");
    assert!(differences[0].message.ends_with("(in the reference `two.json`, at `/definitions/t/type`)"), "{}", differences[0].message);
}

#[test]
fn reference_may_be_replaced_by_the_referenced_schema() {
    let old = parsed(r#"{"properties":{"a":{"$ref":"other.json"}}}"#, &[dependency("other.json", r#"{"type":"string"}"#)]);
    let new = parsed(r#"{"properties":{"a":{"type":"string"}}}"#, &[]);
    assert_eq!(json::differences(&new, &old, CompatibilityPolicy::Strict), []);
    assert_eq!(json::differences(&old, &new, CompatibilityPolicy::Strict), []);
}

#[test]
fn unresolved_references_say_what_to_add() {
    let message = invalid(r#"{"properties":{"a":{"$ref":"missing.json#/x"}}}"#, &[dependency("other.json", "true")]);
    for part in ["missing.json", "`/properties/a/$ref`", "add it to `references`", "`other.json`"] {
        assert!(message.contains(part), "{message}");
    }
    let message = invalid(r##"{"$ref":"#/definitions/missing"}"##, &[]);
    assert!(message.contains("#/definitions/missing") && message.contains("define it"), "{message}");
    let message = invalid(r##"{"$ref":"#/title","title":"x"}"##, &[]);
    assert!(message.contains("not a schema"), "{message}");
    let message = invalid(r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#missing"}"##, &[]);
    assert!(message.contains("#missing"), "{message}");
}

#[test]
fn referenced_texts_that_are_no_schemas_are_named() {
    let message = invalid(r#"{"$ref":"other.json"}"#, &[dependency("other.json", r#"{"type":"text"}"#)]);
    assert!(message.contains("`other.json`") && message.contains("/type"), "{message}");
    let message = invalid(r#"{"$ref":"other.json"}"#, &[dependency("other.json", "{")]);
    assert!(message.contains("`other.json`") && message.contains("line 1 column 1"), "{message}");
}

#[test]
fn references_may_point_to_meta_schemas() {
    let uris = [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-07/schema#/definitions/nonNegativeInteger",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2020-12/meta/core",
    ];
    for uri in uris {
        let schema = parsed(&format!(r#"{{"$ref":"{uri}"}}"#), &[]);
        assert_eq!(json::differences(&schema, &schema, CompatibilityPolicy::Strict), [], "{uri}");
    }
}
