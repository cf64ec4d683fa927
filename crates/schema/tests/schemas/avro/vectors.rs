//! The test vectors of Apache Avro: pairs of schemas with verdicts and locations (`avro-compatibility.json`, whose first line names its
//! source).

use std::collections::BTreeSet;

use prism_schema::avro::{AvroSchema, differences};
use serde_json::Value;

/// Parses a location: one pointer, or several as Python prints a set: `{'/1', '/2'}`.
fn locations(text: &Value) -> BTreeSet<String> {
    let Some(text) = text.as_str() else { return BTreeSet::new() };
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(set) => set.split(", ").map(|each| each.trim_matches('\'').to_owned()).collect(),
        None => BTreeSet::from([text.to_owned()]),
    }
}

#[test]
fn all_pairs_are_judged_as_avro_judges_them() {
    let vectors: Value = serde_json::from_str(include_str!("avro-compatibility.json")).unwrap();
    let pairs = vectors["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 125);
    let mut wrong = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let (reader, writer) = (pair["reader"].as_str().unwrap(), pair["writer"].as_str().unwrap());
        let differences_found = differences(&AvroSchema::parse(reader, &[]).unwrap(), &AvroSchema::parse(writer, &[]).unwrap());
        let found_locations: BTreeSet<String> = differences_found.iter().map(|difference| difference.path.clone()).collect();
        if differences_found.is_empty() != pair["compatible"].as_bool().unwrap() || found_locations != locations(&pair["location"]) {
            wrong.push(format!("{index}: {reader} | {writer} | {} {} | {differences_found:?}", pair["compatible"], pair["location"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} pairs:\n{}", wrong.len(), pairs.len(), wrong.join("\n"));
}
