//! The errors of the pattern, with their reasons, messages and metadata.
//!
//! Frontends that serve the API of another registry write its sentences from reason and metadata, so both are stable.

use super::subject::SubjectName;
use prism_call::{Code, Error};

/// Why an operation is not permitted: the metadata `cause` of `OPERATION_NOT_PERMITTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The mode of the subject or context permits no changes.
    ReadOnly,
    /// The request sets the id of a new schema, and the mode is not IMPORT.
    NotImporting,
    /// The request sets no id for a new schema, and the mode is IMPORT.
    Importing,
    /// The mode IMPORT is set where there are versions already.
    VersionsExist,
    /// The imported version exists.
    VersionTaken,
    /// The imported id belongs to another schema.
    IdTaken,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "READ_ONLY",
            Self::NotImporting => "NOT_IMPORTING",
            Self::Importing => "IMPORTING",
            Self::VersionsExist => "VERSIONS_EXIST",
            Self::VersionTaken => "VERSION_TAKEN",
            Self::IdTaken => "ID_TAKEN",
        }
    }
}

pub(super) fn not_permitted(cause: Cause, message: impl Into<String>) -> Error {
    Error::new(Code::FailedPrecondition, "OPERATION_NOT_PERMITTED", message.into()).with("cause", cause.name())
}

pub(super) fn subject_not_found(name: &SubjectName) -> Error {
    Error::new(Code::NotFound, "SUBJECT_NOT_FOUND", format!("the subject '{name}' does not exist")).with("subject", name.to_string())
}

pub(super) fn version_not_found(name: &SubjectName, version: &str) -> Error {
    Error::new(Code::NotFound, "VERSION_NOT_FOUND", format!("the subject '{name}' has no version {version}"))
        .with("subject", name.to_string())
        .with("version", version)
}

/// For a search by text, GUID or metadata.
pub(super) fn schema_not_found() -> Error {
    Error::new(Code::NotFound, "SCHEMA_NOT_FOUND", "there is no such schema")
}

pub(super) fn id_not_found(id: u32) -> Error {
    Error::new(Code::NotFound, "SCHEMA_NOT_FOUND", format!("there is no schema with the id {id}")).with("id", id.to_string())
}

pub(super) fn subject_soft_deleted(name: &SubjectName) -> Error {
    let message = format!("the subject '{name}' is already softly deleted; it can only be deleted permanently");
    Error::new(Code::NotFound, "SUBJECT_SOFT_DELETED", message).with("subject", name.to_string())
}

pub(super) fn subject_not_soft_deleted(name: &SubjectName) -> Error {
    let message = format!("the subject '{name}' is not softly deleted; delete it softly before deleting it permanently");
    Error::new(Code::NotFound, "SUBJECT_NOT_SOFT_DELETED", message).with("subject", name.to_string())
}

pub(super) fn version_soft_deleted(name: &SubjectName, version: u32) -> Error {
    let message = format!("version {version} of the subject '{name}' is already softly deleted; it can only be deleted permanently");
    Error::new(Code::NotFound, "VERSION_SOFT_DELETED", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn version_not_soft_deleted(name: &SubjectName, version: u32) -> Error {
    let message =
        format!("version {version} of the subject '{name}' is not softly deleted; delete it softly before deleting it permanently");
    Error::new(Code::NotFound, "VERSION_NOT_SOFT_DELETED", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn reference_exists(name: &SubjectName, version: u32) -> Error {
    let message = format!("other schemas refer to version {version} of the subject '{name}'; delete them first");
    Error::new(Code::FailedPrecondition, "REFERENCE_EXISTS", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn config_not_found(name: &SubjectName) -> Error {
    let message = format!("the subject '{name}' has no configuration of its own");
    Error::new(Code::NotFound, "SUBJECT_CONFIG_NOT_FOUND", message).with("subject", name.to_string())
}

pub(super) fn mode_not_found(name: &SubjectName) -> Error {
    let message = format!("the subject '{name}' has no mode of its own");
    Error::new(Code::NotFound, "SUBJECT_MODE_NOT_FOUND", message).with("subject", name.to_string())
}

pub(super) fn context_not_found(context: &str) -> Error {
    Error::new(Code::NotFound, "CONTEXT_NOT_FOUND", format!("the context '{context}' does not exist")).with("context", context)
}

pub(super) fn context_not_empty(context: &str) -> Error {
    let message = format!("the context '{context}' has subjects; delete them permanently first");
    Error::new(Code::FailedPrecondition, "CONTEXT_NOT_EMPTY", message).with("context", context)
}

/// The reason of [`invalid_schema`].
pub(super) const INVALID_SCHEMA: &str = "INVALID_SCHEMA";

pub(super) fn invalid_schema(field: &str, why: impl Into<String>) -> Error {
    let why = why.into();
    Error::new(Code::InvalidArgument, INVALID_SCHEMA, format!("the schema is invalid: {why}")).with_violation(field, why)
}

/// For a comparison that can't be finished within its budget. There is no verdict.
pub(super) fn too_complex(version: u32, why: &str) -> Error {
    let why = format!("it can't be compared with version {version}: {why}");
    Error::new(Code::InvalidArgument, INVALID_SCHEMA, why.clone()).with_violation("schema.schema", why)
}

/// For a stored schema that can't be parsed within its budget. Its text can be read, but not compared, rendered or searched for tags.
pub(super) fn stored_schema_too_complex(id: u32, why: &str) -> Error {
    Error::new(Code::FailedPrecondition, INVALID_SCHEMA, format!("the schema with the id {id} can only be read as it is: {why}"))
        .with("id", id.to_string())
}

pub(super) fn schema_too_large(bytes: usize, limit: usize) -> Error {
    let message = format!("the schema has {bytes} bytes; the limit is {limit}");
    Error::new(Code::InvalidArgument, "SCHEMA_TOO_LARGE", message.clone())
        .with_violation("schema.schema", message)
        .with("bytes", bytes.to_string())
        .with("limit", limit.to_string())
}

/// `kind` is the requested kind of entity, as `sr_field`, or `part` for any kind.
pub(super) fn entity_not_found(field: &str, kind: &str, path: &str) -> Error {
    let why = format!("the schema has no {kind} '{path}'");
    Error::new(Code::InvalidArgument, "ENTITY_NOT_FOUND", format!("Tags can't be changed: {why}"))
        .with_violation(field, why)
        .with("entity_path", path)
}

pub(super) fn invalid_version(version: &str) -> Error {
    let allowed = "must be a number from 1 to 2147483647, or `latest`";
    Error::new(Code::InvalidArgument, "INVALID_VERSION", format!("the version '{version}' {allowed}"))
        .with_violation("version", allowed)
        .with("version", version)
}

pub(super) fn id_mismatch(id: u32, requested: u32) -> Error {
    let message = format!("the schema is registered with the id {id}; the request has the id {requested}");
    Error::new(Code::AlreadyExists, "ID_MISMATCH", message).with("id", id.to_string()).with("requested_id", requested.to_string())
}

/// For a registration with too many attempts, since the subject changed during each.
pub(super) fn contention() -> Error {
    Error::new(Code::Aborted, "CONTENTION", "others changed the subject each time before this change could be made; try again")
}
