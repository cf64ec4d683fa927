//! Compares verdicts with data that is really written with one schema and read with the other.

use prism_schema::avro::{AvroSchema, differences};
use proptest::prelude::*;
use serde_json::Value;

use crate::avro::{
    generate::{Choices, change, schema},
    oracle::{
        Types,
        codec::{decode, encode},
        data::{covering, fillable},
    },
};

fn parse(text: &str) -> Option<AvroSchema> {
    AvroSchema::parse(text, &[]).ok()
}

/// Applies random changes to a schema. Changes that make it invalid, or that allow no finite data, are skipped.
fn evolved(from: &Value, numbers: &[u32], side: &str) -> Value {
    let mut choices = Choices::new(numbers);
    let mut now = from.clone();
    let mut step = 0;
    while !choices.over() && step < 6 {
        step += 1;
        let next = change(&now, &mut choices, &format!("{side}{step}"));
        let text = next.to_string();
        if parse(&text).is_some() && fillable(&Types::read(&text)) {
            now = next;
        }
    }
    now
}

/// Reads all data of the writer. Returns the errors, and the number of data.
fn failures(reader: &str, writer: &str) -> (Vec<String>, usize) {
    let (reader, writer) = (Types::read(reader), Types::read(writer));
    let data = covering(&writer);
    let read = |data| {
        let mut bytes = Vec::new();
        encode(&writer, &writer.root, data, &mut bytes);
        // The data may match another branch: the first branch that can hold a value is used.
        decode(&writer, &writer, &bytes).unwrap();
        decode(&reader, &writer, &bytes).err()
    };
    (data.iter().filter_map(read).collect(), data.len())
}

fn numbers(most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_agree_with_reading_data(base in numbers(60), reader in numbers(16), writer in numbers(16)) {
        let base = schema(&mut Choices::new(&base));
        let text = base.to_string();
        prop_assume!(parse(&text).is_some() && fillable(&Types::read(&text)));
        let (reader, writer) = (evolved(&base, &reader, "r").to_string(), evolved(&base, &writer, "w").to_string());
        let differences_found = differences(&parse(&reader).unwrap(), &parse(&writer).unwrap());
        let (failures, data) = failures(&reader, &writer);
        prop_assert_eq!(
            differences_found.is_empty(), failures.is_empty(),
            "reader {}\nwriter {}\ndifferences {:#?}\nof {} data failed {:#?}", reader, writer, differences_found, data, failures
        );
    }

    #[test]
    fn canonical_texts_are_fixed_points_and_read_themselves(base in numbers(80), changes in numbers(16)) {
        let base = schema(&mut Choices::new(&base));
        prop_assume!(parse(&base.to_string()).is_some());
        let text = evolved(&base, &changes, "x").to_string();
        let schema = parse(&text).unwrap();
        let canonical = schema.canonical();
        let again = parse(&canonical).unwrap_or_else(|| panic!("{text}\n{canonical}"));
        prop_assert_eq!(&again.canonical(), &canonical);
        let normalized = schema.normalized();
        prop_assert_eq!(&parse(&normalized).unwrap().normalized(), &normalized);
        prop_assert_eq!(&again.normalized(), &normalized);
        prop_assert_eq!(schema.render_as("resolved"), Some(canonical));
        prop_assert_eq!(differences(&schema, &schema), Vec::new());
        prop_assert_eq!(differences(&schema, &again), Vec::new());
        prop_assert_eq!(differences(&again, &schema), Vec::new());
    }

    #[test]
    fn mutated_texts_are_read_or_refused(base in numbers(60), cuts in prop::collection::vec((any::<usize>(), any::<usize>(), 0usize..6), 1..5)) {
        const WORDS: [&str; 6] = ["", "\"", "null", "{\"type\":\"array\",\"items\":", "[", "\"record\""];
        let mut text = schema(&mut Choices::new(&base)).to_string();
        for (from, length, word) in cuts {
            let from = from % (text.len() + 1);
            let to = (from + length % 8).min(text.len());
            if text.is_char_boundary(from) && text.is_char_boundary(to) {
                text.replace_range(from..to, WORDS[word]);
            }
        }
        if let Ok(schema) = AvroSchema::parse(&text, &[]) {
            let canonical = schema.canonical();
            prop_assert_eq!(parse(&canonical).unwrap().canonical(), canonical);
            prop_assert_eq!(differences(&schema, &schema), Vec::new());
        }
    }
}

/// Enough random pairs are compatible, and enough are not, so the properties above are not trivial.
#[test]
fn random_evolutions_are_of_both_kinds() {
    let mut counts = [0, 0];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..400 {
        let (base, reader, writer) = (&numbers(60), &numbers(16), &numbers(16))
            .new_tree(&mut runner)
            .map(|tree| proptest::strategy::ValueTree::current(&tree))
            .unwrap();
        let base = schema(&mut Choices::new(&base));
        let text = base.to_string();
        if parse(&text).is_some() && fillable(&Types::read(&text)) {
            let (reader, writer) = (evolved(&base, &reader, "r"), evolved(&base, &writer, "w"));
            if reader != writer {
                let differences_found = differences(&parse(&reader.to_string()).unwrap(), &parse(&writer.to_string()).unwrap());
                counts[usize::from(differences_found.is_empty())] += 1;
            }
        }
    }
    assert!(counts.iter().all(|count| *count >= 60), "{counts:?}");
}
