//! What the target would reject: found out before anything is changed, and all of it at once.

use std::collections::HashSet;

use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage};
use serde_json::{Value, json};

use super::super::catalog::Catalog;
use crate::cli::Failure;
use prism_call::proto::{self, patterns::schema_registry::v1::Schema};
use prism_pattern::schema_registry::check_import;
use prism_registry_client::{ErrorKind, RegistryClient, SchemaKey, SchemaRecord};

/// The full name of the message for a schema.
const SCHEMA: &str = "prism.patterns.schema_registry.v1.Schema";
/// Texts from this size on are sent to the target, which knows how long they may be.
const LARGE_BYTES: usize = 64 << 10;
/// `error_code` of a text that is too long.
const TOO_LARGE: u32 = 42209;

/// A schema that the target rejects.
#[derive(Clone, Debug)]
pub(super) struct Rejection<'a> {
    pub schema: &'a SchemaRecord,
    pub reason: String,
}

impl Rejection<'_> {
    /// Describes the rejection in a line.
    pub fn line(&self) -> String {
        format!("{}: {}", version_name(self.schema), self.reason)
    }
}

/// Returns a version as messages call it.
pub(super) fn version_name(schema: &SchemaRecord) -> String {
    format!("subject {} version {} (id {})", schema.subject, schema.version, schema.id)
}

/// Returns the rejections as lines of a list.
pub(super) fn list(rejections: &[Rejection<'_>]) -> String {
    let mut text = String::new();
    for rejection in rejections {
        text.extend(["\n  ", &rejection.line()]);
    }
    text
}

/// Checks a schema without a registry. Returns why it would be rejected.
pub(super) fn check(schema: &SchemaRecord, catalog: &Catalog) -> Option<String> {
    let message = match to_message(schema) {
        Ok(message) => message,
        Err(invalid) => return Some(invalid),
    };
    let error = check_import(&schema.subject, &message, &catalog.dependencies(schema)).err()?;
    let described = error.violations().first().map(|violation| violation.description.clone());
    Some(described.unwrap_or_else(|| error.message().to_owned()))
}

/// Returns why a schema can't be registered without one that is rejected, if it refers to one.
pub(super) fn check_references(schema: &SchemaRecord, rejected: &HashSet<SchemaKey>) -> Option<String> {
    let (subject, version) = schema.reference_keys().find(|key| rejected.contains(key))?;
    Some(format!("it refers to subject {subject} version {version}, which is rejected"))
}

/// Asks the target whether it takes a text of this length. Nothing is registered. The answer about anything else does not count, because
/// other rules apply to imports.
pub(super) async fn check_size(target: &RegistryClient, schema: &SchemaRecord) -> Result<Option<String>, Failure> {
    if schema.schema.len() < LARGE_BYTES {
        return Ok(None);
    }
    let body = Value::Object(schema.to_request());
    match target.check_compatibility(&schema.subject, None, &body, false).await {
        Err(error) if error.code() == Some(TOO_LARGE) || matches!(error.kind(), ErrorKind::Refused { status: 413, .. }) => {
            Ok(Some(error.to_string()))
        }
        _ => Ok(None),
    }
}

/// Converts a schema to the message that the pattern checks.
fn to_message(schema: &SchemaRecord) -> Result<Schema, String> {
    let mut body = schema.to_request();
    body.remove("references");
    body.insert("schemaType".to_owned(), json!(schema.type_name()));
    let descriptor = proto::descriptors().get_message_by_name(SCHEMA).ok_or("the message for schemas is missing")?;
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor, Value::Object(body), &options);
    let message = message.map_err(|error| format!("its metadata or rules are invalid: {error}"))?;
    Schema::decode(&*message.encode_to_vec()).map_err(|error| error.to_string())
}
