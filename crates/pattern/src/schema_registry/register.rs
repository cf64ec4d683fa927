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
    inline::Tagging,
    read::{describe_registered, render_in_format},
    refusal::{self, Cause},
    state::{State, StoredSchema, Version},
    subject::SubjectName,
    work,
};
use prism_call::{
    Code, Context, Error,
    proto::{
        journal::v1::{Operation, StoreSchema, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{LookUpSchemaRequest, RegisterSchemaRequest, RegisteredSchema, Schema},
    },
};

/// Greatest number of attempts for one registration, if the subject changes during each.
const MAX_ATTEMPTS: usize = 50;
/// Greatest version and id: clients keep them as signed 32-bit numbers.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// The outcome of an attempt to register.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Box<RegisteredSchema>),
    /// The subject changed after the schema was checked.
    Retry,
}

/// The parameters of a registration.
pub(super) struct Registration {
    pub name: SubjectName,
    /// 0: the next one.
    pub id: u32,
    /// 0: the next one.
    pub version: u32,
    pub normalize: bool,
    pub tagging: Tagging,
}

impl SchemaRegistry {
    pub(super) async fn register(self: &Arc<Self>, context: &Context, request: RegisterSchemaRequest) -> Result<RegisteredSchema, Error> {
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
        let name = SubjectName::subject(&space, &subject)?;
        let tagging = Tagging::new(&tags_to_add, &tags_to_remove, propagate_tags)?;
        let registration =
            Arc::new(Registration { name, id: positive_or_zero(id), version: positive_or_zero(version), normalize, tagging });
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let mut turn = None;
        for _ in 0..MAX_ATTEMPTS {
            let ground = self.journal.read_fresh(context, |state| gather(state, &registration.name, &schema)).await??;
            if let Outcome::Done(done) = self.attempt(context, &registration, &schema, ground).await? {
                return self.apply_format(*done, &format).await;
            }
            if turn.is_none() {
                turn = Some(self.queue(&registration.name).lock().await);
            }
        }
        Err(refusal::contention())
    }

    pub(super) async fn attempt(
        self: &Arc<Self>,
        context: &Context,
        registration: &Arc<Registration>,
        request: &Schema,
        (basis, trial): (Arc<Basis>, Trial),
    ) -> Result<Outcome, Error> {
        let name = &registration.name;
        let importing = basis.mode == "IMPORT";
        let (registry, on, schema, what) = (self.clone(), basis.clone(), request.clone(), registration.clone());
        let bytes = basis.bytes(request);
        let candidate = work::run(bytes, move || registry.candidate(&on, &schema, &what.tagging, what.normalize)).await?;
        if !importing && registration.id == 0 && !basis.adds_to_schemas() {
            // The common case: the schema is already registered.
            let plain = self.journal.read_known(|state| find_registered(state, name, &candidate, false));
            if let Some(found) = plain {
                return Ok(Outcome::Done(Box::new(found)));
            }
        }
        let (registry, on, format) = (self.clone(), basis.clone(), basis.format);
        let (candidate, verdict) = work::run(bytes + trial.bytes(), move || {
            let mut candidate = candidate.clone();
            if importing {
                return Ok((candidate, None));
            }
            add_defaults(&mut candidate, &on);
            let verdict = registry.find_incompatibility(&trial, &candidate.parsed, candidate.metadata.as_ref())?;
            Ok((candidate, verdict))
        })
        .await?;
        let guid = candidate.guid();
        let schema = candidate.into_schema(format);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        self.journal
            .change(context, |state| {
                if !Basis::gather(state, name, request)?.is_unchanged(&basis) {
                    return Ok((Vec::new(), Outcome::Retry));
                }
                super::setting::check_writable(state, name)?;
                let space = state.space(&name.context);
                let known = space.and_then(|space| space.id_of(&guid));
                let versions = &basis.versions;
                // An imported schema may have several ids.
                let is = |id: u32| known.is_some() && space.and_then(|space| space.schema(id)).is_some_and(|stored| stored.guid == guid);
                if let Some(&(version, one)) = versions.iter().rev().find(|(_, one)| !one.deleted && is(one.id)) {
                    if registration.id != 0 && registration.id != one.id {
                        return Err(refusal::id_mismatch(one.id, registration.id));
                    }
                    if !(importing && registration.version != 0 && registration.version != version) {
                        let found = space.and_then(|space| space.schema(one.id)).cloned();
                        let found = found.ok_or_else(|| Error::internal("a version without a schema"))?;
                        return Ok((Vec::new(), Outcome::Done(Box::new(describe_registered(name, version, one, &found)))));
                    }
                }
                if let Some(verdict) = &verdict {
                    return Err(verdict.refuse(name));
                }
                let next = versions.last().map_or(1, |(version, _)| version + 1);
                let version = pick_version(registration, next, importing)?;
                if versions.iter().any(|(taken, one)| *taken == version && !one.deleted) {
                    let message = format!("version {version} of the subject '{name}' exists already, with another schema");
                    return Err(refusal::not_permitted(Cause::VersionTaken, message).with("version", version.to_string()));
                }
                let (id, is_new) = pick_id(state, registration, known, importing, &schema)?;
                if version > MAX_NUMBER || id > MAX_NUMBER {
                    return Err(Error::new(Code::ResourceExhausted, "NUMBERS_EXHAUSTED", "there are no numbers left for versions or ids"));
                }
                let mut operations = Vec::new();
                if is_new {
                    let one = StoreSchema { context: name.context.clone(), id, schema: Some(schema.clone()) };
                    operations.push(Operation { change: Some(Change::StoreSchema(one)) });
                }
                let one = StoreVersion {
                    context: name.context.clone(),
                    subject: name.subject.clone(),
                    version,
                    id,
                    deleted: false,
                    register_millis: now,
                };
                operations.push(Operation { change: Some(Change::StoreVersion(one)) });
                let as_kept = StoredSchema::new(id, schema.clone());
                let entry = Version { id, deleted: false, register_millis: now };
                Ok((operations, Outcome::Done(Box::new(describe_registered(name, version, entry, &as_kept)))))
            })
            .await
    }

