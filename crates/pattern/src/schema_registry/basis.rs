//! What a new schema of a subject is checked against: the part of the state that matters for it.

use std::sync::Arc;

use super::{
    reference, refusal, setting,
    state::{State, StoredSchema, Version},
    subject::SubjectName,
};
use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Config, Schema, SchemaReference},
};
use prism_schema::{Dependency, SchemaFormat};

/// The part of the state that matters for a new schema of a subject.
pub(super) struct Basis {
    /// Context of the subject.
    pub context: String,
    pub config: Config,
    pub mode: String,
    pub versions: Vec<(u32, Version)>,
    /// The schema of the latest version that is not deleted.
    pub latest: Option<Arc<StoredSchema>>,
    pub format: SchemaFormat,
    /// References, with `latest` replaced by the version that it is now.
    pub references: Vec<SchemaReference>,
    pub dependencies: Vec<Dependency>,
}

impl Basis {
    pub fn gather(state: &State, name: &SubjectName, request: &Schema) -> Result<Self, Error> {
        let versions: Vec<_> = state.subject(name).into_iter().flat_map(|subject| subject.list(true)).collect();
        let live = versions.iter().rev().find(|(_, version)| !version.deleted);
        let latest = live.and_then(|(_, version)| state.space(&name.context)?.schema(version.id)).cloned();
        // A request with metadata or rules but without a text means the text of the latest version.
        let inherited = latest.as_ref().filter(|_| text_is_missing(request));
        let format = match inherited {
            Some(latest) => latest.format,
            None => parse_format(&request.schema_type)?,
        };
        let config = setting::effective_config(state, name);
        let mode = setting::effective_mode(state, name).to_owned();
        let references = match inherited {
            Some(latest) => latest.references.to_vec(),
            // What is imported may refer to what was deleted since.
            None => reference::resolve_versions(state, &name.context, &request.references, mode == setting::IMPORT)?,
        };
        let text = inherited.map_or(&*request.schema, |latest| &latest.text);
        let dependencies = reference::collect_dependencies(state, &name.context, &references, format, text)?;
        let context = name.context.clone();
        Ok(Self { context, config, mode, versions, latest, format, references, dependencies })
    }

    /// Returns the size of all texts that a schema is parsed from, in bytes.
    pub fn bytes(&self, request: &Schema) -> usize {
        let inherited = self.latest.as_ref().filter(|_| request.schema.is_empty()).map_or(0, |latest| latest.text.len());
        request.schema.len() + inherited + reference::total_bytes(&self.dependencies)
    }

    /// Returns the number of the latest version that is not deleted.
    pub fn latest_version(&self) -> Option<u32> {
        self.versions.iter().rev().find(|(_, version)| !version.deleted).map(|(number, _)| *number)
    }

    /// Whether schemas are imported, with the ids that requests say.
    pub fn is_import(&self) -> bool {
        self.mode == setting::IMPORT
    }

    /// Whether the configuration adds metadata or rules to schemas.
    pub fn adds_to_schemas(&self) -> bool {
        let Config { default_metadata, override_metadata, default_rule_set, override_rule_set, .. } = &self.config;
        default_metadata.is_some() || override_metadata.is_some() || default_rule_set.is_some() || override_rule_set.is_some()
    }

    /// Whether results computed from `self` are still valid for `now`. This includes the result of the compatibility check, which
    /// depends on the configuration and the versions.
    pub fn is_unchanged(&self, now: &Self) -> bool {
        self.config == now.config
            && self.mode == now.mode
            && self.versions == now.versions
            && self.references == now.references
            && self.dependencies == now.dependencies
    }
}

fn text_is_missing(request: &Schema) -> bool {
    request.schema.is_empty() && (request.metadata.is_some() || request.rule_set.is_some())
}

pub(super) fn parse_format(name: &str) -> Result<SchemaFormat, Error> {
    if name.is_empty() {
        return Ok(SchemaFormat::default());
    }
    name.parse().map_err(|()| {
        let known = SchemaFormat::ALL.map(SchemaFormat::name).join(", ");
        refusal::invalid_schema("schema.schema_type", format!("{name:?} is not a type of schemas; the types are {known}"))
    })
}
