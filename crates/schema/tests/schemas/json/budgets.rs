//! Budgets: schemas that are small and would need much time or memory. Each is refused with the limit that it exceeds, or compared.

use prism_schema::{CompatibilityPolicy, TOO_COMPLEX, json};

use crate::json::{differences, invalid, schema};

/// Returns a schema of draft 2020-12 with these definitions.
fn with_definitions(definitions: &[String], rest: &str) -> String {
    format!(r#"{{"$schema":"https://json-schema.org/draft/2020-12/schema"{rest},"$defs":{{{}}}}}"#, definitions.join(","))
}

#[test]
fn references_to_one_dynamic_anchor_share_its_targets() {
    let definitions = |name: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..12_000).map(|at| format!(r##""d{at}":{{"$dynamicAnchor":"{0}","$dynamicRef":"#{0}"}}"##, name(at))).collect()
    };
    for name in [&(|_| "n".to_owned()) as &dyn Fn(usize) -> String, &|at| format!("n{}", at / 2)] {
        let text = with_definitions(&definitions(name), "");
        let all = schema(&text);
        assert_eq!(json::differences(&all, &schema(&text), CompatibilityPolicy::Strict), []);
    }
}

#[test]
fn unevaluated_keywords_are_bounded() {
    // Each schema evaluates the properties of all schemas behind it.
    let chain: Vec<String> = (0..6_000)
        .map(|at| {
            format!(
                r##""d{at}":{{"allOf":[{{"$ref":"#/$defs/d{}"}}],"properties":{{"p{at}":true}},"unevaluatedProperties":false}}"##,
                at + 1
            )
        })
        .chain([r#""d6000":true"#.to_owned()])
        .collect();
    let message = invalid(&with_definitions(&chain, r##","$ref":"#/$defs/d0""##), &[]);
    assert!(message.contains("more than 64 MiB") || message.contains("more than 10000000 steps"), "{message}");
    let nested = format!("{}true{}", r#"{"unevaluatedProperties":{"properties":{"a":"#.repeat(40), "}}}".repeat(40));
    schema(&with_definitions(&[], &format!(r#","not":{nested}"#)));
}

#[test]
fn many_values_are_bounded() {
    assert!(invalid(&format!(r#"{{"examples":[{}0]}}"#, "0,".repeat(1_500_000)), &[]).contains("more than 64 MiB"));
    assert!(invalid(&format!(r#"{{"allOf":[{}{{}}]}}"#, "{},".repeat(150_000)), &[]).contains("more than 64 MiB"));
    assert!(invalid(&format!(r#"{{"enum":[{}0]}}"#, "0,".repeat(400_000)), &[]).len() < 5_000);
}

#[test]
fn negated_choices_are_not_expanded() {
    let parts: Vec<String> = std::iter::once(r#"{"type":"object"}"#.to_owned())
        .chain((0..30).map(|at| format!(r#"{{"anyOf":[{{"maxLength":{at}}},{{"maxLength":{}}}]}}"#, 100 + at)))
        .chain((0..400).map(|at| format!(r#"{{"maxItems":{}}}"#, 1_000 + at)))
        .chain([r#"{"anyOf":[{"maxProperties":0},{"maxProperties":1}]}"#.to_owned()])
        .collect();
    let definitions: Vec<String> = (0..19_000).map(|at| format!(r#""d{at}":{{}}"#)).collect();
    for definitions in ["".to_owned(), format!(r#","definitions":{{{}}}"#, definitions.join(","))] {
        let old = schema(&format!(r#"{{"allOf":[{}]{definitions}}}"#, parts.join(",")));
        let new = |least: usize| schema(&format!(r#"{{"not":{{"type":"object","minProperties":{least}}}{definitions}}}"#));
        // The last choice alone decides it.
        assert_eq!(differences(&new(2), &old, CompatibilityPolicy::Strict), [""; 0]);
        let kinds = differences(&new(1), &old, CompatibilityPolicy::Strict);
        assert!(kinds == ["NOT_TYPE_EXTENDED /not"] || kinds == [format!("{TOO_COMPLEX} /")], "{kinds:?}");
    }
}

#[test]
fn a_comparison_that_is_too_complex_has_no_other_verdict() {
    let choices = |bound: usize| {
        let all: Vec<String> = (0..40)
            .map(|at| {
                format!(
                    r#"{{"anyOf":[{{"properties":{{"a{at}":{{"maximum":{bound}}}}}}},{{"properties":{{"b{at}":{{"maximum":{bound}}}}}}}]}}"#
                )
            })
            .collect();
        schema(&format!(r#"{{"type":"object","allOf":[{}]}}"#, all.join(",")))
    };
    let found = json::differences(&choices(1), &choices(2), CompatibilityPolicy::Strict);
    assert!(found.iter().any(|one| one.kind == TOO_COMPLEX && one.message.contains("more than")), "{found:?}");
}

#[test]
fn patterns_with_large_automata_are_not_compiled() {
    let patterns = |count: usize, kind: &str| {
        let all: Vec<String> = (0..count).map(|at| format!(r#""^\\p{{L}}{{800}}y{at}$":{{"type":"{kind}"}}"#)).collect();
        schema(&format!(r#"{{"type":"object","properties":{{"a":{{"type":"{kind}"}}}},"patternProperties":{{{}}}}}"#, all.join(",")))
    };
    assert_eq!(differences(&patterns(100, "number"), &patterns(100, "integer"), CompatibilityPolicy::Strict), [""; 0]);
    let narrowed = differences(&patterns(10, "integer"), &patterns(10, "number"), CompatibilityPolicy::Strict);
    assert!(narrowed.contains(&"TYPE_NARROWED /properties/a/type".to_owned()), "{narrowed:?}");
    // It is unknown whether the name matches, so its type may be any.
    let closed = r#"{"type":"object","patternProperties":{"^\\p{L}{800}$":{"type":"string"}},"additionalProperties":false}"#;
    let open = r#"{"type":"object","patternProperties":{"^\\p{L}{800}$":{"type":"string"}}}"#;
    let named = r#"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}"#;
    assert!(!differences(&schema(closed), &schema(named), CompatibilityPolicy::Strict).is_empty());
    assert!(!differences(&schema(open), &schema(named), CompatibilityPolicy::Strict).is_empty());
}

#[test]
fn messages_are_bounded() {
    let message = invalid(&format!(r#"{{"pattern":"({}"}}"#, "x".repeat(1_000_000)), &[]);
    assert!(message.len() < 5_000, "{}", message.len());
    let values: Vec<String> = (0..100_000).map(|at| format!(r#""value {at}""#)).collect();
    let old = schema(&format!(r#"{{"enum":[{}]}}"#, values.join(",")));
    let found = prism_schema::Schema::differences(
        &prism_schema::Schema::Json(schema(r#"{"enum":[1]}"#)),
        &prism_schema::Schema::Json(old),
        CompatibilityPolicy::Strict,
    );
    assert!(found.iter().all(|one| one.message.len() + one.detail.len() < 10_000));
}
