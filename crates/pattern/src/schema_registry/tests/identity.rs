//! A state built from the operations of its snapshot equals the original.

use proptest::prelude::*;

use super::*;
use prism_call::proto::{
    journal::v1::{CountIds, RemoveContext, RemoveDek, RemoveKek, StoreConfig, StoreMode},
    patterns::schema_registry::v1::{Association, Config, Dek, Kek, SchemaReference},
};

/// Rebuilds a state from its snapshot.
fn rebuild(state: &State) -> State {
    let mut made = State::default();
    state.snapshot().for_each(|operation| made.apply(operation));
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
    fn a_snapshot_rebuilds_the_state(steps in prop::collection::vec((0..16u8, any::<u8>(), any::<u8>(), any::<u8>()), 0..120)) {
        let mut state = State::default();
        for step in steps {
            let operations = operations(&state, step);
            for operation in operations {
                state.apply(operation);
            }
        }
        prop_assert_eq!(rebuild(&state), state);
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
    assert_eq!(rebuild(&state), state);
    for (gone, least) in [(9, Some(3)), (3, Some(7)), (7, None)] {
        let gone = RemoveVersion { context: ".".to_owned(), subject: format!("of {gone}"), version: 1 };
        state.apply(operation(Change::RemoveVersion(gone)));
        assert_eq!(state.space(".").unwrap().id_of(&guid), least);
    }
    assert_eq!(state.space(".").unwrap().schemas().count(), 0);
    assert_eq!(state.space(".").unwrap().last_id, 9);
    assert_eq!(rebuild(&state), state);
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
    assert_eq!(rebuild(&state), state);
}
