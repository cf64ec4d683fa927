//! The state that results from the journal, in memory: contexts, subjects, versions, schemas.
//!
//! Only operations change a state, so all gateways that applied the same entries have the same state. Operations never fail: an
//! operation on something that does not exist does nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{
    identity::Guid,
    subject::{GLOBAL_CONTEXT, SubjectName},
};
use prism_call::proto::{
    journal::v1::{
        CountIds, Operation, RemoveContext, RemoveDek, RemoveVersion, StoreConfig, StoreMode, StoreSchema, StoreVersion, operation::Change,
    },
    patterns::schema_registry::v1::{Association, Config, Dek, Kek, Metadata, RuleSet, Schema, SchemaReference},
};
use prism_schema::SchemaFormat;

/// The content of a registry.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    pub contexts: BTreeMap<Arc<str>, ContextState>,
    pub keks: BTreeMap<String, Kek>,
    pub deks: BTreeMap<DekKey, BTreeMap<u32, Dek>>,
    pub associations: BTreeMap<AssociationKey, Association>,
    /// The schemas that refer to a version.
    referrers: HashMap<VersionKey, BTreeSet<SchemaKey>>,
    /// Whether the journal has operations of a later release that this one does not understand.
    partial: bool,
}

/// Context, subject, version.
type VersionKey = (String, String, u32);
/// Context, id.
type SchemaKey = (Arc<str>, u32);
/// Name of the key encryption key, subject, algorithm.
pub(super) type DekKey = (String, String, String);
/// Identity of the resource, its type, type of the association.
pub(super) type AssociationKey = (String, String, String);

/// The content of one context.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ContextState {
    /// The last id that was assigned.
    pub last_id: u32,
    schemas: HashMap<u32, SchemaEntry>,
    /// The id of each schema. Imported schemas can have several; this is the lowest.
    ids: HashMap<Guid, u32>,
    /// The other ids of these schemas.
    other_ids: BTreeMap<Guid, BTreeSet<u32>>,
    pub subjects: BTreeMap<Arc<str>, Subject>,
    pub settings: ScopeSettings,
}

/// A schema of a context, and the versions that have it.
#[derive(Debug, PartialEq)]
struct SchemaEntry {
    schema: Arc<StoredSchema>,
    /// The versions that have it, in order.
    users: Vec<(Arc<str>, u32)>,
    /// The reply for the schema by its id.
    reply: EncodedReply,
}

/// A schema as it is stored. It never changes.
#[derive(Debug, PartialEq)]
pub(super) struct StoredSchema {
    pub id: u32,
    pub guid: Guid,
    pub format: SchemaFormat,
    pub text: Box<str>,
    pub references: Box<[SchemaReference]>,
    pub metadata: Option<Box<Metadata>>,
    pub rule_set: Option<Box<RuleSet>>,
}

/// A cached reply of `GetSchemaById`, encoded at the first call: no other RPC is called as often. It is dropped when the versions of the
/// schema change.
#[derive(Debug, Default)]
pub(super) struct EncodedReply(pub OnceLock<Bytes>);

/// All are equal, since the reply is derived from the schema.
impl PartialEq for EncodedReply {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Subject {
    pub versions: BTreeMap<u32, Version>,
    pub settings: ScopeSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub id: u32,
    pub deleted: bool,
    pub register_millis: i64,
}

/// The settings of a subject or a context.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ScopeSettings {
    pub config: Option<Box<Config>>,
    pub mode: Option<Box<str>>,
}

impl ScopeSettings {
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.mode.is_none()
    }
}

impl Subject {
    /// Lists the versions; `deleted` includes softly deleted ones.
    pub fn list(&self, deleted: bool) -> impl DoubleEndedIterator<Item = (u32, Version)> + '_ {
        self.versions.iter().filter(move |(_, version)| deleted || !version.deleted).map(|(&number, &version)| (number, version))
    }

    pub fn is_live(&self) -> bool {
        self.versions.values().any(|version| !version.deleted)
    }
}

