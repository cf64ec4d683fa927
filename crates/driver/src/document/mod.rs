//! Limits, checks and the meaning of requests of documents that are the same in every driver.
//!
//! Conditions, changes, sort keys and accumulators are evaluated here, so that all drivers give the same answers. A driver that stores documents in SQL
//! translates conditions into SQL that means the same.

pub mod aggregate;
pub mod change;
pub mod filter;
pub mod find;
pub mod index;
pub mod json;
pub mod memory;
pub mod order;
pub mod path;
pub mod projection;
pub mod update;
pub mod value;

use std::sync::Arc;

use prost_types::Struct;

use crate::time::{self, Millis};
use prism_call::{Code, Error, proto::models::document::v1::Document};

/// Longest id of a document, in bytes.
pub const MAX_ID_BYTES: usize = 255;
/// Largest body, in bytes of JSON.
pub const MAX_BODY_BYTES: u64 = 1 << 20;
/// Most levels of objects and lists in a body. A level of objects takes three nested protobuf messages, and libraries decode at most 100.
pub const MAX_DEPTH: usize = 32;
/// Longest name of a collection.
const MAX_COLLECTION_BYTES: usize = 64;

/// What a document has in addition to its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The revision of the last write.
    pub revision: u64,
    /// When the document was inserted.
    pub created: Millis,
    /// When it was last written.
    pub updated: Millis,
    /// When it expires, if it does.
    pub expires: Option<Millis>,
}

impl Facts {
    /// Whether the document has not expired.
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// A document with these facts, for replies.
    pub fn into_document(self, id: String, body: Struct) -> Document {
        Document {
            id,
            body: Some(body),
            revision: self.revision,
            create_time: Some(time::timestamp(self.created)),
            update_time: Some(time::timestamp(self.updated)),
            expire_time: self.expires.map(time::timestamp),
        }
    }
}

/// A document as a driver has read it.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// The id.
    pub id: Arc<str>,
    /// The body.
    pub body: Struct,
    /// Revision and times.
    pub facts: Facts,
}

/// Checks the name of a collection: 1 to 64 of the characters `a`–`z`, `A`–`Z`, `0`–`9`, `_` and `-`, the first not a `-`.
pub fn check_collection(collection: &str) -> Result<(), Error> {
    let problem = if collection.is_empty() {
        "must not be empty"
    } else if collection.len() > MAX_COLLECTION_BYTES {
        "must have at most 64 characters"
    } else if collection.starts_with('-') {
        "must not begin with -"
    } else if !collection.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        "must have only the characters a–z, A–Z, 0–9, _ and -"
    } else {
        return Ok(());
    };
    Err(Error::invalid("collection", problem).with_reason("INVALID_COLLECTION"))
}

/// Checks an id that must not be empty. The error is `INVALID_ARGUMENT INVALID_ID`.
pub fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Err(Error::invalid("id", "must not be empty").with_reason("INVALID_ID"));
    }
    check_optional_id(id)
}

/// Checks an id that may be empty.
pub fn check_optional_id(id: &str) -> Result<(), Error> {
    if id.len() > MAX_ID_BYTES {
        let problem = format!("has {} bytes; at most {MAX_ID_BYTES} are allowed", id.len());
        return Err(Error::invalid("id", problem).with_reason("INVALID_ID"));
    }
    Ok(())
}

/// `ALREADY_EXISTS DOCUMENT_EXISTS`
pub fn document_exists(revision: u64) -> Error {
    Error::new(Code::AlreadyExists, "DOCUMENT_EXISTS", "the collection has a document with this id; change it with Update")
        .with("revision", revision.to_string())
}

/// `ALREADY_EXISTS UNIQUE_VIOLATION`: a write would give two documents equal values in a unique index.
pub fn unique_violation(index: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        "UNIQUE_VIOLATION",
        format!("another document has equal values in the fields of the unique index {index:?}; nothing was changed"),
    )
    .with("index", index)
}

/// `FAILED_PRECONDITION UNIQUE_VIOLATION`: an index can't be unique, because documents have equal values.
pub fn not_unique(id: &str) -> Error {
    Error::new(
        Code::FailedPrecondition,
        "UNIQUE_VIOLATION",
        format!("the index can't be unique: the document {id:?} and another one have equal values in its fields; no index was made"),
    )
    .with("id", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_collections() {
        for good in ["a", "Orders_2", "0", "_x-", &"x".repeat(64)] {
            check_collection(good).unwrap();
        }
        for bad in ["", "-a", "a.b", "ä", "a b", &"x".repeat(65)] {
            let error = check_collection(bad).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("INVALID_COLLECTION", "collection"), "{bad:?}");
        }
    }

    #[test]
    fn ids() {
        check_id("\0").unwrap();
        check_optional_id("").unwrap();
        for bad in ["", &"x".repeat(256), &"ä".repeat(128)] {
            assert_eq!(check_id(bad).unwrap_err().reason(), "INVALID_ID");
        }
    }
}
