//! Reads: versions, ids, GUIDs, lists.

use std::{cmp::Reverse, ops::Bound, sync::Arc};

use bytes::Bytes;
use prost::Message as _;

use super::{
    SchemaRegistry,
    identity::Guid,
    inline,
    reference::Material,
    refusal,
    state::{Space, State, Stored, Subject, Version},
    subject::{Name, Prefix, qualified},
};
use prism_call::{
    Context, Error,
    proto::patterns::schema_registry::v1::{
        ContextId, FindSchemaRequest, GetSchemaByGuidRequest, GetSchemaByIdRequest, GetSchemaByIdResponse, GetSchemaRequest,
        ListIdsOfGuidRequest, ListReferrersRequest, ListSchemasRequest, ListSubjectsRequest, ListVersionsOfIdRequest, ListVersionsRequest,
        RegisteredSchema, SubjectVersion,
    },
};
use prism_schema::Schema;
use prism_slot::time;

/// Most properties that are looked for at once.
const MAX_PROPERTIES: usize = 100;

/// References tell subjects with their contexts.
const QUALIFIED: &str = "qualified";

/// How a schema is told.
#[derive(Default)]
struct Shape {
    format: String,
    find_tags: Vec<String>,
    reference_format: String,
}

/// Which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Latest,
    Of(u32),
}

/// A version that a request names: a number from 1, `latest` or `-1`.
pub(super) fn version(text: &str) -> Result<Number, Error> {
    if text == "latest" || text == "-1" {
        return Ok(Number::Latest);
    }
    let number = text.parse().ok().filter(|number| (1..=i32::MAX).contains(number));
    number.map(|number: i32| Number::Of(number.unsigned_abs())).ok_or_else(|| refusal::invalid_version(text))
}

/// That version of the subject.
pub(super) fn find(subject: &Subject, number: Number, deleted: bool) -> Option<(u32, Version)> {
    match number {
        Number::Latest => subject.list(deleted).next_back(),
        Number::Of(number) => subject.versions.get(&number).filter(|one| deleted || !one.deleted).map(|one| (number, *one)),
    }
}

/// The subject that a subject stands for, if it is an alias.
pub(super) fn aliased(state: &State, name: &Name) -> Name {
    let alias = state.settings(name).and_then(|settings| settings.config.as_ref()?.alias.as_deref());
    alias.map_or_else(|| name.clone(), |alias| Name::new(&name.context, alias))
}

/// A version as it is told.
pub(super) fn registered(name: &Name, version: u32, one: Version, stored: &Stored) -> RegisteredSchema {
    told(&name.context, &name.subject, version, one, stored)
}

fn told(context: &str, subject: &str, version: u32, one: Version, stored: &Stored) -> RegisteredSchema {
    RegisteredSchema {
        subject: qualified(context, subject),
        version,
        deleted: one.deleted,
        register_time: Some(time::timestamp(one.register_millis)),
        ..bare(stored)
    }
}

/// A schema without subject and version.
fn bare(stored: &Stored) -> RegisteredSchema {
    let schema = stored.schema();
    RegisteredSchema {
        id: stored.id,
        guid: stored.guid.to_string(),
        schema_type: schema.schema_type,
        schema: schema.schema,
        references: schema.references,
        metadata: schema.metadata,
        rule_set: schema.rule_set,
        ..RegisteredSchema::default()
    }
}

/// With the text in another shape; what the format has no such shape for stays.
pub(super) fn shaped(parsed: &Schema, schema: RegisteredSchema, format: &str) -> Result<RegisteredSchema, Error> {
    if !["", "default", "resolved", "ignore_extensions", "serialized"].contains(&format) {
        return Err(Error::invalid("format", format!("{format:?} is no shape; there is resolved, ignore_extensions and serialized")));
    }
    Ok(match parsed.render_as(format) {
        Some(text) => RegisteredSchema { schema: text, ..schema },
        None => schema,
    })
}

/// A page of a list; a limit of 0 or less is none.
pub(super) fn page<T>(items: impl Iterator<Item = T>, offset: u32, limit: i32) -> impl Iterator<Item = T> {
    let most = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    items.skip(offset as usize).take(most)
}

