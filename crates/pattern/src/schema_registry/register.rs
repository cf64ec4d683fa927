//! Registration of schemas: a new version of a subject, and an id for a new schema.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    SchemaRegistry,
    basis::Basis,
    candidate::{Candidate, add_defaults},
    compatibility::Trial,
    describe::{describe_registered, render_in_format},
    find::{find_registered, resolve_alias, resolve_read, versions_with_references},
    inline::Tagging,
    refusal::{self, Cause},
    state::{State, StoredSchema, Version},
    subject::SubjectName,
    version_property::{has_version, with_version},
    work,
};
use prism_call::{
    Code, Context, Error,
    proto::{
        journal::v1::{Operation, RemoveVersion, StoreSchema, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{LookUpSchemaRequest, RegisterSchemaRequest, RegisteredSchema, Schema},
    },
};

/// Greatest number of attempts for one registration, if the subject changes during each.
const MAX_ATTEMPTS: usize = 50;
/// The format of a text that came as a Protobuf descriptor.
const SERIALIZED: &str = "serialized";
/// Greatest version and id: clients keep them as signed 32-bit numbers.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// The outcome of an attempt to register.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The version that the subject has now.
    Done(Box<RegisteredSchema>),
    /// The subject changed after the schema was checked.
    Retry,
}

/// The version in a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedVersion {
    /// The next one, unless the subject has the schema already.
    Any,
    /// The next one, unless the latest version has the schema already.
    Latest,
    /// This one.
    Exact(u32),
}

impl RequestedVersion {
    /// Reads the version in a request: -1 means the latest one; 0 and other negative numbers mean none.
    pub fn new(number: i32) -> Self {
        match u32::try_from(number) {
            Ok(0) => Self::Any,
            Ok(number) => Self::Exact(number),
            Err(_) if number == -1 => Self::Latest,
            Err(_) => Self::Any,
        }
    }

    /// Whether a version that has the schema already is what the request wants.
    fn accepts(self, version: u32, latest: Option<u32>) -> bool {
        match self {
            Self::Any => true,
            Self::Latest => latest == Some(version),
            Self::Exact(wanted) => wanted == version,
        }
    }
}

/// The parameters of a registration.
pub(super) struct Registration {
    pub name: SubjectName,
    /// 0: the next one.
    pub id: u32,
    pub version: RequestedVersion,
    pub normalize: bool,
    pub tagging: Arc<Tagging>,
    /// Whether the metadata always gets the number of the version.
    pub adds_version: bool,
}

impl SchemaRegistry {
    pub(super) async fn register(self: &Arc<Self>, context: &Context, request: RegisterSchemaRequest) -> Result<RegisteredSchema, Error> {
        self.register_version(context, request, false).await
    }

    /// Registers a schema. `adds_version`: whether its metadata always gets the number of the version.
    pub(super) async fn register_version(
        self: &Arc<Self>,
        context: &Context,
        request: RegisterSchemaRequest,
        adds_version: bool,
    ) -> Result<RegisteredSchema, Error> {
        let RegisterSchemaRequest {
            context: space,
            subject,
            schema,
            normalize,
            id,
            version,
            format,
            tags_to_add,
            tags_to_remove,
            propagate_tags,
        } = request;
        let named = SubjectName::subject(&space, &subject)?;
        let tagging = Arc::new(Tagging::new(&tags_to_add, &tags_to_remove, propagate_tags)?);
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (id, version) = (u32::try_from(id).unwrap_or(0), RequestedVersion::new(version));
        let mut turn = None;
        for _ in 0..MAX_ATTEMPTS {
            let (name, ground) = self
                .journal
                .read_fresh(context, |state| -> Result<_, Error> {
                    let name = resolve_alias(state, &named);
                    let ground = gather(state, &name, &schema)?;
                    Ok((name, ground))
                })
                .await??;
            let queue = self.queue(&name);
            let registration = Arc::new(Registration { name, id, version, normalize, tagging: tagging.clone(), adds_version });
            let (outcome, is_descriptor) = self.attempt(context, &registration, &schema, ground).await?;
            if let Outcome::Done(done) = outcome {
                // Clients keep the answer instead of the text that they sent, so it has the same form.
                return self.apply_format(*done, if format.is_empty() && is_descriptor { SERIALIZED } else { &format }).await;
            }
            if turn.is_none() {
                turn = Some(queue.lock().await);
            }
        }
        Err(refusal::contention())
    }

