//! A schema in a request: parsed, in its canonical text, with the additions of the configuration.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    basis::Basis,
    identity::Guid,
    inline::Tagging,
    refusal, rule,
    setting::{merge_metadata, merge_rules},
    state::StoredSchema,
    version_property::is_same_metadata,
};
use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Metadata, RuleSet, Schema as Request, SchemaReference},
};
use prism_schema::{Schema, SchemaFormat};

/// A schema that is ready to be stored.
#[derive(Clone)]
pub(super) struct Candidate {
    pub parsed: Arc<Schema>,
    pub text: String,
    pub references: Vec<SchemaReference>,
    pub metadata: Option<Metadata>,
    pub rule_set: Option<RuleSet>,
}

impl Candidate {
    pub fn guid(&self) -> Guid {
        Guid::compute(&self.text, &self.references, self.metadata.as_ref(), self.rule_set.as_ref())
    }

    /// Converts it to the message that the journal stores.
    pub fn into_schema(self, format: SchemaFormat) -> Request {
        let Self { text, references, metadata, rule_set, .. } = self;
        Request { schema_type: format.name().to_owned(), schema: text, references, metadata, rule_set }
    }

    /// Whether a stored schema is equal. Metadata and rules are compared only if the request has them.
    pub fn matches(&self, stored: &StoredSchema) -> bool {
        *self.text == *stored.text && *self.references == *stored.references && self.has_metadata_of(stored)
    }

    /// Whether a stored schema has the same metadata and rules, as far as the request has them.
    pub fn has_metadata_of(&self, stored: &StoredSchema) -> bool {
        (self.metadata.is_none() || is_same_metadata(self.metadata.as_ref(), stored.metadata.as_deref()))
            && (self.rule_set.is_none() || self.rule_set.as_ref() == stored.rule_set.as_deref())
    }

    /// Whether a stored schema is equal in everything, except for the number of its version in the metadata.
    pub fn is_same(&self, stored: &StoredSchema) -> bool {
        *self.text == *stored.text
            && *self.references == *stored.references
            && is_same_metadata(self.metadata.as_ref(), stored.metadata.as_deref())
            && self.rule_set.as_ref() == stored.rule_set.as_deref()
    }
}

impl SchemaRegistry {
    /// Parses the schema of a request. `registered`: whether another registry has accepted it already, so that only what it needs is
    /// checked. This takes long, so it belongs to [`super::work::run`].
    pub(super) fn candidate(
        &self,
        basis: &Basis,
        request: &Request,
        tagging: &Tagging,
        normalize: bool,
        registered: bool,
    ) -> Result<Candidate, Error> {
        let Request { schema: text, metadata, rule_set, .. } = request.clone();
        let mut text = text;
        if let Some(metadata) = &metadata {
            rule::check_metadata("schema.metadata", metadata)?;
        }
        if let Some(rules) = &rule_set {
            rule::check_size("schema.rule_set", rules)?;
            if basis.config.validate_rules != Some(false) {
                rule::check_rule_set("schema.rule_set", rules)?;
            }
        }
        self.check_size(&text)?;
        if text.is_empty() {
            match basis.latest.as_ref().filter(|_| metadata.is_some() || rule_set.is_some()) {
                Some(latest) => text = latest.text.to_string(),
                None => return Err(refusal::invalid_schema("schema.schema", "the text is empty")),
            }
        }
        let lenient = registered || basis.config.validate_new_schemas == Some(false);
        let parse = if lenient { Schema::parse_registered } else { Schema::parse };
        let read = |text: &str| {
            parse(basis.format, text, &basis.dependencies).map_err(|error| refusal::invalid_schema("schema.schema", error.message))
        };
        let mut parsed = read(&text)?;
        if let Some(tagged) = self.apply_tags(&parsed, basis, tagging)? {
            self.check_size(&tagged)?;
            parsed = read(&tagged)?;
        }
        let mut references = basis.references.clone();
        let text = if !registered && (normalize || basis.config.normalize == Some(true)) {
            references.sort_by(|one, other| (&one.subject, one.version, &one.name).cmp(&(&other.subject, other.version, &other.name)));
            references.dedup();
            parsed.normalized()
        } else {
            parsed.canonical()
        };
        Ok(Candidate { parsed: Arc::new(parsed), text, references, metadata, rule_set })
    }

    fn check_size(&self, text: &str) -> Result<(), Error> {
        if text.len() <= self.max_schema_bytes {
            return Ok(());
        }
        Err(refusal::schema_too_large(text.len(), self.max_schema_bytes))
    }
}

/// Adds the metadata and rules of the configuration. A schema without metadata or rules takes those of the latest version.
pub(super) fn add_defaults(candidate: &mut Candidate, basis: &Basis) {
    let latest = basis.latest.as_deref();
    let metadata = candidate.metadata.take().or_else(|| latest.and_then(|latest| latest.metadata.as_deref().cloned()));
    let rule_set = candidate.rule_set.take().or_else(|| latest.and_then(|latest| latest.rule_set.as_deref().cloned()));
    let config = &basis.config;
    candidate.metadata = merge_metadata(merge_metadata(config.default_metadata.clone(), metadata), config.override_metadata.clone());
    candidate.rule_set = merge_rules(merge_rules(config.default_rule_set.clone(), rule_set), config.override_rule_set.clone());
}
