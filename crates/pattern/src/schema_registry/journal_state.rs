//! The state as the content of a journal: how operations create it, and which operations a snapshot of it has.

use super::state::{ContextState, ScopeSettings, State};
use prism_call::proto::journal::v1::{CountIds, Operation, StoreConfig, StoreMode, StoreSchema, StoreVersion, operation::Change};
use prism_journal::JournalState;

impl JournalState for State {
    type Operation = Operation;

    const SUBJECT: &'static str = "the schema registry";

    fn apply(&mut self, operation: Operation) {
        Self::apply(self, operation);
    }

    fn snapshot(&self) -> impl Iterator<Item = Operation> {
        let contexts = self.contexts.iter().flat_map(|(context, space)| context_changes(context, space));
        let keks = self.keks.values().cloned().map(Change::StoreKek);
        let deks = self.deks.values().flat_map(|versions| versions.values()).cloned().map(Change::StoreDek);
        let associations = self.associations.values().cloned().map(Change::StoreAssociation);
        contexts.chain(keks).chain(deks).chain(associations).map(|change| Operation { change: Some(change) })
    }

    /// Counts the versions, which are most of a snapshot.
    fn snapshot_len(&self) -> usize {
        self.contexts.values().flat_map(|space| space.subjects.values()).map(|subject| subject.versions.len()).sum()
    }

    fn is_partial(&self) -> bool {
        Self::is_partial(self)
    }
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
