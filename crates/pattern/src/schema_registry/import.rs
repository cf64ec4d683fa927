//! The checks of an import, for tools that prepare one.

use super::{refusal, rule, subject::SubjectName};
use prism_call::{Error, proto::patterns::schema_registry::v1::Schema as SchemaMessage};
use prism_schema::{Dependency, Schema};

/// Checks a schema as a registration with an id does, as far as that needs no registry: its subject, metadata, rules and text.
/// `dependencies` are all schemas that it refers to, directly or indirectly.
pub fn check_import(subject: &str, schema: &SchemaMessage, dependencies: &[Dependency]) -> Result<(), Error> {
    SubjectName::subject("", subject)?;
    if let Some(metadata) = &schema.metadata {
        rule::check_metadata("schema.metadata", metadata)?;
    }
    if let Some(rules) = &schema.rule_set {
        rule::check_size("schema.rule_set", rules)?;
        rule::check_rule_set("schema.rule_set", rules)?;
    }
    let format = super::basis::parse_format(&schema.schema_type)?;
    let parsed = Schema::parse_registered(format, &schema.schema, dependencies);
    parsed.map(drop).map_err(|invalid| refusal::invalid_schema("schema.schema", invalid.message))
}
