//! Finds versions: by their number, by their schema, and where an alias or a bare name leads to.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    candidate::Candidate,
    describe::describe_registered,
    reference::SchemaMaterial,
    refusal,
    state::{State, StoredSchema, Subject, Version},
    subject::{DEFAULT_CONTEXT, SubjectName},
    work,
};
use prism_call::{Error, proto::patterns::schema_registry::v1::RegisteredSchema};
use prism_schema::SchemaFormat;

/// The shape of an Avro text with everything that it refers to.
const RESOLVED: &str = "resolved";

/// A version in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionNumber {
    Latest,
    Exact(u32),
}

/// Parses the version in a request: a number from 1, `latest` in either case, or `-1`.
pub(super) fn parse_version(text: &str) -> Result<VersionNumber, Error> {
    if text.eq_ignore_ascii_case("latest") || text == "-1" {
        return Ok(VersionNumber::Latest);
    }
    let number = text.parse().ok().filter(|number| (1..=i32::MAX).contains(number));
    number.map(|number: i32| VersionNumber::Exact(number.unsigned_abs())).ok_or_else(|| refusal::invalid_version(text))
}

/// Finds a version of a subject. The latest one is the last that is not deleted.
pub(super) fn find_version(subject: &Subject, number: VersionNumber, deleted: bool) -> Option<(u32, Version)> {
    match number {
        VersionNumber::Latest => subject.list(false).next_back(),
        VersionNumber::Exact(number) => subject.versions.get(&number).filter(|one| deleted || !one.deleted).map(|one| (number, *one)),
    }
}

/// Returns the subject that an alias refers to, or the name itself if it is not an alias.
pub(super) fn resolve_alias(state: &State, name: &SubjectName) -> SubjectName {
    let alias = state.settings(name).and_then(|settings| settings.config.as_ref()?.alias.as_deref());
    alias.filter(|_| !name.subject.is_empty()).map_or_else(|| name.clone(), |alias| SubjectName::new(&name.context, alias))
}

/// Returns the subject that a read means: the one that an alias refers to, or one with the same name in another context, if the default
/// context does not have it.
pub(super) fn resolve_read(state: &State, name: &SubjectName, deleted: bool) -> SubjectName {
    let name = resolve_alias(state, name);
    let is_there = |subject: &Subject| if deleted { !subject.versions.is_empty() } else { subject.is_live() };
    if name.context != DEFAULT_CONTEXT || state.subject(&name).is_some_and(is_there) {
        return name;
    }
    let mut others = state.contexts.iter().filter(|(context, _)| &***context != DEFAULT_CONTEXT);
    let found = others.find(|(_, space)| space.subjects.get(&*name.subject).is_some_and(is_there));
    match found {
        Some((context, _)) => SubjectName { context: context.to_string(), subject: name.subject },
        None => name,
    }
}

/// Finds the latest version that has the schema, among those that `wanted` selects.
pub(super) fn find_registered(
    state: &State,
    name: &SubjectName,
    candidate: &Candidate,
    deleted: bool,
    wanted: impl Fn(u32) -> bool,
) -> Option<RegisteredSchema> {
    let (space, subject) = (state.space(&name.context)?, state.subject(name)?);
    // A schema that is equal in everything is preferred to one that is equal only in what the request has.
    let exact = space.id_of(&candidate.guid());
    let mut versions = subject.list(deleted).rev().filter(|(number, _)| wanted(*number));
    let found = versions.find(|(_, version)| Some(version.id) == exact);
    let alike =
        |(number, version): &(u32, Version)| wanted(*number) && space.schema(version.id).is_some_and(|stored| candidate.matches(stored));
    let (version, one) = found.or_else(|| subject.list(deleted).rev().find(alike))?;
    Some(describe_registered(name, version, one, space.schema(one.id)?))
}

/// The versions of a subject that have references, as far as they may be equal to a text without references.
pub(super) fn versions_with_references(
    state: &State,
    name: &SubjectName,
    candidate: &Candidate,
    deleted: bool,
) -> Result<Vec<(u32, Version, SchemaMaterial)>, Error> {
    if !candidate.references.is_empty() || candidate.parsed.format() != SchemaFormat::Avro {
        return Ok(Vec::new());
    }
    let (Some(space), Some(subject)) = (state.space(&name.context), state.subject(name)) else { return Ok(Vec::new()) };
    let stored = |id: u32| -> Option<&Arc<StoredSchema>> { space.schema(id).filter(|stored| !stored.references.is_empty()) };
    let versions = subject.list(deleted).rev().filter_map(|(number, one)| Some((number, one, stored(one.id)?)));
    let alike = versions.filter(|(_, _, stored)| stored.format == SchemaFormat::Avro && candidate.has_metadata_of(stored));
    alike.map(|(number, one, stored)| Ok((number, one, SchemaMaterial::new(state, &name.context, stored)?))).collect()
}

impl SchemaRegistry {
    /// Finds the latest version whose text, with everything that it refers to in place, is the text of a schema without references.
    pub(super) async fn find_resolved(
        self: &Arc<Self>,
        name: SubjectName,
        candidate: Arc<Candidate>,
        versions: Vec<(u32, Version, SchemaMaterial)>,
    ) -> Result<Option<RegisteredSchema>, Error> {
        let registry = self.clone();
        let bytes = versions.iter().map(|(.., material)| material.bytes()).sum();
        let search = move || {
            for (number, one, material) in &versions {
                if registry.parsed(material)?.render_as(RESOLVED).as_deref() == Some(&*candidate.text) {
                    return Ok(Some(describe_registered(&name, *number, *one, &material.schema)));
                }
            }
            Ok(None)
        };
        work::run(bytes, search).await
    }
}
