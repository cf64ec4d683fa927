//! Reads: versions, ids, GUIDs, lists.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use prost::Message as _;

use super::{
    SchemaRegistry,
    describe::{describe_by_id, describe_registered, describe_schema, describe_version, render_in_format},
    find::{VersionNumber, find_version, parse_version, resolve_alias, resolve_read},
    identity::Guid,
    inline,
    reference::SchemaMaterial,
    refusal,
    state::{ContextState, State, StoredSchema, Subject},
    subject::{SubjectName, SubjectPrefix, qualified},
    work,
};
use prism_call::{
    Context, Error,
    proto::patterns::schema_registry::v1::{
        ContextId, FindSchemaRequest, GetSchemaByGuidRequest, GetSchemaByIdRequest, GetSchemaByIdResponse, GetSchemaRequest,
        ListIdsOfGuidRequest, ListReferrersRequest, ListSchemasRequest, ListSubjectsRequest, ListVersionsOfIdRequest, ListVersionsRequest,
        RegisteredSchema, SubjectVersion,
    },
};

/// Greatest number of properties in one search.
const MAX_PROPERTIES: usize = 100;

/// The format of references in which subjects have their contexts.
const QUALIFIED: &str = "qualified";

/// The format of a schema in a response.
#[derive(Default)]
struct SchemaShape {
    format: String,
    find_tags: Vec<String>,
    reference_format: String,
}

/// Returns a page of a list. A limit of 0 or less means no limit.
pub(super) fn page<T>(items: impl Iterator<Item = T>, offset: u32, limit: i32) -> impl Iterator<Item = T> {
    let most = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    items.skip(offset as usize).take(most)
}

impl SchemaRegistry {
    /// Returns a version, and its schema with all that it refers to.
    fn read_version(
        state: &State,
        name: &SubjectName,
        number: VersionNumber,
        text: &str,
        deleted: bool,
    ) -> Result<(RegisteredSchema, SchemaMaterial), Error> {
        let subject = state.subject(name).filter(|subject| deleted || subject.is_live()).ok_or_else(|| refusal::subject_not_found(name))?;
        let missing = || refusal::version_not_found(name, text);
        let (number, one) = find_version(subject, number, deleted).ok_or_else(missing)?;
        let stored = state.space(&name.context).and_then(|space| space.schema(one.id)).ok_or_else(missing)?;
        Ok((describe_registered(name, number, one, stored), SchemaMaterial::new(state, &name.context, stored)?))
    }

    pub(super) async fn get(self: &Arc<Self>, context: &Context, request: GetSchemaRequest) -> Result<RegisteredSchema, Error> {
        let GetSchemaRequest { context: space, subject, version: text, deleted, format, find_tags, reference_format } = request;
        inline::check_find_tags(&find_tags)?;
        let name = SubjectName::subject(&space, &subject)?;
        let number = parse_version(&text)?;
        let (found, material) = self
            .journal
            .read_fresh(context, |state| Self::read_version(state, &resolve_read(state, &name, deleted), number, &text, deleted))
            .await??;
        self.in_shape(found, &material, SchemaShape { format, find_tags, reference_format }).await
    }

    async fn in_shape(
        self: &Arc<Self>,
        mut found: RegisteredSchema,
        material: &SchemaMaterial,
        shape: SchemaShape,
    ) -> Result<RegisteredSchema, Error> {
        let SchemaShape { format, find_tags, reference_format } = shape;
        if reference_format == QUALIFIED {
            for reference in &mut found.references {
                reference.subject = SubjectName::new(&material.context, &reference.subject).to_string();
            }
        }
        if !find_tags.is_empty() {
            let (registry, of) = (self.clone(), material.clone());
            let find = move || registry.parsed(&of).map(|parsed| inline::find_tags(&parsed, &find_tags));
            found.schema_tags = work::run(material.bytes(), find).await?;
        }
        if format.is_empty() { Ok(found) } else { render_in_format(self, material, found, &format).await }
    }

