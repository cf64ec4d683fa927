//! Hostile schemas: each of them is compared or refused in bounded time and memory.

use std::time::{Duration, Instant};

use prism_schema::{CompatibilityPolicy, MAX_DIFFERENCES, json};

use crate::json::{differences, invalid, schema};

/// Much longer than a comparison takes, even unoptimized and on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn nested(levels: usize, open: &str, close: &str) -> String {
    format!("{}true{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn depth_is_bounded() {
    let deep = nested(20_000, r#"{"not":"#, "}");
    assert!(invalid(&deep, &[]).contains("nested deeper than 127 levels"));
    for (open, close) in [(r#"{"not":"#, "}"), (r#"{"items":"#, "}"), (r#"{"additionalProperties":"#, "}")] {
        let schema = schema(&nested(120, open, close));
        let other = self::schema(&nested(119, open, close));
        let start = Instant::now();
        json::differences(&schema, &other, CompatibilityPolicy::Strict);
        json::differences(&other, &schema, CompatibilityPolicy::Strict);
        assert_eq!(json::differences(&schema, &schema, CompatibilityPolicy::Strict), []);
        assert!(start.elapsed() < LONG);
    }
}

#[test]
fn chains_of_references_are_bounded() {
    let chain = |last: &str| {
        let links: Vec<String> =
            (0..5000).map(|at| format!(r##""d{at}":{{"properties":{{"x":{{"$ref":"#/definitions/d{}"}}}}}}"##, at + 1)).collect();
        schema(&format!(r##"{{"$ref":"#/definitions/d0","definitions":{{{},"d5000":{{"type":"{last}"}}}}}}"##, links.join(",")))
    };
    let (old, new) = (chain("string"), chain("integer"));
    assert_eq!(json::differences(&old, &old, CompatibilityPolicy::Strict), []);
    let actual = differences(&new, &old, CompatibilityPolicy::Strict);
    assert_eq!(actual, ["COMPARISON_TOO_COMPLEX /"]);
}

#[test]
fn chains_of_choices_are_bounded() {
    let bodies = [
        r#"{"anyOf":[{"type":"null"},{"type":"object","properties":{"x":NEXT}}]}"#,
        r#"{"oneOf":[NEXT,{"type":"array","items":NEXT}]}"#,
        r#"{"allOf":[{"properties":{"x":NEXT}},{"not":{"properties":{"y":NEXT}}}]}"#,
        r#"{"if":{"required":["a"]},"then":{"properties":{"x":NEXT}},"else":{"items":NEXT}}"#,
        r#"{"not":{"not":NEXT}}"#,
    ];
    let start = Instant::now();
    for body in bodies {
        let chain = |last: &str| {
            let links: Vec<String> = (0..400)
                .map(|at| format!(r#""d{at}":{}"#, body.replace("NEXT", &format!(r##"{{"$ref":"#/definitions/d{}"}}"##, at + 1))))
                .collect();
            schema(&format!(r##"{{"$ref":"#/definitions/d0","definitions":{{{},"d400":{{"type":"{last}"}}}}}}"##, links.join(",")))
        };
        let (old, new) = (chain("string"), chain("integer"));
        assert_eq!(differences(&old, &old, CompatibilityPolicy::Lenient), [""; 0], "{body}");
        for policy in [CompatibilityPolicy::Strict, CompatibilityPolicy::Lenient] {
            assert!(!differences(&new, &old, policy).is_empty(), "{body}");
        }
        println!("{body}: {:?}", start.elapsed());
    }
    assert!(start.elapsed() < LONG * 2, "{:?}", start.elapsed());
}

#[test]
fn explosions_are_bounded() {
    // Each level refers to the next one four times. Without memoization, there would be 4^30 paths.
    let wide = |last: &str| {
        let links: Vec<String> = (0..30)
            .map(|at| {
                let refs: Vec<String> = (0..4).map(|name| format!(r##""p{name}":{{"$ref":"#/definitions/d{}"}}"##, at + 1)).collect();
                format!(r#""d{at}":{{"type":"object","properties":{{{}}}}}"#, refs.join(","))
            })
            .collect();
        schema(&format!(r##"{{"$ref":"#/definitions/d0","definitions":{{{},"d30":{{"type":"{last}"}}}}}}"##, links.join(",")))
    };
    let start = Instant::now();
    assert_eq!(differences(&wide("integer"), &wide("string"), CompatibilityPolicy::Strict), ["TYPE_CHANGED /definitions/d30/type"]);
    // Nested choices, three in each level.
    let choices = |levels: usize, leaf: &str| {
        let mut text = leaf.to_owned();
        for level in 0..levels {
            let branches: Vec<String> =
                (0..3).map(|branch| format!(r#"{{"properties":{{"p{level}{branch}":{text}}},"minProperties":{branch}}}"#)).collect();
            text = format!(r#"{{"anyOf":[{}]}}"#, branches.join(","));
        }
        schema(&text)
    };
    let actual = json::differences(&choices(6, r#"{"type":"integer"}"#), &choices(6, r#"{"type":"number"}"#), CompatibilityPolicy::Strict);
    assert!(!actual.is_empty());
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn differences_are_bounded() {
    let many = |kind: &str| {
        let properties: Vec<String> = (0..500).map(|at| format!(r#""p{at}":{{"type":"{kind}"}}"#)).collect();
        schema(&format!(r#"{{"properties":{{{}}}}}"#, properties.join(",")))
    };
    assert_eq!(json::differences(&many("string"), &many("integer"), CompatibilityPolicy::Strict).len(), MAX_DIFFERENCES);
}

#[test]
fn backtracking_patterns_are_bounded() {
    let text =
        |kind: &str| format!(r#"{{"properties":{{"{}!":{{"type":"{kind}"}}}},"patternProperties":{{"^(a+)+$":{{}}}}}}"#, "a".repeat(60));
    let start = Instant::now();
    json::differences(&schema(&text("string")), &schema(&text("integer")), CompatibilityPolicy::Strict);
    assert!(start.elapsed() < LONG);
}

#[test]
fn names_are_bounded() {
    // Many schemas are nested in one very long name, so each path is long.
    let many: Vec<String> = (0..20_000).map(|at| format!(r#""p{at}":{{}}"#)).collect();
    let text = format!(r#"{{"properties":{{"{}":{{"properties":{{{}}}}}}}}}"#, "n".repeat(500_000), many.join(","));
    let start = Instant::now();
    assert!(invalid(&text, &[]).contains("shorten"));
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn texts_are_bounded() {
    assert!(invalid(&format!(r#"{{"title":"{}"}}"#, "x".repeat(5_000_000)), &[]).contains("bytes"));
}

#[test]
fn long_lists_are_fine() {
    let list = |from: usize| {
        let values: Vec<String> = (from..from + 50_000).map(|value| value.to_string()).collect();
        schema(&format!(r#"{{"enum":[{}]}}"#, values.join(",")))
    };
    let start = Instant::now();
    assert_eq!(differences(&list(0), &list(0), CompatibilityPolicy::Strict), [""; 0]);
    assert_eq!(differences(&list(1), &list(0), CompatibilityPolicy::Strict), ["ENUM_ARRAY_CHANGED /enum"]);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn wide_choices_are_bounded() {
    let choice = |last: &str| {
        let branches: Vec<String> = (0..60)
            .map(|at| format!(r#"{{"type":"object","properties":{{"k":{{"const":{at}}},"v":{{"type":"{last}"}}}},"required":["k"]}}"#))
            .collect();
        schema(&format!(r#"{{"oneOf":[{}]}}"#, branches.join(",")))
    };
    let start = Instant::now();
    assert_eq!(differences(&choice("number"), &choice("integer"), CompatibilityPolicy::Strict), [""; 0]);
    assert_eq!(differences(&choice("integer"), &choice("number"), CompatibilityPolicy::Strict).len(), 1);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn circular_references_terminate() {
    let texts = [
        r##"{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}}"##,
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"anyOf":[{"$ref":"#"},{"type":"string"}]}"##,
        r##"{"not":{"$ref":"#"}}"##,
        r##"{"if":{"$ref":"#"},"then":{"$ref":"#"},"else":{"$ref":"#"}}"##,
        r##"{"oneOf":[{"$ref":"#"},{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}]}"##,
        r##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##,
        r##"{"type":"array","items":{"$ref":"#"},"contains":{"$ref":"#"},"minItems":1}"##,
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#","unevaluatedProperties":{"$ref":"#"}}"##,
    ];
    let all: Vec<_> = texts.into_iter().map(schema).collect();
    for (index, one) in all.iter().enumerate() {
        assert_eq!(differences(one, one, CompatibilityPolicy::Strict), [""; 0], "{}", texts[index]);
        for other in &all {
            json::differences(one, other, CompatibilityPolicy::Strict);
        }
    }
}
