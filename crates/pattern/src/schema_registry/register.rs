//! Registration: the next version of a subject, an id for what is new.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    SchemaRegistry,
    candidate::{Basis, Candidate, complete},
    compatibility::Trial,
    heavy,
    inline::Tagging,
    read::{registered, shaped},
    refusal,
    state::{State, Stored, Version},
    subject::Name,
};
use prism_call::{
    Code, Context, Error,
    proto::{
        journal::v1::{Operation, StoreSchema, StoreVersion, operation::Change},
        patterns::schema_registry::v1::{LookUpSchemaRequest, RegisterSchemaRequest, RegisteredSchema, Schema},
    },
};

/// How often a registration is begun anew because the subject changed meanwhile.
const MAX_ATTEMPTS: usize = 50;
/// Greatest version and id, so that they fit in what clients keep them in.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// What a registration comes to.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Box<RegisteredSchema>),
    /// The subject isn't any more what the schema was judged on.
    Again,
}

/// What is to be registered, and as what.
pub(super) struct Wanted {
    pub name: Name,
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
        let name = Name::subject(&space, &subject)?;
        let tagging = Tagging::new(&tags_to_add, &tags_to_remove, propagate_tags)?;
        let wanted = Arc::new(Wanted { name, id: number(id), version: number(version), normalize, tagging });
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let mut turn = None;
        for _ in 0..MAX_ATTEMPTS {
            let ground = self.journal.now(context, |state| gather(state, &wanted.name, &schema)).await??;
            if let Outcome::Done(done) = self.attempt(context, &wanted, &schema, ground).await? {
                return self.shape(*done, &format);
            }
            if turn.is_none() {
                turn = Some(self.queue(&wanted.name).lock().await);
            }
        }
        Err(refusal::contention())
    }

    pub(super) async fn attempt(
        self: &Arc<Self>,
        context: &Context,
        wanted: &Arc<Wanted>,
        request: &Schema,
        (basis, trial): (Arc<Basis>, Trial),
    ) -> Result<Outcome, Error> {
        let name = &wanted.name;
        let importing = basis.mode == "IMPORT";
        let (registry, on, schema, what) = (self.clone(), basis.clone(), request.clone(), wanted.clone());
        let candidate = heavy(move || registry.candidate(&on, schema, &what.tagging, what.normalize)).await?;
        if !importing && wanted.id == 0 && !basis.adds() {
            // The common case: it is there.
            let plain = self.journal.look(|state| same(state, name, &candidate, false));
            if let Some(found) = plain {
                return Ok(Outcome::Done(Box::new(found)));
            }
        }
        let (registry, on, format) = (self.clone(), basis.clone(), basis.format);
        let (candidate, verdict) = heavy(move || {
            let mut candidate = candidate;
            if importing {
                return Ok((candidate, None));
            }
            complete(&mut candidate, &on);
            let verdict = registry.judge(&trial, &candidate.parsed, candidate.metadata.as_ref())?;
            Ok((candidate, verdict))
        })
        .await?;
        let guid = candidate.guid();
        let schema = candidate.schema(format);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        self.journal
            .change(context, |state| {
                if !Basis::gather(state, name, request)?.holds(&basis) {
                    return Ok((Vec::new(), Outcome::Again));
                }
                super::setting::writable(state, name)?;
                let space = state.space(&name.context);
                let known = space.and_then(|space| space.id_of(&guid));
                let versions = &basis.versions;
                // What was imported may have come in with several ids.
                let is = |id: u32| known.is_some() && space.and_then(|space| space.schema(id)).is_some_and(|stored| stored.guid == guid);
                if let Some(&(version, one)) = versions.iter().rev().find(|(_, one)| !one.deleted && is(one.id)) {
                    if wanted.id != 0 && wanted.id != one.id {
                        return Err(other_id(one.id, wanted.id));
                    }
                    if !(importing && wanted.version != 0 && wanted.version != version) {
                        let found = space.and_then(|space| space.schema(one.id)).cloned();
                        let found = found.ok_or_else(|| Error::internal("a version without a schema"))?;
                        return Ok((Vec::new(), Outcome::Done(Box::new(registered(name, version, one, &found)))));
                    }
                }
                if let Some(verdict) = &verdict {
                    return Err(incompatible(name, &verdict.messages).with("version", verdict.version.to_string()));
                }
                let next = versions.last().map_or(1, |(version, _)| version + 1);
                let version = pick_version(wanted, next, importing)?;
                if versions.iter().any(|(taken, one)| *taken == version && !one.deleted) {
                    let message = format!("Overwrite version {version} is not permitted.");
                    return Err(refusal::not_permitted(message).with("version", version.to_string()));
                }
                let (id, is_new) = pick_id(state, wanted, known, importing, &schema)?;
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
                let as_kept = Stored::new(id, schema.clone());
                let entry = Version { id, deleted: false, register_millis: now };
                Ok((operations, Outcome::Done(Box::new(registered(name, version, entry, &as_kept)))))
            })
            .await
    }

    pub(super) async fn look_up(self: &Arc<Self>, context: &Context, request: LookUpSchemaRequest) -> Result<RegisteredSchema, Error> {
        let LookUpSchemaRequest { context: space, subject, schema, normalize, deleted, format } = request;
        let name = Name::subject(&space, &subject)?;
        let schema = schema.ok_or_else(|| Error::invalid("schema", "is missing"))?;
        let (name, basis) = self
            .journal
            .now(context, |state| -> Result<_, Error> {
                let name = super::read::aliased(state, &name);
                let there = state.subject(&name).is_some_and(|subject| deleted || subject.is_live());
                if !there {
                    return Err(refusal::subject_not_found(&name));
                }
                let basis = Basis::gather(state, &name, &schema)?;
                Ok((name, basis))
            })
            .await??;
        let registry = self.clone();
        let candidate = heavy(move || registry.candidate(&basis, schema, &Tagging::default(), normalize)).await?;
        let found = self.journal.look(|state| same(state, &name, &candidate, deleted));
        self.shape(found.ok_or_else(refusal::schema_not_found)?, &format)
    }

    /// With the text in the shape that is wanted.
    pub(super) fn shape(&self, schema: RegisteredSchema, format: &str) -> Result<RegisteredSchema, Error> {
        if format.is_empty() {
            return Ok(schema);
        }
        let context = Name::new("", &schema.subject).context;
        let material = self.journal.look(|state| {
            let stored = state.space(&context)?.schema(schema.id)?;
            Some(super::reference::Material::of(state, &context, stored))
        });
        let Some(material) = material.transpose()? else { return Ok(schema) };
        shaped(&*self.parsed(&material)?, schema, format)
    }
}

