//! What the journal comes to: contexts, subjects, versions, schemas, in memory.
//!
//! A state changes by operations alone, so every gateway that has repeated the same entries has the same one. Operations never
//! fail: what an operation speaks of that isn't there is left alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{
    identity::Guid,
    subject::{DEFAULT_CONTEXT, Name},
};
use prism_call::proto::{
    journal::v1::{
        CountIds, Operation, RemoveContext, RemoveDek, RemoveVersion, StoreConfig, StoreMode, StoreSchema, StoreVersion, operation::Change,
    },
    patterns::schema_registry::v1::{Association, Config, Dek, Kek, Metadata, RuleSet, Schema, SchemaReference},
};
use prism_schema::SchemaFormat;

/// Everything that a registry has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    pub contexts: BTreeMap<Arc<str>, Space>,
    pub keks: BTreeMap<String, Kek>,
    pub deks: BTreeMap<DekKey, BTreeMap<u32, Dek>>,
    pub associations: BTreeMap<AssociationKey, Association>,
    /// Schemas that refer to a version.
    referrers: HashMap<VersionKey, BTreeSet<SchemaKey>>,
    /// Whether a later release has said something that this one doesn't understand.
    partial: bool,
}

/// Context, subject, version.
type VersionKey = (String, String, u32);
/// Context, id.
type SchemaKey = (Arc<str>, u32);
/// Name of the key that encrypts it, subject, algorithm.
pub(super) type DekKey = (String, String, String);
/// Identity of the resource, its type, type of the association.
pub(super) type AssociationKey = (String, String, String);

/// One context.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Space {
    /// The last id that was given.
    pub last_id: u32,
    schemas: HashMap<u32, Held>,
    /// Of what came in with several ids, the least.
    ids: HashMap<Guid, u32>,
    /// The others of those.
    twins: BTreeMap<Guid, BTreeSet<u32>>,
    pub subjects: BTreeMap<Arc<str>, Subject>,
    pub settings: Settings,
}

/// A schema of a context.
#[derive(Debug, PartialEq)]
struct Held {
    schema: Arc<Stored>,
    /// The versions that have it, in order.
    users: Vec<(Arc<str>, u32)>,
}

/// A schema; it never changes.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub id: u32,
    pub guid: Guid,
    pub format: SchemaFormat,
    pub text: Box<str>,
    pub references: Box<[SchemaReference]>,
    pub metadata: Option<Box<Metadata>>,
    pub rule_set: Option<Box<RuleSet>>,
    pub told: Told,
}

/// The answer to who asks for a schema by its id, made when the first one does: nothing is asked for as often.
#[derive(Debug, Default)]
pub(super) struct Told(pub OnceLock<Bytes>);

/// It says nothing that the schema doesn't.
impl PartialEq for Told {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Subject {
    pub versions: BTreeMap<u32, Version>,
    pub settings: Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub id: u32,
    pub deleted: bool,
    pub register_millis: i64,
}

/// What is set for a subject or a context.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub config: Option<Box<Config>>,
    pub mode: Option<Box<str>>,
}

impl Settings {
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.mode.is_none()
    }
}

impl Subject {
    /// Its versions, those that are softly deleted among them or not.
    pub fn list(&self, deleted: bool) -> impl DoubleEndedIterator<Item = (u32, Version)> + '_ {
        self.versions.iter().filter(move |(_, version)| deleted || !version.deleted).map(|(&number, &version)| (number, version))
    }

    pub fn is_live(&self) -> bool {
        self.versions.values().any(|version| !version.deleted)
    }
}

impl Space {
    pub fn schema(&self, id: u32) -> Option<&Arc<Stored>> {
        self.schemas.get(&id).map(|held| &held.schema)
    }

    /// All schemas, in no order.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.schemas.values().map(|held| &held.schema)
    }

    pub fn users(&self, id: u32) -> &[(Arc<str>, u32)] {
        self.schemas.get(&id).map_or(&[], |held| &held.users)
    }

    pub fn id_of(&self, guid: &Guid) -> Option<u32> {
        self.ids.get(guid).copied()
    }

    /// The least id leads, whichever came first, so that all gateways agree, those that began with a snapshot among them.
    fn index(&mut self, guid: Guid, id: u32) {
        let Some(least) = self.ids.insert(guid, id).filter(|known| *known != id) else { return };
        self.ids.insert(guid, least.min(id));
        self.twins.entry(guid).or_default().insert(least.max(id));
    }

    fn unindex(&mut self, guid: Guid, id: u32) {
        let mut next = None;
        if let Some(twins) = self.twins.get_mut(&guid) {
            if self.ids.get(&guid) == Some(&id) {
                next = twins.pop_first();
            } else {
                twins.remove(&id);
                next = self.ids.get(&guid).copied();
            }
            if twins.is_empty() {
                self.twins.remove(&guid);
            }
        }
        match next {
            Some(id) => self.ids.insert(guid, id),
            None => self.ids.remove(&guid),
        };
    }
}

impl State {
    pub fn space(&self, context: &str) -> Option<&Space> {
        self.contexts.get(context)
    }

    /// Number of all versions.
    pub fn versions(&self) -> usize {
        self.contexts.values().flat_map(|space| space.subjects.values()).map(|subject| subject.versions.len()).sum()
    }

    /// The subject, if it has versions, be they deleted.
    pub fn subject(&self, name: &Name) -> Option<&Subject> {
        self.space(&name.context)?.subjects.get(&*name.subject).filter(|subject| !subject.versions.is_empty())
    }