    /// Returns the cached reply for a schema by its id. The schema of an id never changes, so the storage is not read; whether it was
    /// softly deleted on another gateway may be known only later. Returns `None` if the request asks for more than the schema.
    pub(super) async fn known_reply_by_id(&self, context: &Context, request: &GetSchemaByIdRequest) -> Option<Bytes> {
        let GetSchemaByIdRequest { context: space, id, subject, format, fetch_max_id, find_tags, reference_format } = request;
        let name = SubjectName::scope(space, subject).ok()?;
        let plain = format.is_empty() && find_tags.is_empty() && reference_format != QUALIFIED;
        if !name.subject.is_empty() || *fetch_max_id || !plain {
            return None;
        }
        self.journal.limit_age(context).await;
        self.journal.read_known(|state| {
            let space = state.space(&name.context)?;
            let stored = space.schema(*id)?;
            let make = || GetSchemaByIdResponse { schema: Some(describe_by_id(space, stored)), max_id: 0 }.encode_to_vec().into();
            Some(space.reply_by_id(*id)?.0.get_or_init(make).clone())
        })
    }

    pub(super) async fn get_by_id(
        self: &Arc<Self>,
        context: &Context,
        request: GetSchemaByIdRequest,
    ) -> Result<GetSchemaByIdResponse, Error> {
        let GetSchemaByIdRequest { context: space, id, subject, format, fetch_max_id, find_tags, reference_format } = request;
        inline::check_find_tags(&find_tags)?;
        let name = SubjectName::scope(&space, &subject)?;
        let (found, material, max_id) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let name = resolve_alias(state, &name);
                let (context, space, stored) = by_id(state, &name, id).ok_or_else(|| refusal::id_not_found(id))?;
                let user = space.users(id).iter().filter(|(user, _)| **user == *name.subject).max_by_key(|user| user.1);
                let version = user.and_then(|(user, number)| Some((user, *number, *space.subjects.get(user)?.versions.get(number)?)));
                let schema = version.map_or_else(
                    || describe_by_id(space, stored),
                    |(user, number, one)| describe_version(context, user, number, one, stored),
                );
                let max_id = if fetch_max_id { space.last_id } else { 0 };
                Ok((schema, SchemaMaterial::new(state, context, stored)?, max_id))
            })
            .await??;
        let shape = SchemaShape { format, find_tags, reference_format };
        Ok(GetSchemaByIdResponse { schema: Some(self.in_shape(found, &material, shape).await?), max_id })
    }

    pub(super) async fn get_by_guid(
        self: &Arc<Self>,
        context: &Context,
        request: GetSchemaByGuidRequest,
    ) -> Result<RegisteredSchema, Error> {
        let GetSchemaByGuidRequest { guid, format, find_tags } = request;
        inline::check_find_tags(&find_tags)?;
        let guid = Guid::parse(&guid).ok_or_else(refusal::schema_not_found)?;
        let (found, material) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let found = state.contexts.iter().find_map(|(name, space)| Some((name, space.schema(space.id_of(&guid)?)?)));
                let (name, stored) = found.ok_or_else(refusal::schema_not_found)?;
                Ok((describe_schema(stored), SchemaMaterial::new(state, name, stored)?))
            })
            .await??;
        self.in_shape(found, &material, SchemaShape { format, find_tags, ..SchemaShape::default() }).await
    }

    pub(super) async fn ids_of_guid(&self, context: &Context, request: ListIdsOfGuidRequest) -> Result<Vec<ContextId>, Error> {
        let guid = Guid::parse(&request.guid).ok_or_else(refusal::schema_not_found)?;
        let ids: Vec<_> = self
            .journal
            .read_fresh(context, |state| {
                let id = |(name, space): (&Arc<str>, &ContextState)| Some(ContextId { context: name.to_string(), id: space.id_of(&guid)? });
                state.contexts.iter().filter_map(id).collect()
            })
            .await?;
        if ids.is_empty() { Err(refusal::schema_not_found()) } else { Ok(ids) }
    }

    pub(super) async fn versions_of_id(&self, context: &Context, request: ListVersionsOfIdRequest) -> Result<Vec<SubjectVersion>, Error> {
        let ListVersionsOfIdRequest { context: space, id, subject, deleted, offset, limit } = request;
        let name = SubjectName::scope(&space, &subject)?;
        self.journal
            .read_fresh(context, |state| {
                let name = resolve_alias(state, &name);
                let (context, space, _) = by_id(state, &name, id).ok_or_else(|| refusal::id_not_found(id))?;
                let mut users: Vec<_> = space.users(id).iter().collect();
                users.retain(|(user, number)| {
                    let one = space.subjects.get(user).and_then(|subject| subject.versions.get(number));
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
        let prefix = SubjectPrefix::new(&space, &subject_prefix);
        self.journal
            .read_fresh(context, |state| {
                let known_aliases = if aliases { list_aliases(state, &prefix) } else { BTreeMap::new() };
                let of =
                    |context: &str, name: &str| known_aliases.get(&(context.to_owned(), name.to_owned())).map_or(&[][..], Vec::as_slice);
                let mut found: Vec<_> = all_subjects(state)
                    .filter(|(context, name, _)| prefix.matches(context, name) || of(context, name).iter().any(|alias| alias.0))
                    .collect();
                found.sort_by_cached_key(|(context, name, _)| qualified(context, name));
                let versions = found.into_iter().flat_map(|(context, name, subject)| {
                    let most = if latest_only { 1 } else { usize::MAX };
                    let mut versions: Vec<_> = subject.list(deleted).rev().take(most).collect();
                    versions.reverse();
                    versions.into_iter().map(move |(number, one)| (context, name, number, one))
                });
                let schemas = versions.filter_map(|(context, name, number, one)| {
                    let stored = state.space(context)?.schema(one.id)?;
                    let wanted = rule_type.is_empty() || has_rule(stored, &rule_type);
                    let aliases = of(context, name).iter().map(|(_, alias)| alias.clone()).collect();
                    wanted.then(|| RegisteredSchema { aliases, ..describe_version(context, name, number, one, stored) })
                });
                page(schemas, offset, limit).collect()
            })
            .await
    }

    pub(super) async fn subjects(&self, context: &Context, request: ListSubjectsRequest) -> Result<Vec<String>, Error> {
        let ListSubjectsRequest { context: space, prefix, deleted, deleted_only, offset, limit } = request;
        let prefix = SubjectPrefix::new(&space, &prefix);
        self.journal
            .read_fresh(context, |state| {
                let wanted = subjects(state, &prefix).filter(
                    |(_, _, subject)| {
                        if deleted_only { !subject.is_live() } else { deleted || subject.is_live() }
                    },
                );
                let mut names: Vec<_> = wanted.map(|(context, name, _)| qualified(context, name)).collect();
                names.sort();
                page(names.into_iter(), offset, limit).collect()
            })
            .await
    }

    pub(super) async fn versions(&self, context: &Context, request: ListVersionsRequest) -> Result<Vec<u32>, Error> {
        let ListVersionsRequest { context: space, subject, deleted, deleted_only, offset, limit } = request;
        let name = SubjectName::subject(&space, &subject)?;
        self.journal
            .read_fresh(context, |state| {
                let name = resolve_read(state, &name, deleted || deleted_only);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let versions: Vec<_> = subject.list(deleted || deleted_only).filter(|(_, one)| !deleted_only || one.deleted).collect();
                if versions.is_empty() && !deleted_only {
                    return Err(refusal::subject_not_found(&name));
                }
                Ok(page(versions.into_iter().map(|(number, _)| number), offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn referrers(&self, context: &Context, request: ListReferrersRequest) -> Result<Vec<u32>, Error> {
        let ListReferrersRequest { context: space, subject, version: text, deleted, offset, limit } = request;
        let name = SubjectName::subject(&space, &subject)?;
        let number = parse_version(&text)?;
        self.journal
            .read_fresh(context, |state| {
                let name = resolve_read(state, &name, true);
                let subject = state.subject(&name).ok_or_else(|| refusal::subject_not_found(&name))?;
                let (number, _) = find_version(subject, number, true).ok_or_else(|| refusal::version_not_found(&name, &text))?;
                let referrers = state.referrers(&name, number);
                let ids = referrers.filter(|(context, id)| deleted || state.is_used(context, *id, false, None)).map(|(_, id)| *id);
                Ok(page(ids, offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn find(self: &Arc<Self>, context: &Context, request: FindSchemaRequest) -> Result<RegisteredSchema, Error> {
        let FindSchemaRequest { context: space, subject, properties, deleted, format } = request;
        if properties.len() > MAX_PROPERTIES {
            return Err(Error::invalid("properties", format!("takes at most {MAX_PROPERTIES} items")));
        }
        let name = SubjectName::subject(&space, &subject)?;
        let (found, material) = self
            .journal
            .read_fresh(context, |state| -> Result<_, Error> {
                let name = resolve_read(state, &name, deleted);
                let subject =
                    state.subject(&name).filter(|subject| deleted || subject.is_live()).ok_or_else(|| refusal::subject_not_found(&name))?;
                let has = |stored: &StoredSchema| {
                    let known = stored.metadata.as_ref().map(|metadata| &metadata.properties);
                    properties.iter().all(|wanted| known.and_then(|known| known.get(&wanted.name)) == Some(&wanted.value))
                };
                let mut versions: Vec<_> = subject.list(deleted).collect();
                versions.sort_by_key(|(number, _)| Reverse(*number));
                let found = versions.into_iter().find_map(|(number, one)| {
                    let stored = state.space(&name.context)?.schema(one.id).filter(|stored| has(stored))?;
                    Some((describe_registered(&name, number, one, stored), stored))
                });
                let (schema, stored) = found.ok_or_else(refusal::schema_not_found)?;
                Ok((schema, SchemaMaterial::new(state, &name.context, stored)?))
            })
            .await??;
        self.in_shape(found, &material, SchemaShape { format, ..SchemaShape::default() }).await
    }
}

/// Finds a schema by its id: in the context of the subject or, if it is not there, in a context that has both the id and the
/// subject.
fn by_id<'a>(state: &'a State, name: &SubjectName, id: u32) -> Option<(&'a Arc<str>, &'a ContextState, &'a Arc<StoredSchema>)> {
    let own = state.contexts.get_key_value(&*name.context).and_then(|(context, space)| Some((context, space, space.schema(id)?)));
    let elsewhere = || {
        let mut spaces = state.contexts.iter().filter(|_| !name.subject.is_empty());
        spaces.find_map(|(context, space)| {
            let user = space.users(id).iter().any(|(user, _)| **user == *name.subject);
            Some((context, space, space.schema(id).filter(|_| user)?))
        })
    };
    own.or_else(elsewhere)
}

/// Returns the subjects with versions, by context and name.
pub(super) fn subjects<'a>(state: &'a State, prefix: &'a SubjectPrefix) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>, &'a Subject)> {
    let spaces = state.contexts.iter().filter(|(context, _)| prefix.context.as_ref().is_none_or(|wanted| **wanted == ***context));
    let named = spaces.flat_map(|(context, space)| {
        let from = space.subjects.range::<str, _>((Bound::Included(&*prefix.subject), Bound::Unbounded));
        from.take_while(|(name, _)| name.starts_with(&*prefix.subject)).map(move |(name, subject)| (context, name, subject))
    });
    named.filter(|(_, _, subject)| !subject.versions.is_empty())
}

/// Returns all subjects with versions.
fn all_subjects(state: &State) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Subject)> {
    let named =
        state.contexts.iter().flat_map(|(context, space)| space.subjects.iter().map(move |(name, subject)| (context, name, subject)));
    named.filter(|(_, _, subject)| !subject.versions.is_empty())
}

/// Returns the aliases of each subject, by its context and name: whether the prefix matches the alias, and its name in responses.
fn list_aliases(state: &State, prefix: &SubjectPrefix) -> BTreeMap<(String, String), Vec<(bool, String)>> {
    let mut aliases: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (context, space) in &state.contexts {
        for (name, subject) in &space.subjects {
            let Some(target) = subject.settings.config.as_ref().and_then(|config| config.alias.as_deref()) else { continue };
            let SubjectName { context: of, subject: target } = SubjectName::new(context, target);
            aliases.entry((of, target)).or_default().push((prefix.matches(context, name), qualified(context, name)));
        }
    }
    aliases
}

fn has_rule(stored: &StoredSchema, rule_type: &str) -> bool {
    stored.rule_set.as_ref().is_some_and(|rules| {
        let mut all = rules.migration_rules.iter().chain(&rules.domain_rules).chain(&rules.encoding_rules);
        all.any(|rule| rule.r#type == rule_type)
    })
}