impl ContextState {
    pub fn schema(&self, id: u32) -> Option<&Arc<StoredSchema>> {
        self.schemas.get(&id).map(|entry| &entry.schema)
    }

    /// Returns all schemas, in no particular order.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<StoredSchema>> {
        self.schemas.values().map(|entry| &entry.schema)
    }

    /// Returns the place for the reply for the schema with an id.
    pub fn reply_by_id(&self, id: u32) -> Option<&EncodedReply> {
        self.schemas.get(&id).map(|entry| &entry.reply)
    }

    /// Returns the version that was registered first with a schema.
    pub fn first_user(&self, id: u32) -> Option<(&Arc<str>, u32, Version)> {
        let users = self.users(id).iter();
        let versions = users.filter_map(|(user, number)| Some((user, *number, *self.subjects.get(user)?.versions.get(number)?)));
        versions.min_by_key(|(_, _, version)| version.register_millis)
    }

    pub fn users(&self, id: u32) -> &[(Arc<str>, u32)] {
        self.schemas.get(&id).map_or(&[], |entry| &entry.users)
    }

    pub fn id_of(&self, guid: &Guid) -> Option<u32> {
        self.ids.get(guid).copied()
    }

    /// Adds the id of a schema. The lowest id comes first, whatever the order of the operations, so that all gateways agree, also those
    /// that started from a snapshot.
    fn index(&mut self, guid: Guid, id: u32) {
        let Some(least) = self.ids.insert(guid, id).filter(|known| *known != id) else { return };
        self.ids.insert(guid, least.min(id));
        self.other_ids.entry(guid).or_default().insert(least.max(id));
    }

    fn unindex(&mut self, guid: Guid, id: u32) {
        let mut next = None;
        if let Some(other_ids) = self.other_ids.get_mut(&guid) {
            if self.ids.get(&guid) == Some(&id) {
                next = other_ids.pop_first();
            } else {
                other_ids.remove(&id);
                next = self.ids.get(&guid).copied();
            }
            if other_ids.is_empty() {
                self.other_ids.remove(&guid);
            }
        }
        match next {
            Some(id) => self.ids.insert(guid, id),
            None => self.ids.remove(&guid),
        };
    }
}

impl State {
    pub fn space(&self, context: &str) -> Option<&ContextState> {
        self.contexts.get(context)
    }

    /// Returns the subject if it has versions. Softly deleted versions count.
    pub fn subject(&self, name: &SubjectName) -> Option<&Subject> {
        self.space(&name.context)?.subjects.get(&*name.subject).filter(|subject| !subject.versions.is_empty())
    }

    /// Returns the settings of a subject or a context, without inherited ones.
    pub fn settings(&self, name: &SubjectName) -> Option<&ScopeSettings> {
        let space = self.space(&name.context)?;
        if name.subject.is_empty() { Some(&space.settings) } else { Some(&space.subjects.get(&*name.subject)?.settings) }
    }

    /// Returns the settings of a scope and of all wider scopes, the narrowest first: the subject, its context, all contexts.
    pub fn inherited(&self, name: &SubjectName) -> impl Iterator<Item = &ScopeSettings> {
        let space = self.space(&name.context);
        let subject = space.and_then(|space| space.subjects.get(&*name.subject)).map(|subject| &subject.settings);
        let context = space.map(|space| &space.settings);
        let global = self.space(GLOBAL_CONTEXT).filter(|_| name.context != GLOBAL_CONTEXT).map(|space| &space.settings);
        [subject, context, global].into_iter().flatten()
    }

    /// Returns the schemas that refer to a version, by context and id.
    pub fn referrers(&self, name: &SubjectName, version: u32) -> impl Iterator<Item = &SchemaKey> {
        self.referrers.get(&(name.context.clone(), name.subject.clone(), version)).into_iter().flatten()
    }