impl SchemaRegistry {
    /// A version, and what it takes to read its schema.
    fn pick(state: &State, name: &Name, number: Number, text: &str, deleted: bool) -> Result<(RegisteredSchema, Material), Error> {
        let subject = state.subject(name).filter(|subject| deleted || subject.is_live()).ok_or_else(|| refusal::subject_not_found(name))?;
        let missing = || refusal::version_not_found(name, text);
        let (number, one) = find(subject, number, deleted).ok_or_else(missing)?;
        let stored = state.space(&name.context).and_then(|space| space.schema(one.id)).ok_or_else(missing)?;
        Ok((registered(name, number, one, stored), Material::of(state, &name.context, stored)?))
    }

    pub(super) async fn get(&self, context: &Context, request: GetSchemaRequest) -> Result<RegisteredSchema, Error> {
        let GetSchemaRequest { context: space, subject, version: text, deleted, format, find_tags, reference_format } = request;
        inline::check(&find_tags)?;
        let name = Name::subject(&space, &subject)?;
        let number = version(&text)?;
        let (found, material) =
            self.journal.now(context, |state| Self::pick(state, &aliased(state, &name), number, &text, deleted)).await??;
        self.in_shape(found, &material, &Shape { format, find_tags, reference_format })
    }

    fn in_shape(&self, mut found: RegisteredSchema, material: &Material, shape: &Shape) -> Result<RegisteredSchema, Error> {
        let Shape { format, find_tags, reference_format } = shape;
        if reference_format == QUALIFIED {
            for reference in &mut found.references {
                reference.subject = Name::new(&material.context, &reference.subject).to_string();
            }
        }
        if !find_tags.is_empty() {
            found.schema_tags = inline::found(&*self.parsed(material)?, find_tags);
        }
        if format.is_empty() { Ok(found) } else { shaped(&*self.parsed(material)?, found, format) }
    }

    /// What an id leads to never changes, so it is told without a look at the storage, if nothing else is asked for.
    pub(super) async fn known_by_id(&self, context: &Context, request: &GetSchemaByIdRequest) -> Option<Bytes> {
        let GetSchemaByIdRequest { context: space, id, subject, format, fetch_max_id, find_tags, reference_format } = request;
        let name = Name::scope(space, subject).ok()?;
        let plain = format.is_empty() && find_tags.is_empty() && reference_format != QUALIFIED;
        if !name.subject.is_empty() || *fetch_max_id || !plain {
            return None;
        }
        self.journal.touch(context).await;
        self.journal.look(|state| {
            let stored = state.space(&name.context)?.schema(*id)?;
            let make = || GetSchemaByIdResponse { schema: Some(bare(stored)), max_id: 0 }.encode_to_vec().into();
            Some(stored.told.0.get_or_init(make).clone())
        })
    }

    pub(super) async fn get_by_id(&self, context: &Context, request: GetSchemaByIdRequest) -> Result<GetSchemaByIdResponse, Error> {
        let GetSchemaByIdRequest { context: space, id, subject, format, fetch_max_id, find_tags, reference_format } = request;
        inline::check(&find_tags)?;
        let name = Name::scope(&space, &subject)?;
        let (found, material, max_id) = self
            .journal
            .now(context, |state| -> Result<_, Error> {
                let (context, stored) = by_id(state, &name, id).ok_or_else(|| refusal::id_not_found(id))?;
                let space = state.space(context);
                let user = space
                    .map_or(&[][..], |space| space.users(id))
                    .iter()
                    .filter(|(user, _)| **user == *name.subject)
                    .max_by_key(|user| user.1);
                let version = user.and_then(|(user, number)| Some((user, *number, *space?.subjects.get(user)?.versions.get(number)?)));
                let schema = version.map_or_else(|| bare(stored), |(user, number, one)| told(context, user, number, one, stored));
                let max_id = space.filter(|_| fetch_max_id).map_or(0, |space| space.last_id);
                Ok((schema, Material::of(state, context, stored)?, max_id))
            })
            .await??;
        let shape = Shape { format, find_tags, reference_format };
        Ok(GetSchemaByIdResponse { schema: Some(self.in_shape(found, &material, &shape)?), max_id })
    }

    pub(super) async fn get_by_guid(&self, context: &Context, request: GetSchemaByGuidRequest) -> Result<RegisteredSchema, Error> {
        let GetSchemaByGuidRequest { guid, format, find_tags } = request;
        inline::check(&find_tags)?;
        let guid = Guid::parse(&guid).ok_or_else(refusal::schema_not_found)?;
        let (found, material) = self
            .journal
            .now(context, |state| -> Result<_, Error> {
                let found = state.contexts.iter().find_map(|(name, space)| Some((name, space.schema(space.id_of(&guid)?)?)));
                let (name, stored) = found.ok_or_else(refusal::schema_not_found)?;
                Ok((bare(stored), Material::of(state, name, stored)?))
            })
            .await??;
        self.in_shape(found, &material, &Shape { format, find_tags, ..Shape::default() })
    }