    pub(super) async fn look_up(self: &Arc<Self>, context: &Context, request: LookUpSchemaRequest) -> Result<RegisteredSchema, Error> {
        let LookUpSchemaRequest { context: space, subject, schema, normalize, deleted, format } = request;
        let name = SubjectName::subject(&space, &subject)?;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (name, basis) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let name = super::read::resolve_alias(state, &name);
                let there = state.subject(&name).is_some_and(|subject| deleted || subject.is_live());
                if !there {
                    return Err(refusal::subject_not_found(&name));
                }
                let basis = Basis::gather(state, &name, &schema)?;
                Ok((name, basis))
            })
            .await??;
        let (registry, bytes) = (self.clone(), basis.bytes(&schema));
        let candidate = work::run(bytes, move || registry.candidate(&basis, &schema, &Tagging::default(), normalize)).await?;
        let found = self.journal.read_known(|state| find_registered(state, &name, &candidate, deleted));
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
        render_in_format(self.parsed_later(&material).await?, schema, format).await
    }
}

/// Collects the part of the state that matters for a registration, and the versions to compare with.
pub(super) fn gather(state: &State, name: &SubjectName, request: &Schema) -> Result<(Arc<Basis>, Trial), Error> {
    let basis = Basis::gather(state, name, request)?;
    let trial = Trial::for_next_version(state, name, &basis.config)?;
    Ok((Arc::new(basis), trial))
}

/// Finds the latest version that has the schema.
fn find_registered(state: &State, name: &SubjectName, candidate: &Candidate, deleted: bool) -> Option<RegisteredSchema> {
    let (space, subject) = (state.space(&name.context)?, state.subject(name)?);
    // A schema that is equal in everything is preferred to one that is equal only in what the request has.
    let exact = space.id_of(&candidate.guid());
    let mut versions = subject.list(deleted).rev();
    let found = versions.find(|(_, version)| Some(version.id) == exact);
    let alike = |(_, version): &(u32, Version)| space.schema(version.id).is_some_and(|stored| candidate.matches(stored));
    let (version, one) = found.or_else(|| subject.list(deleted).rev().find(alike))?;
    Some(describe_registered(name, version, one, space.schema(one.id)?))
}

fn pick_version(registration: &Registration, next: u32, importing: bool) -> Result<u32, Error> {
    if registration.version == 0 || registration.version == next || importing {
        return Ok(if registration.version == 0 { next } else { registration.version });
    }
    let why = format!("the next version of the subject is {next}, not {}; leave it out, or set the mode IMPORT", registration.version);
    Err(refusal::invalid_schema("version", why))
}

/// Chooses the id. Returns it, and whether it is new.
fn pick_id(state: &State, registration: &Registration, known: Option<u32>, importing: bool, schema: &Schema) -> Result<(u32, bool), Error> {
    let (name, id) = (&registration.name, registration.id);
    let space = state.space(&name.context);
    if id == 0 {
        let next = || space.map_or(0, |space| space.last_id) + 1;
        return Ok(known.map_or_else(|| (next(), true), |id| (id, false)));
    }
    if !importing {
        let message = format!("a request can set the id of a new schema only in the mode IMPORT; set it for '{name}', or leave the id out");
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

/// Converts an optional number: clients send 0 or a negative number for "not set".
fn positive_or_zero(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
