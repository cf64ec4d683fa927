//! Describes versions and schemas as responses show them.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    reference::SchemaMaterial,
    state::{ContextState, StoredSchema, Version},
    subject::{SubjectName, qualified},
    work,
};
use prism_call::{Error, proto::patterns::schema_registry::v1::RegisteredSchema};
use prism_slot::time;

/// Describes a version of a subject.
pub(super) fn describe_registered(name: &SubjectName, version: u32, one: Version, stored: &StoredSchema) -> RegisteredSchema {
    describe_version(&name.context, &name.subject, version, one, stored)
}

pub(super) fn describe_version(context: &str, subject: &str, version: u32, one: Version, stored: &StoredSchema) -> RegisteredSchema {
    RegisteredSchema {
        subject: qualified(context, subject),
        version,
        deleted: one.deleted,
        register_time: Some(time::timestamp(one.register_millis)),
        ..describe_schema(stored)
    }
}

/// Describes a schema without subject and version.
pub(super) fn describe_schema(stored: &StoredSchema) -> RegisteredSchema {
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

/// Renders the text in another format. If the type of the schema has no such format, the text stays.
pub(super) async fn render_in_format(
    registry: &Arc<SchemaRegistry>,
    material: &SchemaMaterial,
    schema: RegisteredSchema,
    format: &str,
) -> Result<RegisteredSchema, Error> {
    let (bytes, registry, material, format) = (material.bytes(), registry.clone(), material.clone(), format.to_owned());
    Ok(match work::run(bytes, move || Ok(registry.parsed(&material)?.render_as(&format))).await? {
        Some(text) => RegisteredSchema { schema: text, ..schema },
        None => schema,
    })
}

/// Describes a schema without subject and version: with the time of its first registration, and whether all its versions are deleted.
pub(super) fn describe_by_id(space: &ContextState, stored: &StoredSchema) -> RegisteredSchema {
    let first = space.first_user(stored.id).map(|(_, _, version)| version);
    let is_live = |(user, number): &(Arc<str>, u32)| {
        space.subjects.get(user).and_then(|subject| subject.versions.get(number)).is_some_and(|version| !version.deleted)
    };
    RegisteredSchema {
        deleted: !space.users(stored.id).iter().any(is_live),
        register_time: first.map(|version| time::timestamp(version.register_millis)),
        ..describe_schema(stored)
    }
}
