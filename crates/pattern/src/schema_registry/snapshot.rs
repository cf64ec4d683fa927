//! Snapshots: a state as the operations that create it.

use bytes::Bytes;
use prost::Message as _;

use super::state::{ContextState, ScopeSettings, State};
use prism_call::proto::journal::v1::{CountIds, Operation, Part, StoreConfig, StoreMode, StoreSchema, StoreVersion, operation::Change};

/// Encodes the state in parts of at most `part_bytes` bytes, unless a single operation is larger.
pub(super) fn encode_parts(state: &State, part_bytes: usize) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let (mut part, mut size) = (Part::default(), 0);
    for operation in operations(state) {
        let length = operation.encoded_len();
        if size > 0 && size + length > part_bytes {
            parts.push(std::mem::take(&mut part).encode_to_vec().into());
            size = 0;
        }
        size += length;
        part.operations.push(operation);
    }
    parts.push(part.encode_to_vec().into());
    parts
}

/// Returns the operations that create the state from an empty one, in the order in which they must be applied.
pub(super) fn operations(state: &State) -> impl Iterator<Item = Operation> + '_ {
    let contexts = state.contexts.iter().flat_map(|(context, space)| context_changes(context, space));
    let keks = state.keks.values().cloned().map(Change::StoreKek);
    let deks = state.deks.values().flat_map(|versions| versions.values()).cloned().map(Change::StoreDek);
    let associations = state.associations.values().cloned().map(Change::StoreAssociation);
    contexts.chain(keks).chain(deks).chain(associations).map(|change| Operation { change: Some(change) })
}

fn context_changes<'a>(context: &'a str, space: &'a ContextState) -> impl Iterator<Item = Change> + 'a {
    let count = Change::CountIds(CountIds { context: context.to_owned(), last_id: space.last_id });
    let schemas = space
        .schemas()
        .map(|stored| Change::StoreSchema(StoreSchema { context: context.to_owned(), id: stored.id, schema: Some(stored.schema()) }));
    let subjects = space.subjects.iter().flat_map(|(name, subject)| {
        let versions = subject.versions.iter().map(|(&version, one)| {
            Change::StoreVersion(StoreVersion {
                context: context.to_owned(),
                subject: name.to_string(),
                version,
                id: one.id,
                deleted: one.deleted,
                register_millis: one.register_millis,
            })
        });
        versions.chain(settings_changes(context, name, &subject.settings))
    });
    std::iter::once(count).chain(schemas).chain(subjects).chain(settings_changes(context, "", &space.settings))
}

fn settings_changes(context: &str, subject: &str, settings: &ScopeSettings) -> impl Iterator<Item = Change> + use<> {
    let config = settings.config.as_deref().map(|config| {
        Change::StoreConfig(StoreConfig { context: context.to_owned(), subject: subject.to_owned(), config: Some(config.clone()) })
    });
    let mode = settings
        .mode
        .as_deref()
        .map(|mode| Change::StoreMode(StoreMode { context: context.to_owned(), subject: subject.to_owned(), mode: mode.to_owned() }));
    config.into_iter().chain(mode)
}