    /// What is set for a subject or a context, and nothing wider.
    pub fn settings(&self, name: &Name) -> Option<&Settings> {
        let space = self.space(&name.context)?;
        if name.subject.is_empty() { Some(&space.settings) } else { Some(&space.subjects.get(&*name.subject)?.settings) }
    }

    /// What is set for it and for all that is wider, the narrowest first.
    pub fn inherited(&self, name: &Name) -> impl Iterator<Item = &Settings> {
        let space = self.space(&name.context);
        let subject = space.and_then(|space| space.subjects.get(&*name.subject)).map(|subject| &subject.settings);
        let context = space.filter(|_| name.context != DEFAULT_CONTEXT).map(|space| &space.settings);
        let global = self.space(DEFAULT_CONTEXT).map(|space| &space.settings);
        [subject, context, global].into_iter().flatten()
    }

    /// Schemas that refer to a version, by context and id.
    pub fn referrers(&self, name: &Name, version: u32) -> impl Iterator<Item = &SchemaKey> {
        self.referrers.get(&(name.context.clone(), name.subject.clone(), version)).into_iter().flatten()
    }

    /// Whether there is more in the journal than this release understands.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Repeats one operation.
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
                self.set(&context, &subject, |settings| settings.config = config.map(Box::new));
            }
            Some(Change::StoreMode(StoreMode { context, subject, mode })) => {
                self.set(&context, &subject, |settings| settings.mode = (!mode.is_empty()).then(|| mode.into()));
            }
            Some(Change::RemoveContext(RemoveContext { context })) => {
                let ids: Vec<_> = self.space(&context).into_iter().flat_map(|space| space.schemas.keys().copied()).collect();
                for id in ids {
                    self.forget(&context, id);
                }
                // Its ids are not given again, should it come back.
                if let Some(space) = self.contexts.get_mut(&*context) {
                    *space = Space { last_id: space.last_id, ..Space::default() };
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
            // What it is about can't be known here.
            None => self.partial = true,
        }
    }

    fn space_mut(&mut self, context: &str) -> &mut Space {
        if !self.contexts.contains_key(context) {
            self.contexts.insert(context.into(), Space::default());
        }
        self.contexts.entry(context.into()).or_default()
    }

    fn set(&mut self, context: &str, subject: &str, change: impl FnOnce(&mut Settings)) {
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
        let users = self.forget(&context, id).map(|held| held.users).unwrap_or_default();
        let stored = Arc::new(Stored::new(id, schema));
        for reference in &stored.references {
            self.referrers.entry(referred(&context, reference)).or_default().insert((context.clone(), id));
        }
        let space = self.space_mut(&context);
        space.last_id = space.last_id.max(id);
        space.index(stored.guid, id);
        space.schemas.insert(id, Held { schema: stored, users });
    }

    fn store_version(&mut self, one: StoreVersion) {
        let StoreVersion { context, subject, version, id, deleted, register_millis } = one;
        let space = self.space_mut(&context);
        let name = space.subjects.get_key_value(&*subject).map_or_else(|| Arc::from(&*subject), |(name, _)| name.clone());
        let versions = &mut space.subjects.entry(name.clone()).or_default().versions;
        let before = versions.insert(version, Version { id, deleted, register_millis });
        if before.is_none_or(|before| before.id != id) {
            if let Some(held) = space.schemas.get_mut(&id) {
                let user = (name.clone(), version);
                if let Err(place) = held.users.binary_search(&user) {
                    held.users.insert(place, user);
                }
            }
            if let Some(before) = before {
                self.release(&context, &name, version, before.id);
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
        self.release(context, subject, *version, gone.id);
    }

    /// A version does not have a schema any more; if it was the last one, the schema goes.
    fn release(&mut self, context: &str, subject: &str, version: u32, id: u32) {
        let Some(space) = self.contexts.get_mut(context) else { return };
        let Some(held) = space.schemas.get_mut(&id) else { return };
        held.users.retain(|(user, number)| (&**user, *number) != (subject, version));
        if held.users.is_empty() {
            self.forget(context, id);
        }
    }

    /// Takes a schema away.
    fn forget(&mut self, context: &str, id: u32) -> Option<Held> {
        let space = self.contexts.get_mut(context)?;
        let held = space.schemas.remove(&id)?;
        space.unindex(held.schema.guid, id);
        for reference in &held.schema.references {
            let key = referred(context, reference);
            if let Some(of) = self.referrers.get_mut(&key) {
                of.retain(|(other, number)| (&**other, *number) != (context, id));
                if of.is_empty() {
                    self.referrers.remove(&key);
                }
            }
        }
        Some(held)
    }
}

/// The version that a reference leads to.
fn referred(context: &str, reference: &SchemaReference) -> VersionKey {
    let name = Name::new(context, &reference.subject);
    (name.context, name.subject, reference.version.unsigned_abs())
}

impl Stored {
    /// A schema as the journal has it. What has no type that this build knows is read as text of the default one.
    pub fn new(id: u32, schema: Schema) -> Self {
        let Schema { schema_type, schema: text, references, metadata, rule_set } = schema;
        Self {
            id,
            guid: Guid::of(&text, &references, metadata.as_ref(), rule_set.as_ref()),
            format: schema_type.parse().unwrap_or_default(),
            text: text.into(),
            references: references.into(),
            metadata: metadata.map(Box::new),
            rule_set: rule_set.map(Box::new),
            told: Told::default(),
        }
    }

    /// As the journal has it.
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
