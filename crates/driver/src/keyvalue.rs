//! Checks of key-value requests, and entries for responses.

use bytes::Bytes;

use crate::{
    Limits, check,
    time::{self, Millis},
    transactions::Numbers,
};
use prism_call::{
    Error,
    proto::models::keyvalue::v1::{BatchSetItem, Entry, ScanKeysResponse},
};

/// Everything about an entry except its key and its value.
#[derive(Clone, Copy, Debug)]
pub struct EntryMetadata {
    /// Revisions and version.
    pub numbers: Numbers,
    /// When the entry expires; `None` = never.
    pub expires: Option<Millis>,
    /// Flags that the writer stored beside the value.
    pub flags: u64,
}

impl EntryMetadata {
    /// The entry with this metadata.
    pub fn into_entry(self, key: Bytes, value: Bytes) -> Entry {
        let Self { numbers: Numbers { revision, create_revision, version }, expires, flags } = self;
        Entry { key, value, revision, expire_time: expires.map(time::timestamp), flags, create_revision, version }
    }

    /// One message of ScanKeys.
    pub fn into_scanned_key(self, key: Bytes, cursor: String) -> ScanKeysResponse {
        let Self { numbers: Numbers { revision, create_revision, version }, flags, .. } = self;
        ScanKeysResponse { key, revision, cursor, flags, create_revision, version }
    }
}

/// Checks the items of BatchSet and returns when each expires.
pub fn check_batch_set(limits: &Limits, items: &[BatchSetItem]) -> Result<Vec<Option<Millis>>, Error> {
    check::batch(limits, "items", items.len())?;
    let mut expirations = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        check::key_at(limits, format_args!("items[{index}].key"), &item.key)?;
        check::value(limits, format_args!("items[{index}].value"), &item.value)?;
        expirations.push(time::expiry_at(format_args!("items[{index}].ttl"), item.ttl.as_ref())?);
    }
    check::distinct(items.iter().map(|item| &item.key[..]), |index| format!("items[{index}].key"))?;
    Ok(expirations)
}

/// Checks the keys of BatchGet.
pub fn check_batch_get(limits: &Limits, keys: &[Bytes]) -> Result<(), Error> {
    check::batch(limits, "keys", keys.len())?;
    for (index, key) in keys.iter().enumerate() {
        check::key_at(limits, format_args!("keys[{index}]"), key)?;
    }
    Ok(())
}

/// Checks the keys of BatchDelete, which must differ.
pub fn check_batch_delete(limits: &Limits, keys: &[Bytes]) -> Result<(), Error> {
    check_batch_get(limits, keys)?;
    check::distinct(keys.iter().map(|key| &key[..]), |index| format!("keys[{index}]"))
}

/// Checks the field `expected_revision` of CompareAndDelete.
pub fn check_expected_revision(revision: u64) -> Result<(), Error> {
    if revision == 0 {
        return Err(Error::invalid("expected_revision", "must be greater than zero; revision 0 means that the key does not exist"));
    }
    Ok(())
}

/// When the entry expires whose time to live Expire sets, counted from now. The field `ttl` must be set.
pub fn required_expiry(ttl: Option<&prost_types::Duration>) -> Result<Millis, Error> {
    time::expiry(ttl)?.ok_or_else(|| {
        Error::invalid("ttl", "must be set, for example 30s; to remove the expiration, call Persist").with_reason("INVALID_TTL")
    })
}
