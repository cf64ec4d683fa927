//! Compares the parser with Apache Avro's Rust implementation.

use apache_avro::Schema as Peer;
use prism_schema::avro::AvroSchema;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::Value;

use crate::avro::generate::{Choices, schema};

#[test]
fn random_schemas_are_read_by_both() {
    let mut runner = TestRunner::deterministic();
    let mut read = 0;
    for _ in 0..1000 {
        let numbers = prop::collection::vec(any::<u32>(), 0..60).new_tree(&mut runner).unwrap().current();
        let text = schema(&mut Choices::new(&numbers)).to_string();
        // The peer does not look up a bare name outside of its namespace; see below.
        if text.contains("namespace") {
            continue;
        }
        let (ours, theirs) = (AvroSchema::parse(&text, &[]), Peer::parse_str(&text));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}\n{ours:?}\n{theirs:?}");
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            read += 1;
            // Both agree that it is the same schema: the canonical form of our text equals the canonical form of the original.
            let again = Peer::parse_str(&ours.canonical()).unwrap();
            assert_eq!(again.canonical_form(), theirs.canonical_form(), "{text}");
        }
    }
    assert!(read > 500, "{read}");
}

#[test]
fn both_implementations_read_the_test_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("avro-compatibility.json")).unwrap();
    for pair in vectors["pairs"].as_array().unwrap() {
        for text in [pair["reader"].as_str().unwrap(), pair["writer"].as_str().unwrap()] {
            assert!(AvroSchema::parse(text, &[]).is_ok() && Peer::parse_str(text).is_ok(), "{text}");
        }
    }
}

/// Why Prism has its own parser: schemas that the peer refuses although Java accepts them, and the reverse.
#[test]
fn known_differences_from_apache_avro() {
    let ours_only = [
        // Letters of all scripts in names.
        r#"{"type":"record","name":"Größe","fields":[]}"#,
        // A type that is used before its definition.
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"S"},{"name":"b","type":{"type":"fixed","name":"S","size":1}}]}"#,
        // A bare name without a namespace, used within a namespace.
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"n.R","fields":[{"name":"f","type":"F"}]}]"#,
        // The type `error`.
        r#"{"type":"error","name":"E","fields":[]}"#,
    ];
    for text in ours_only {
        assert!(AvroSchema::parse(text, &[]).is_ok(), "{text}");
        assert!(Peer::parse_str(text).is_err(), "{text}");
    }
    let theirs_only = [
        r#"{"type":{"type":"string"}}"#,
        r#"{"type":["null","string"]}"#,
        // The peer skips fields that are not objects.
        r#"{"type":"record","name":"R","fields":["a"]}"#,
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":2}}]}]"#,
    ];
    for text in theirs_only {
        assert!(AvroSchema::parse(text, &[]).is_err(), "{text}");
        assert!(Peer::parse_str(text).is_ok(), "{text}");
    }
}