    /// Attempts to register. Returns the outcome, and whether the text came as a Protobuf descriptor.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        context: &Context,
        registration: &Arc<Registration>,
        request: &Schema,
        (basis, trial): (Arc<Basis>, Trial),
    ) -> Result<(Outcome, bool), Error> {
        let imports = basis.is_import() && registration.id != 0;
        let (registry, on, schema, what) = (self.clone(), basis.clone(), request.clone(), registration.clone());
        let bytes = basis.bytes(request);
        let candidate = work::run(bytes, move || registry.candidate(&on, &schema, &what.tagging, what.normalize, imports)).await?;
        let is_descriptor = candidate.parsed.is_descriptor();
        let candidate = Arc::new(candidate);
        if registration.id == 0 && !basis.adds_to_schemas() {
            // The common case: the schema is already registered.
            if let Some(found) = self.find_known(registration, &basis, &candidate).await? {
                return Ok((Outcome::Done(Box::new(found)), is_descriptor));
            }
        }
        if basis.is_import() && !imports {
            let name = &registration.name;
            let message = format!("'{name}' has the mode IMPORT, in which a new schema needs an id; add one, or end the mode");
            return Err(refusal::not_permitted(Cause::Importing, message).with("subject", name.to_string()));
        }
        let (registry, on) = (self.clone(), basis.clone());
        let (candidate, verdict) = work::run(bytes + trial.bytes(), move || {
            if imports {
                return Ok((candidate.clone(), None));
            }
            let mut candidate = Candidate::clone(&candidate);
            add_defaults(&mut candidate, &on);
            let verdict = registry.find_incompatibility(&trial, &candidate.parsed, candidate.metadata.as_ref())?;
            Ok((Arc::new(candidate), verdict))
        })
        .await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let outcome = self
            .journal
            .change(context, |state| {
                if !Basis::gather(state, &registration.name, request)?.is_unchanged(&basis) {
                    return Ok((Vec::new(), Outcome::Retry));
                }
                super::setting::check_writable(state, &registration.name)?;
                let plan = VersionPlan { state, registration, basis: &basis, candidate: &candidate, imports, now };
                if let Some(found) = plan.find_same()? {
                    return Ok((Vec::new(), Outcome::Done(Box::new(found))));
                }
                if let Some(verdict) = verdict.as_ref().filter(|_| registration.id == 0) {
                    return Err(verdict.refuse(&registration.name));
                }
                let (operations, made) = plan.add()?;
                Ok((operations, Outcome::Done(Box::new(made))))
            })
            .await?;
        Ok((outcome, is_descriptor))
    }

    /// Finds a version that has the schema already and that the request accepts.
    async fn find_known(
        self: &Arc<Self>,
        registration: &Arc<Registration>,
        basis: &Basis,
        candidate: &Arc<Candidate>,
    ) -> Result<Option<RegisteredSchema>, Error> {
        let latest = basis.latest_version();
        let accepts = |version: u32| registration.version.accepts(version, latest);
        let name = &registration.name;
        let (found, versions) = self.journal.read_known(|state| -> Result<_, Error> {
            let found = find_registered(state, name, candidate, false, accepts);
            let versions = if found.is_none() { versions_with_references(state, name, candidate, false)? } else { Vec::new() };
            Ok((found, versions))
        })?;
        let versions: Vec<_> = versions.into_iter().filter(|(version, ..)| accepts(*version)).collect();
        if versions.is_empty() {
            return Ok(found);
        }
        self.find_resolved(name.clone(), candidate.clone(), versions).await
    }

    pub(super) async fn look_up(self: &Arc<Self>, context: &Context, request: LookUpSchemaRequest) -> Result<RegisteredSchema, Error> {
        let LookUpSchemaRequest { context: space, subject, schema, normalize, deleted, format } = request;
        let name = SubjectName::subject(&space, &subject)?;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (name, exists, basis) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let name = resolve_read(state, &name, deleted);
                let exists = state.subject(&name).is_some_and(|subject| deleted || subject.is_live());
                let basis = Basis::gather(state, &name, &schema)?;
                Ok((name, exists, basis))
            })
            .await??;
        let lenient = basis.is_import();
        let (registry, bytes) = (self.clone(), basis.bytes(&schema));
        let candidate = work::run(bytes, move || registry.candidate(&basis, &schema, &Tagging::default(), normalize, lenient)).await?;
        // What is no schema is refused, whether the subject exists or not.
        if !exists {
            return Err(refusal::subject_not_found(&name));
        }
        let (found, versions) = self.journal.read_known(|state| -> Result<_, Error> {
            let found = find_registered(state, &name, &candidate, deleted, |_| true);
            let versions = if found.is_none() { versions_with_references(state, &name, &candidate, deleted)? } else { Vec::new() };
            Ok((found, versions))
        })?;
        let found = if versions.is_empty() { found } else { self.find_resolved(name, Arc::new(candidate), versions).await? };
        self.apply_format(found.ok_or_else(refusal::schema_not_found)?, &format).await
    }

    /// Renders the text in the requested format.
    pub(super) async fn apply_format(self: &Arc<Self>, schema: RegisteredSchema, format: &str) -> Result<RegisteredSchema, Error> {
        if format.is_empty() {
            return Ok(schema);
        }
        let context = SubjectName::new("", &schema.subject).context;
        let material = self.journal.read_known(|state| {
            let stored = state.space(&context)?.schema(schema.id)?;
            Some(super::reference::SchemaMaterial::new(state, &context, stored))
        });
        let Some(material) = material.transpose()? else { return Ok(schema) };
        render_in_format(self, &material, schema, format).await
    }
}

