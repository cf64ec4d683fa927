//! A state built from the operations of its snapshot equals the original.

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::schema_registry::{
    replica::{JournalHead, JournalSegment, Replica},
    snapshot,
};
use prism_call::proto::{
    journal::v1::{CountIds, Part, RemoveContext, RemoveDek, RemoveKek, StoreConfig, StoreMode},
    patterns::schema_registry::v1::{Association, Config, Dek, Kek, SchemaReference},
};

/// Rebuilds a state from the parts of its snapshot.
fn rebuild(state: &State, part_bytes: usize) -> State {
    let mut made = State::default();
    for part in snapshot::encode_parts(state, part_bytes) {
        for operation in Part::decode(part).unwrap().operations {
            made.apply(operation);
        }
    }
    made
}

/// Random numbers from which one change is made.
type Draw = (u8, u8, u8, u8);

const CONTEXTS: [&str; 3] = [".", ".a", ".b"];
const SUBJECTS: [&str; 4] = ["", "one", "two", "three"];

/// Returns operations that a gateway could append.
fn operations(state: &State, (kind, place, one, other): Draw) -> Vec<Operation> {
    let context = CONTEXTS[usize::from(place) % CONTEXTS.len()].to_owned();
    let subject = SUBJECTS[1 + usize::from(one) % 3].to_owned();
    let scope = SUBJECTS[usize::from(one) % 4].to_owned();
    let space = state.space(&context);
    let versions = space.and_then(|space| Some(&space.subjects.get(&*subject)?.versions));
    let name = || format!("{}", other % 3);
    let change = match kind {
        // Half of the steps register, some with an id of their own.
        0..=7 => {
            let text = format!("text {}", other % 7);
            let reference = SchemaReference { name: "r".to_owned(), subject: SUBJECTS[1].to_owned(), version: i32::from(other % 2) + 1 };
            let references = if other % 5 == 0 { vec![reference] } else { Vec::new() };
            let guid = Guid::compute(&text, &references, None, None);
            let next = space.map_or(0, |space| space.last_id) + 1;
            let known = space.and_then(|space| space.id_of(&guid)).filter(|_| kind > 1);
            let id = known.unwrap_or(next + u32::from(kind == 0) * 5);
            let number = versions.and_then(|versions| versions.last_key_value()).map_or(0, |(number, _)| *number) + 1;
            let number = if kind == 7 { (number - 1).max(1) } else { number };
            let stored =
                StoreVersion { context: context.clone(), subject, version: number, id, deleted: other % 4 == 0, register_millis: 3 };
            let stored = operation(Change::StoreVersion(stored));
            if known.is_some() {
                return vec![stored];
            }
            let schema = Schema { references, ..schema(&text) };
            return vec![operation(Change::StoreSchema(StoreSchema { context, id, schema: Some(schema) })), stored];
        }
        8 | 9 => {
            let Some((&version, _)) = versions.and_then(|versions| versions.iter().nth(usize::from(other) % versions.len().max(1))) else {
                return Vec::new();
            };
            Change::RemoveVersion(RemoveVersion { context, subject, version })
        }
        10 => {
            let config = Config { compatibility_level: Some("NONE".to_owned()), ..Config::default() };
            Change::StoreConfig(StoreConfig { context, subject: scope, config: (other % 2 == 0).then_some(config) })
        }
        11 => {
            let mode = if other % 2 == 0 { "READONLY" } else { "" };
            Change::StoreMode(StoreMode { context, subject: scope, mode: mode.to_owned() })
        }
        12 if other % 3 > 0 => Change::CountIds(CountIds { context, last_id: u32::from(other) }),
        12 => Change::RemoveContext(RemoveContext { context }),
        13 if other % 2 == 0 => Change::StoreKek(Kek { name: name(), doc: subject, deleted: one % 2 == 0, ..Kek::default() }),
        13 => Change::RemoveKek(RemoveKek { name: name() }),
        14 => {
            let (algorithm, version) = ("AES256_GCM".to_owned(), u32::from(one % 3));
            if other % 2 == 0 {
                Change::StoreDek(Dek { kek_name: name(), subject, algorithm, version, ..Dek::default() })
            } else {
                Change::RemoveDek(RemoveDek { kek_name: name(), subject, algorithm, version })
            }
        }
        _ => Change::StoreAssociation(Association { resource_id: name(), resource_type: subject, ..Association::default() }),
    };
    vec![operation(change)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_rebuilds_the_state(
        steps in prop::collection::vec((0..16u8, any::<u8>(), any::<u8>(), any::<u8>()), 0..120),
        part_bytes in 1..2000usize,
    ) {
        let mut state = State::default();
        for step in steps {
            let operations = operations(&state, step);
            for operation in operations {
                state.apply(operation);
            }
        }
        prop_assert_eq!(rebuild(&state, part_bytes), state);
    }
}

#[test]
fn a_schema_with_several_ids_has_the_lowest() {
    let mut state = State::default();
    let store = |id| operation(Change::StoreSchema(StoreSchema { context: ".".to_owned(), id, schema: Some(schema("same")) }));
    let guid = Guid::compute("same", &[], None, None);
    for (id, least) in [(7, 7), (9, 7), (3, 3)] {
        state.apply(store(id));
        state.apply(version(&format!("of {id}"), 1, id, false));
        assert_eq!(state.space(".").unwrap().id_of(&guid), Some(least));
    }
    assert_eq!(rebuild(&state, 100), state);
    for (gone, least) in [(9, Some(3)), (3, Some(7)), (7, None)] {
        let gone = RemoveVersion { context: ".".to_owned(), subject: format!("of {gone}"), version: 1 };
        state.apply(operation(Change::RemoveVersion(gone)));
        assert_eq!(state.space(".").unwrap().id_of(&guid), least);
    }
    assert_eq!(state.space(".").unwrap().schemas().count(), 0);
    assert_eq!(state.space(".").unwrap().last_id, 9);
    assert_eq!(rebuild(&state, 100), state);
}

#[test]
fn removing_a_context_removes_its_references() {
    let mut state = State::default();
    let references = vec![SchemaReference { name: "r".to_owned(), subject: ":.:one".to_owned(), version: 1 }];
    let store =
        |context: &str, id, schema| operation(Change::StoreSchema(StoreSchema { context: context.to_owned(), id, schema: Some(schema) }));
    state.apply(store(".", 1, schema("one")));
    state.apply(version("one", 1, 1, false));
    state.apply(store(".x", 1, Schema { references, ..schema("two") }));
    let name = super::super::subject::SubjectName::new("", "one");
    assert_eq!(state.referrers(&name, 1).count(), 1);
    state.apply(operation(Change::RemoveContext(RemoveContext { context: ".x".to_owned() })));
    assert_eq!(state.referrers(&name, 1).count(), 0);
    assert_eq!(rebuild(&state, 1), state);
}

#[test]
fn a_reader_continues_after_appends_of_its_own_gateway() {
    let head =
        |position: u64| JournalHead { position, revision: position * 10, nonce: vec![position as u8].into(), ..JournalHead::default() };
    let entry = |position: u32| (head(position.into()).nonce, vec![version("a", position, position, false)]);
    let segment = |positions: std::ops::RangeInclusive<u32>| JournalSegment { base: None, entries: positions.map(entry).collect() };
    let numbers = |replica: &Replica| everything_without_text(&replica.state);
    let mut replica = Replica::default();
    assert!(replica.advance(&JournalHead::default(), segment(1..=2), head(2)));
    // A reader started at 2 and read up to 5; meanwhile this gateway appended the third entry.
    let known = replica.at.clone();
    assert!(replica.advance(&known, segment(3..=3), head(3)));
    assert!(replica.advance(&known, segment(3..=5), head(5)));
    assert_eq!((numbers(&replica), replica.at.clone()), (vec![1, 2, 3, 4, 5], head(5)));
    // A segment that ends before the state changes nothing; a segment of another history must be read again.
    assert!(replica.advance(&known, segment(3..=4), head(4)));
    assert_eq!(replica.at, head(5));
    let other = JournalSegment { base: None, entries: (3..=6).map(|position| (vec![9, position].into(), Vec::new())).collect() };
    assert!(!replica.advance(&known, other, head(6)));
    let from_scratch = JournalSegment { base: Some(Vec::new()), entries: Vec::new() };
    assert!(!replica.advance(&known, from_scratch, head(6)));
    assert!(replica.has_applied(&head(5).nonce) && !replica.has_applied(&head(6).nonce));
}

fn everything_without_text(state: &State) -> Vec<u32> {
    state.space(".").unwrap().subjects["a"].versions.keys().copied().collect()
}
