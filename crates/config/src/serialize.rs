//! Serialization of durations and sizes in the form of the file.

use std::time::Duration;

use serde::Serializer;

use prism_settings::{format_duration, format_size};

pub(super) fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(super) fn write_size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_size(*bytes))
}

#[expect(clippy::ref_option, reason = "serde gives references")]
pub(super) fn write_optional_size<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => write_size(bytes, serializer),
        None => serializer.serialize_none(),
    }
}