/// Collects the part of the state that matters for a registration, and the versions to compare with.
pub(super) fn gather(state: &State, name: &SubjectName, request: &Schema) -> Result<(Arc<Basis>, Trial), Error> {
    let basis = Basis::gather(state, name, request)?;
    let trial = Trial::for_next_version(state, name, &basis.config)?;
    Ok((Arc::new(basis), trial))
}

/// What a registration does to a state.
struct VersionPlan<'a> {
    state: &'a State,
    registration: &'a Registration,
    basis: &'a Basis,
    candidate: &'a Candidate,
    /// Whether the schema gets the id that the request says.
    imports: bool,
    /// Milliseconds since 1970.
    now: i64,
}

impl VersionPlan<'_> {
    /// Returns the versions that are not deleted and have the schema, the latest first.
    fn same_versions(&self) -> impl Iterator<Item = (u32, Version, &Arc<StoredSchema>)> {
        let space = self.state.space(&self.registration.name.context);
        let live = self.basis.versions.iter().rev().filter(|(_, one)| !one.deleted);
        let stored = live.filter_map(move |&(version, one)| Some((version, one, space?.schema(one.id)?)));
        let guid = self.candidate.guid();
        stored.filter(move |(.., stored)| if self.imports { stored.guid == guid } else { self.candidate.is_same(stored) })
    }

    /// Returns the version that has the schema already, if the request accepts it.
    fn find_same(&self) -> Result<Option<RegisteredSchema>, Error> {
        let Registration { name, id, version, .. } = self.registration;
        let latest = self.basis.latest_version();
        let mut accepted = self.same_versions().filter(|(number, ..)| version.accepts(*number, latest));
        if let Some((number, one, stored)) = accepted.find(|(_, one, _)| *id == 0 || one.id == *id) {
            return Ok(Some(describe_registered(name, number, one, stored)));
        }
        // An import may give one schema several ids, but a version only one.
        let taken = |(number, ..): &(u32, Version, _)| !self.imports || *version == RequestedVersion::Exact(*number);
        match self.same_versions().find(taken).filter(|_| *id != 0) {
            Some((_, one, _)) => Err(refusal::id_mismatch(one.id, *id)),
            None => Ok(None),
        }
    }

    /// Adds a version.
    fn add(&self) -> Result<(Vec<Operation>, RegisteredSchema), Error> {
        let name = &self.registration.name;
        let next = self.basis.versions.last().map_or(1, |(version, _)| version + 1);
        let version = self.pick_version(next)?;
        if self.basis.versions.iter().any(|(taken, one)| *taken == version && !one.deleted) {
            let message = format!("version {version} of the subject '{name}' exists already, with another schema");
            return Err(refusal::not_permitted(Cause::VersionTaken, message).with("version", version.to_string()));
        }
        let schema = self.schema(version);
        let (id, is_new) = self.pick_id(&schema)?;
        if version > MAX_NUMBER || id > MAX_NUMBER {
            return Err(Error::new(Code::ResourceExhausted, "NUMBERS_EXHAUSTED", "there are no numbers left for versions or ids"));
        }
        let mut operations = Vec::new();
        let mut push = |change| operations.push(Operation { change: Some(change) });
        if is_new {
            push(Change::StoreSchema(StoreSchema { context: name.context.clone(), id, schema: Some(schema.clone()) }));
        }
        let (context, subject) = (name.context.clone(), name.subject.clone());
        push(Change::StoreVersion(StoreVersion { context, subject, version, id, deleted: false, register_millis: self.now }));
        // The new version replaces softly deleted ones with the same schema, unless schemas refer to them.
        let replaced = self.basis.versions.iter().filter(|(number, one)| one.deleted && one.id == id && *number != version);
        for (number, _) in replaced.filter(|(number, _)| !self.imports && self.state.referrers(name, *number).next().is_none()) {
            let (context, subject) = (name.context.clone(), name.subject.clone());
            push(Change::RemoveVersion(RemoveVersion { context, subject, version: *number }));
        }
        let stored = StoredSchema::new(id, schema);
        let entry = Version { id, deleted: false, register_millis: self.now };
        Ok((operations, describe_registered(name, version, entry, &stored)))
    }

    /// Returns the schema as the journal stores it. Where the subject has the same text, or metadata with the number of a version, the
    /// metadata gets the number of this version.
    fn schema(&self, version: u32) -> Schema {
        let mut schema = self.candidate.clone().into_schema(self.basis.format);
        let adds_version = match self.registration.version {
            _ if self.imports => false,
            RequestedVersion::Latest => true,
            RequestedVersion::Exact(_) => self.same_versions().next().is_some(),
            RequestedVersion::Any => false,
        };
        if adds_version || !self.imports && (self.registration.adds_version || has_version(schema.metadata.as_ref())) {
            schema.metadata = Some(with_version(schema.metadata, version));
        }
        schema
    }

    fn pick_version(&self, next: u32) -> Result<u32, Error> {
        match self.registration.version {
            RequestedVersion::Exact(version) if version == next || self.imports => Ok(version),
            RequestedVersion::Exact(version) => {
                let why = format!("the next version of the subject is {next}, not {version}; leave it out, or set the mode IMPORT");
                Err(refusal::invalid_schema("version", why))
            }
            RequestedVersion::Any | RequestedVersion::Latest => Ok(next),
        }
    }

    /// Chooses the id. Returns it, and whether it is new.
    fn pick_id(&self, schema: &Schema) -> Result<(u32, bool), Error> {
        let (name, id) = (&self.registration.name, self.registration.id);
        let space = self.state.space(&name.context);
        if id == 0 {
            let guid = StoredSchema::new(0, schema.clone()).guid;
            let next = || space.map_or(0, |space| space.last_id) + 1;
            return Ok(space.and_then(|space| space.id_of(&guid)).map_or_else(|| (next(), true), |id| (id, false)));
        }
        if !self.imports {
            let message =
                format!("a request can set the id of a new schema only in the mode IMPORT; set it for '{name}', or leave the id out");
            return Err(refusal::not_permitted(Cause::NotImporting, message).with("subject", name.to_string()));
        }
        match space.and_then(|space| space.schema(id)) {
            Some(other) if other.schema() != *schema => {
                let message = format!("the id {id} belongs to another schema");
                Err(refusal::not_permitted(Cause::IdTaken, message).with("id", id.to_string()))
            }
            Some(_) => Ok((id, false)),
            None => Ok((id, true)),
        }
    }
}