    /// Whether a version has a schema. `deleted`: whether softly deleted versions count. Versions of the subject `except` don't count.
    pub fn is_used(&self, context: &str, id: u32, deleted: bool, except: Option<&SubjectName>) -> bool {
        let Some(space) = self.space(context) else { return false };
        space.users(id).iter().any(|(user, number)| {
            let is_excepted = except.is_some_and(|except| *except.context == *context && *except.subject == **user);
            let version = space.subjects.get(user).and_then(|subject| subject.versions.get(number));
            !is_excepted && version.is_some_and(|version| deleted || !version.deleted)
        })
    }

    /// Whether the journal has operations that this release does not understand.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Applies an operation.
    pub fn apply(&mut self, operation: Operation) {
        match operation.change {
            Some(Change::StoreSchema(one)) => self.store_schema(one),
            Some(Change::StoreVersion(one)) => self.store_version(one),
            Some(Change::RemoveVersion(one)) => self.remove_version(&one),
            Some(Change::CountIds(CountIds { context, last_id })) => {
                let space = self.space_mut(&context);
                space.last_id = space.last_id.max(last_id);
            }
            Some(Change::StoreConfig(StoreConfig { context, subject, config })) => {
                self.change_settings(&context, &subject, |settings| settings.config = config.map(Box::new));
            }
            Some(Change::StoreMode(StoreMode { context, subject, mode })) => {
                self.change_settings(&context, &subject, |settings| settings.mode = (!mode.is_empty()).then(|| mode.into()));
            }
            Some(Change::RemoveContext(RemoveContext { context })) => {
                let ids: Vec<_> = self.space(&context).into_iter().flat_map(|space| space.schemas.keys().copied()).collect();
                for id in ids {
                    self.remove_schema(&context, id);
                }
                // If the context is created again, it does not reuse ids.
                if let Some(space) = self.contexts.get_mut(&*context) {
                    *space = ContextState { last_id: space.last_id, ..ContextState::default() };
                }
            }
            Some(Change::StoreKek(kek)) => {
                self.keks.insert(kek.name.clone(), kek);
            }
            Some(Change::RemoveKek(gone)) => {
                self.keks.remove(&gone.name);
            }
            Some(Change::StoreDek(dek)) => {
                let key = (dek.kek_name.clone(), dek.subject.clone(), dek.algorithm.clone());
                self.deks.entry(key).or_default().insert(dek.version, dek);
            }
            Some(Change::RemoveDek(RemoveDek { kek_name, subject, algorithm, version })) => {
                let key = (kek_name, subject, algorithm);
                if let Some(versions) = self.deks.get_mut(&key) {
                    versions.remove(&version);
                    if versions.is_empty() {
                        self.deks.remove(&key);
                    }
                }
            }
            Some(Change::StoreAssociation(one)) => {
                let key = (one.resource_id.clone(), one.resource_type.clone(), one.association_type.clone());
                self.associations.insert(key, one);
            }
            Some(Change::RemoveAssociation(gone)) => {
                self.associations.remove(&(gone.resource_id, gone.resource_type, gone.association_type));
            }
            // An operation of a later release.
            None => self.partial = true,
        }
    }

    fn space_mut(&mut self, context: &str) -> &mut ContextState {
        if !self.contexts.contains_key(context) {
            self.contexts.insert(context.into(), ContextState::default());
        }
        self.contexts.entry(context.into()).or_default()
    }

    fn change_settings(&mut self, context: &str, subject: &str, change: impl FnOnce(&mut ScopeSettings)) {
        let space = self.space_mut(context);
        if subject.is_empty() {
            return change(&mut space.settings);
        }
        let one = space.subjects.entry(subject.into()).or_default();
        change(&mut one.settings);
        if one.settings.is_empty() && one.versions.is_empty() {
            space.subjects.remove(subject);
        }
    }

    fn store_schema(&mut self, StoreSchema { context, id, schema }: StoreSchema) {
        let Some(schema) = schema else { return };
        let context: Arc<str> = context.into();
        let users = self.remove_schema(&context, id).map(|entry| entry.users).unwrap_or_default();
        let stored = Arc::new(StoredSchema::new(id, schema));
        for reference in &stored.references {
            self.referrers.entry(referenced_version(&context, reference)).or_default().insert((context.clone(), id));
        }
        let space = self.space_mut(&context);
        space.last_id = space.last_id.max(id);
        space.index(stored.guid, id);
        space.schemas.insert(id, SchemaEntry { schema: stored, users, reply: EncodedReply::default() });
    }