    pub(super) async fn ids_of_guid(&self, context: &Context, request: ListIdsOfGuidRequest) -> Result<Vec<ContextId>, Error> {
        let guid = Guid::parse(&request.guid).ok_or_else(refusal::schema_not_found)?;
        let ids: Vec<_> = self
            .journal
            .now(context, |state| {
                let id = |(name, space): (&Arc<str>, &Space)| Some(ContextId { context: name.to_string(), id: space.id_of(&guid)? });
                state.contexts.iter().filter_map(id).collect()
            })
            .await?;
        if ids.is_empty() { Err(refusal::schema_not_found()) } else { Ok(ids) }
    }

    pub(super) async fn versions_of_id(&self, context: &Context, request: ListVersionsOfIdRequest) -> Result<Vec<SubjectVersion>, Error> {
        let ListVersionsOfIdRequest { context: space, id, subject, deleted, offset, limit } = request;
        let name = Name::scope(&space, &subject)?;
        self.journal
            .now(context, |state| {
                let (context, _) = by_id(state, &name, id).ok_or_else(|| refusal::id_not_found(id))?;
                let space = state.space(context);
                let mut users: Vec<_> = space.map_or(&[][..], |space| space.users(id)).iter().collect();
                users.retain(|(user, number)| {
                    let one = space.and_then(|space| space.subjects.get(user)?.versions.get(number));
                    one.is_some_and(|one| deleted || !one.deleted) && (name.subject.is_empty() || **user == *name.subject)
                });
                users.sort();
                let versions =
                    users.into_iter().map(|(user, version)| SubjectVersion { subject: qualified(context, user), version: *version });
                Ok(page(versions, offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn list(&self, context: &Context, request: ListSchemasRequest) -> Result<Vec<RegisteredSchema>, Error> {
        let ListSchemasRequest { context: space, subject_prefix, aliases, deleted, latest_only, rule_type, offset, limit } = request;
        let prefix = Prefix::new(&space, &subject_prefix);
        self.journal
            .now(context, |state| {
                // What only stands for another subject has no versions of its own.
                let versions = named(state, &prefix).flat_map(|(context, name, subject)| {
                    let alias = subject.settings.config.as_ref().and_then(|config| config.alias.as_deref()).filter(|_| aliases);
                    let of = alias.and_then(|alias| state.subject(&Name::new(context, alias))).unwrap_or(subject);
                    let most = if latest_only { 1 } else { usize::MAX };
                    let mut versions: Vec<_> = of.list(deleted).rev().take(most).collect();
                    versions.reverse();
                    versions.into_iter().map(move |(number, one)| (context, name, number, one))
                });
                let schemas = versions.filter_map(|(context, name, number, one)| {
                    let stored = state.space(context)?.schema(one.id)?;
                    (rule_type.is_empty() || has_rule(stored, &rule_type)).then(|| told(context, name, number, one, stored))
                });
                page(schemas, offset, limit).collect()
            })
            .await
    }

    pub(super) async fn subjects(&self, context: &Context, request: ListSubjectsRequest) -> Result<Vec<String>, Error> {
        let ListSubjectsRequest { context: space, prefix, deleted, deleted_only, offset, limit } = request;
        let prefix = Prefix::new(&space, &prefix);
        self.journal
            .now(context, |state| {
                let wanted = subjects(state, &prefix).filter(
                    |(_, _, subject)| {
                        if deleted_only { !subject.is_live() } else { deleted || subject.is_live() }
                    },
                );
                page(wanted.map(|(context, name, _)| qualified(context, name)), offset, limit).collect()
            })
            .await
    }

    pub(super) async fn versions(&self, context: &Context, request: ListVersionsRequest) -> Result<Vec<u32>, Error> {
        let ListVersionsRequest { context: space, subject, deleted, deleted_only, offset, limit } = request;
        let name = Name::subject(&space, &subject)?;
        self.journal
            .now(context, |state| {
                let name = aliased(state, &name);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let versions: Vec<_> = subject.list(deleted || deleted_only).filter(|(_, one)| !deleted_only || one.deleted).collect();
                if versions.is_empty() {
                    return Err(refusal::subject_not_found(&name));
                }
                Ok(page(versions.into_iter().map(|(number, _)| number), offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn referrers(&self, context: &Context, request: ListReferrersRequest) -> Result<Vec<u32>, Error> {
        let ListReferrersRequest { context: space, subject, version: text, deleted, offset, limit } = request;
        let name = Name::subject(&space, &subject)?;
        let number = version(&text)?;
        self.journal
            .now(context, |state| {
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let (number, _) = find(subject, number, true).ok_or_else(|| refusal::version_not_found(&name, &text))?;
                let ids = state.referrers(&name, number).filter(|(context, id)| deleted || in_use(state, context, *id)).map(|(_, id)| *id);
                Ok(page(ids, offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn find(&self, context: &Context, request: FindSchemaRequest) -> Result<RegisteredSchema, Error> {
        let FindSchemaRequest { context: space, subject, properties, deleted, format } = request;
        if properties.len() > MAX_PROPERTIES {
            return Err(Error::invalid("properties", format!("takes at most {MAX_PROPERTIES} items")));
        }
        let name = Name::subject(&space, &subject)?;
        let (found, material) = self
            .journal
            .now(context, |state| -> Result<_, Error> {
                let name = aliased(state, &name);
                let subject =
                    state.subject(&name).filter(|subject| deleted || subject.is_live()).ok_or_else(|| refusal::subject_not_found(&name))?;
                let has = |stored: &Stored| {
                    let known = stored.metadata.as_ref().map(|metadata| &metadata.properties);
                    properties.iter().all(|wanted| known.and_then(|known| known.get(&wanted.name)) == Some(&wanted.value))
                };
                let mut versions: Vec<_> = subject.list(deleted).collect();
                versions.sort_by_key(|(number, _)| Reverse(*number));
                let found = versions.into_iter().find_map(|(number, one)| {
                    let stored = state.space(&name.context)?.schema(one.id).filter(|stored| has(stored))?;
                    Some((registered(&name, number, one, stored), stored))
                });
                let (schema, stored) = found.ok_or_else(refusal::schema_not_found)?;
                Ok((schema, Material::of(state, &name.context, stored)?))
            })
            .await??;
        self.in_shape(found, &material, &Shape { format, ..Shape::default() })
    }
}

/// Where an id is: in the context of the subject, or, where that hasn't it, in one that has both.
fn by_id<'a>(state: &'a State, name: &Name, id: u32) -> Option<(&'a Arc<str>, &'a Arc<Stored>)> {
    let own = state.contexts.get_key_value(&*name.context).and_then(|(context, space)| Some((context, space.schema(id)?)));
    let elsewhere = || {
        let mut spaces = state.contexts.iter().filter(|_| !name.subject.is_empty());
        spaces.find_map(|(context, space)| {
            let user = space.users(id).iter().any(|(user, _)| **user == *name.subject);
            Some((context, space.schema(id).filter(|_| user)?))
        })
    };
    own.or_else(elsewhere)
}

/// Whether some version that isn't deleted has the schema.
pub(super) fn in_use(state: &State, context: &str, id: u32) -> bool {
    let Some(space) = state.space(context) else { return false };
    let live = |(user, number): &(Arc<str>, u32)| {
        space.subjects.get(user).and_then(|subject| subject.versions.get(number)).is_some_and(|one| !one.deleted)
    };
    space.users(id).iter().any(live)
}

/// The subjects with versions, by context and name.
pub(super) fn subjects<'a>(state: &'a State, prefix: &'a Prefix) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>, &'a Subject)> {
    named(state, prefix).filter(|(_, _, subject)| !subject.versions.is_empty())
}

/// The subjects with versions or settings, by context and name.
fn named<'a>(state: &'a State, prefix: &'a Prefix) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>, &'a Subject)> {
    let spaces = state.contexts.iter().filter(|(context, _)| prefix.context.as_ref().is_none_or(|wanted| **wanted == ***context));
    spaces.flat_map(|(context, space)| {
        let from = space.subjects.range::<str, _>((Bound::Included(&*prefix.subject), Bound::Unbounded));
        from.take_while(|(name, _)| name.starts_with(&*prefix.subject)).map(move |(name, subject)| (context, name, subject))
    })
}

fn has_rule(stored: &Stored, rule_type: &str) -> bool {
    stored.rule_set.as_ref().is_some_and(|rules| {
        let mut all = rules.migration_rules.iter().chain(&rules.domain_rules).chain(&rules.encoding_rules);
        all.any(|rule| rule.r#type == rule_type)
    })
}