/// What counts for a schema of a subject, and what it is held against.
pub(super) fn gather(state: &State, name: &Name, request: &Schema) -> Result<(Arc<Basis>, Trial), Error> {
    let basis = Basis::gather(state, name, request)?;
    let trial = Trial::next(state, name, &basis.config)?;
    Ok((Arc::new(basis), trial))
}

/// The latest version that has the schema.
fn same(state: &State, name: &Name, candidate: &Candidate, deleted: bool) -> Option<RegisteredSchema> {
    let (space, subject) = (state.space(&name.context)?, state.subject(name)?);
    // What is the same in everything counts before what is the same in what the request has.
    let exact = space.id_of(&candidate.guid());
    let mut versions = subject.list(deleted).rev();
    let found = versions.find(|(_, version)| Some(version.id) == exact);
    let alike = |(_, version): &(u32, Version)| space.schema(version.id).is_some_and(|stored| candidate.is(stored));
    let (version, one) = found.or_else(|| subject.list(deleted).rev().find(alike))?;
    Some(registered(name, version, one, space.schema(one.id)?))
}

fn pick_version(wanted: &Wanted, next: u32, importing: bool) -> Result<u32, Error> {
    if wanted.version == 0 || wanted.version == next || importing {
        return Ok(if wanted.version == 0 { next } else { wanted.version });
    }
    let why = format!("the next version of the subject is {next}, not {}; leave it out, or set the mode IMPORT", wanted.version);
    Err(refusal::invalid_schema("version", why))
}

/// The id, and whether there is no schema of it yet.
fn pick_id(state: &State, wanted: &Wanted, known: Option<u32>, importing: bool, schema: &Schema) -> Result<(u32, bool), Error> {
    let (name, id) = (&wanted.name, wanted.id);
    let space = state.space(&name.context);
    if id == 0 {
        let next = || space.map_or(0, |space| space.last_id) + 1;
        return Ok(known.map_or_else(|| (next(), true), |id| (id, false)));
    }
    if !importing {
        return Err(refusal::not_permitted(format!("Subject {name} is not in import mode")).with("subject", name.to_string()));
    }
    match space.and_then(|space| space.schema(id)) {
        Some(other) if other.schema() != *schema => {
            Err(refusal::not_permitted(format!("Overwrite new schema with id {id} is not permitted.")).with("id", id.to_string()))
        }
        Some(_) => Ok((id, false)),
        None => Ok((id, true)),
    }
}

fn other_id(old: u32, id: u32) -> Error {
    let message = format!("Schema already registered with id {old} instead of input id {id}");
    Error::new(Code::AlreadyExists, "ID_MISMATCH", message).with("id", old.to_string())
}

pub(super) fn incompatible(name: &Name, messages: &[String]) -> Error {
    let details = messages.join(", ");
    let message = format!("Schema being registered is incompatible with an earlier schema for subject \"{name}\", details: [{details}]");
    Error::new(Code::Aborted, "INCOMPATIBLE_SCHEMA", message).with("subject", name.to_string())
}

/// A number that a client may leave out by a number that is none.
fn number(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