    fn store_version(&mut self, one: StoreVersion) {
        let StoreVersion { context, subject, version, id, deleted, register_millis } = one;
        let space = self.space_mut(&context);
        let name = space.subjects.get_key_value(&*subject).map_or_else(|| Arc::from(&*subject), |(name, _)| name.clone());
        let versions = &mut space.subjects.entry(name.clone()).or_default().versions;
        let before = versions.insert(version, Version { id, deleted, register_millis });
        if let Some(entry) = space.schemas.get_mut(&id) {
            entry.reply = EncodedReply::default();
        }
        if before.is_none_or(|before| before.id != id) {
            if let Some(entry) = space.schemas.get_mut(&id) {
                let user = (name.clone(), version);
                if let Err(position) = entry.users.binary_search(&user) {
                    entry.users.insert(position, user);
                }
            }
            if let Some(before) = before {
                self.release_schema(&context, &name, version, before.id);
            }
        }
    }

    fn remove_version(&mut self, RemoveVersion { context, subject, version }: &RemoveVersion) {
        let Some(space) = self.contexts.get_mut(&**context) else { return };
        let Some(one) = space.subjects.get_mut(&**subject) else { return };
        let Some(gone) = one.versions.remove(version) else { return };
        if one.versions.is_empty() && one.settings.is_empty() {
            space.subjects.remove(&**subject);
        }
        self.release_schema(context, subject, *version, gone.id);
    }

    /// Removes a version from the users of a schema, and removes the schema if it was the last one.
    fn release_schema(&mut self, context: &str, subject: &str, version: u32, id: u32) {
        let Some(space) = self.contexts.get_mut(context) else { return };
        let Some(entry) = space.schemas.get_mut(&id) else { return };
        entry.users.retain(|(user, number)| (&**user, *number) != (subject, version));
        entry.reply = EncodedReply::default();
        if entry.users.is_empty() {
            self.remove_schema(context, id);
        }
    }

    /// Removes a schema.
    fn remove_schema(&mut self, context: &str, id: u32) -> Option<SchemaEntry> {
        let space = self.contexts.get_mut(context)?;
        let entry = space.schemas.remove(&id)?;
        space.unindex(entry.schema.guid, id);
        for reference in &entry.schema.references {
            let key = referenced_version(context, reference);
            if let Some(of) = self.referrers.get_mut(&key) {
                of.retain(|(other, number)| (&**other, *number) != (context, id));
                if of.is_empty() {
                    self.referrers.remove(&key);
                }
            }
        }
        Some(entry)
    }
}

/// Returns the version that a reference refers to.
fn referenced_version(context: &str, reference: &SchemaReference) -> VersionKey {
    let name = SubjectName::new(context, &reference.subject);
    (name.context, name.subject, reference.version.unsigned_abs())
}

impl StoredSchema {
    /// Converts a schema of the journal. If this build does not know its type, it is treated as the default type.
    pub fn new(id: u32, schema: Schema) -> Self {
        let Schema { schema_type, schema: text, references, metadata, rule_set } = schema;
        Self {
            id,
            guid: Guid::compute(&text, &references, metadata.as_ref(), rule_set.as_ref()),
            format: schema_type.parse().unwrap_or_default(),
            text: text.into(),
            references: references.into(),
            metadata: metadata.map(Box::new),
            rule_set: rule_set.map(Box::new),
        }
    }

    /// Converts the schema to the message that the journal stores.
    pub fn schema(&self) -> Schema {
        Schema {
            schema_type: self.format.name().to_owned(),
            schema: self.text.to_string(),
            references: self.references.to_vec(),
            metadata: self.metadata.as_deref().cloned(),
            rule_set: self.rule_set.as_deref().cloned(),
        }
    }
}
