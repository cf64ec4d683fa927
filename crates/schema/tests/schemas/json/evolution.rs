//! Compares verdicts with a validator: without a difference, data that was valid stays valid.

use std::cell::Cell;

use prism_schema::CompatibilityPolicy;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};

use crate::json::{
    differences,
    generate::{edited, edits, referring, sample, schema},
    schema as parsed, validator,
};

/// Number of data samples for each pair.
const SAMPLES: u64 = 30;

/// Statistics of a run. A property that never applies would prove nothing.
#[derive(Default)]
struct Seen {
    compatible: Cell<u32>,
    incompatible: Cell<u32>,
    valid: Cell<u32>,
    broken: Cell<u32>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

fn check_property(old: &Value, new: &Value, seen: &Seen) -> Result<(), TestCaseError> {
    let (old_schema, new_schema) = (parsed(&old.to_string()), parsed(&new.to_string()));
    let strict = differences(&new_schema, &old_schema, CompatibilityPolicy::Strict);
    let lenient = differences(&new_schema, &old_schema, CompatibilityPolicy::Lenient);
    prop_assert!(!strict.is_empty() || lenient.is_empty(), "lenient reports more differences than strict: {lenient:?}");
    count(if strict.is_empty() { &seen.compatible } else { &seen.incompatible });
    let (old_validator, new_validator) = (validator(old), validator(new));
    let mut broken = false;
    for seed in 0..SAMPLES {
        let mut rng = StdRng::seed_from_u64(seed);
        let like = if seed % 3 == 0 { new } else { old };
        let value = sample(like, like, &mut rng, 0);
        if !old_validator.is_valid(&value) {
            continue;
        }
        count(&seen.valid);
        let stays = new_validator.is_valid(&value);
        broken |= !stays;
        prop_assert!(stays || !strict.is_empty(), "no difference, but {value} is valid for {old} and not for {new}");
    }
    if broken {
        count(&seen.broken);
    }
    Ok(())
}

/// Returns a complete schema of a draft, with the definition that it refers to.
fn complete_schema(schema: Value, definition: &Value, modern: bool) -> Value {
    let mut members = match schema {
        Value::Object(members) if !members.contains_key("$ref") => members,
        schema => Map::from_iter([("allOf".to_owned(), json!([schema]))]),
    };
    members.insert("$defs".to_owned(), json!({"x": definition}));
    if modern {
        members.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    }
    Value::Object(members)
}

fn run(modern: bool, cases: u32) -> Seen {
    let seen = Seen::default();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(referring(modern), edits(modern), edits(modern)), |((old, definition), edits, others)| {
        let new = edited(&old, &edits);
        let new_definition = if others.len() == 1 { edited(&definition, &others) } else { definition.clone() };
        check_property(&complete_schema(old, &definition, modern), &complete_schema(new, &new_definition, modern), &seen)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    seen
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

#[test]
fn no_difference_means_that_data_stays_valid() {
    for modern in [false, true] {
        let seen = run(modern, cases());
        let [compatible, incompatible, valid, broken] = [&seen.compatible, &seen.incompatible, &seen.valid, &seen.broken].map(Cell::get);
        println!("modern {modern}: {compatible} compatible, {incompatible} not, {broken} of them with a witness, {valid} valid values");
        assert!(
            compatible > cases() / 10 && incompatible > cases() / 30 && broken > cases() / 50,
            "{compatible}, {incompatible}, {broken}"
        );
        assert!(valid > cases() * 3, "{valid}");
    }
}

/// Two independent random schemas.
#[test]
fn unrelated_schemas_without_differences_accept_the_same_data() {
    let seen = Seen::default();
    let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let result = runner.run(&(schema(false), schema(false)), |(old, new)| check_property(&old, &new, &seen));
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(seen.incompatible.get() > cases() / 10);
}

/// Edits that widen a schema are compatible, so the verdict is not always "incompatible".
#[test]
fn random_schema_is_compatible_with_a_wider_one() {
    let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let result = runner.run(&(schema(true), schema(true)), |(old, other)| {
        let old_schema = parsed(&old.to_string());
        let wider = [
            old.clone(),
            json!({"anyOf": [other, old]}),
            json!({"allOf": [old]}),
            json!({"$ref": "#/definitions/x", "definitions": {"x": old}}),
            Value::Bool(true),
        ];
        for wider in wider {
            let strict = differences(&parsed(&wider.to_string()), &old_schema, CompatibilityPolicy::Strict);
            prop_assert!(strict.is_empty(), "{strict:?} of {wider}");
        }
        let narrower = parsed(&json!({"allOf": [other, old]}).to_string());
        let strict = differences(&old_schema, &narrower, CompatibilityPolicy::Strict);
        prop_assert!(strict.is_empty(), "{strict:?} though narrower");
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
