//! The errors of the pattern, with their reasons and messages.

use super::subject::SubjectName;
use prism_call::{Code, Error};

pub(super) fn subject_not_found(name: &SubjectName) -> Error {
    Error::new(Code::NotFound, "SUBJECT_NOT_FOUND", format!("Subject '{name}' not found.")).with("subject", name.to_string())
}

pub(super) fn version_not_found(name: &SubjectName, version: &str) -> Error {
    Error::new(Code::NotFound, "VERSION_NOT_FOUND", format!("Version {version} not found."))
        .with("subject", name.to_string())
        .with("version", version)
}

/// For a search by text, GUID or metadata.
pub(super) fn schema_not_found() -> Error {
    Error::new(Code::NotFound, "SCHEMA_NOT_FOUND", "Schema not found")
}

pub(super) fn id_not_found(id: u32) -> Error {
    Error::new(Code::NotFound, "SCHEMA_NOT_FOUND", format!("Schema {id} not found")).with("id", id.to_string())
}

pub(super) fn subject_soft_deleted(name: &SubjectName) -> Error {
    let message = format!("Subject '{name}' is softly deleted already; it can only be deleted permanently");
    Error::new(Code::NotFound, "SUBJECT_SOFT_DELETED", message).with("subject", name.to_string())
}

pub(super) fn subject_not_soft_deleted(name: &SubjectName) -> Error {
    let message = format!("Subject '{name}' is not softly deleted; delete it softly before deleting it permanently");
    Error::new(Code::NotFound, "SUBJECT_NOT_SOFT_DELETED", message).with("subject", name.to_string())
}

pub(super) fn version_soft_deleted(name: &SubjectName, version: u32) -> Error {
    let message = format!("Version {version} of subject '{name}' is softly deleted already; it can only be deleted permanently");
    Error::new(Code::NotFound, "VERSION_SOFT_DELETED", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn version_not_soft_deleted(name: &SubjectName, version: u32) -> Error {
    let message = format!("Version {version} of subject '{name}' is not softly deleted; delete it softly before deleting it permanently");
    Error::new(Code::NotFound, "VERSION_NOT_SOFT_DELETED", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn reference_exists(name: &SubjectName, version: u32) -> Error {
    let message =
        format!("One or more references exist to the schema of subject '{name}', version {version}; delete what refers to it first");
    Error::new(Code::FailedPrecondition, "REFERENCE_EXISTS", message).with("subject", name.to_string()).with("version", version.to_string())
}

pub(super) fn config_not_found(name: &SubjectName) -> Error {
    let message = format!("Subject '{name}' has no configuration of its own");
    Error::new(Code::NotFound, "SUBJECT_CONFIG_NOT_FOUND", message).with("subject", name.to_string())
}

pub(super) fn mode_not_found(name: &SubjectName) -> Error {
    let message = format!("Subject '{name}' has no mode of its own");
    Error::new(Code::NotFound, "SUBJECT_MODE_NOT_FOUND", message).with("subject", name.to_string())
}

pub(super) fn not_permitted(message: impl Into<String>) -> Error {
    Error::new(Code::FailedPrecondition, "OPERATION_NOT_PERMITTED", message.into())
}

pub(super) fn invalid_schema(field: &str, why: impl Into<String>) -> Error {
    let why = why.into();
    Error::new(Code::InvalidArgument, "INVALID_SCHEMA", format!("Invalid schema: {why}")).with_violation(field, why)
}

/// `kind` is the requested kind of entity, as `sr_field`, or `part` for any kind.
pub(super) fn entity_not_found(field: &str, kind: &str, path: &str) -> Error {
    let why = format!("the schema has no {kind} '{path}'");
    Error::new(Code::InvalidArgument, "ENTITY_NOT_FOUND", format!("Tags can't be changed: {why}"))
        .with_violation(field, why)
        .with("entity_path", path)
}

pub(super) fn invalid_version(version: &str) -> Error {
    let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
    let message = format!("The specified version '{version}' is not a valid version id. {allowed}");
    Error::new(Code::InvalidArgument, "INVALID_VERSION", message).with_violation("version", allowed).with("version", version)
}

/// For a registration with too many attempts, since the subject changed during each.
pub(super) fn contention() -> Error {
    Error::new(Code::Aborted, "CONTENTION", "others changed the subject each time before this change could be made; try again")
}
