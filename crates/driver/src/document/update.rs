//! Requests of `document_basic`: checked, and what an update does to a document.

use prost_types::Struct;

use super::{Facts, StoredDocument, change::Change, check_collection, check_id, check_optional_id, value::check_body};
use crate::{
    id,
    time::{self, Millis},
};
use prism_call::{
    Error,
    proto::models::document::v1::{DeleteRequest, InsertRequest, UpdateRequest, UpdateResponse},
};

/// A document to insert.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// The collection.
    pub collection: String,
    /// The id, which may be new.
    pub id: String,
    /// The body.
    pub body: Struct,
    /// When it expires.
    pub expires: Option<Millis>,
}

impl NewDocument {
    /// Checks Insert. An empty id becomes a random one.
    pub fn new(request: InsertRequest) -> Result<Self, Error> {
        check_collection(&request.collection)?;
        check_optional_id(&request.id)?;
        let body = request.body.unwrap_or_default();
        check_body("body", &body)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let id = if request.id.is_empty() { id::random_text() } else { request.id };
        Ok(Self { collection: request.collection, id, body, expires })
    }
}

/// Checks Delete.
pub fn check_delete(request: &DeleteRequest) -> Result<(), Error> {
    check_collection(&request.collection)?;
    check_id(&request.id)?;
    if request.expected_revision == Some(0) {
        return Err(Error::invalid("expected_revision", "must be greater than zero; leave it out to delete any revision"));
    }
    Ok(())
}

/// An update that was checked.
#[derive(Clone, Debug)]
pub struct Update {
    /// The collection.
    pub collection: String,
    /// The id.
    pub id: String,
    return_document: bool,
    change: Change,
    expected: Option<u64>,
    insert_if_absent: bool,
    expires: Option<Millis>,
    keep_ttl: bool,
}

/// What an update writes.
#[derive(Clone, Debug)]
pub struct Written {
    /// The new body.
    pub body: Struct,
    /// When it expires.
    pub expires: Option<Millis>,
}

impl Update {
    /// Checks Update.
    pub fn new(request: UpdateRequest) -> Result<Self, Error> {
        check_collection(&request.collection)?;
        check_id(&request.id)?;
        if request.keep_ttl && request.ttl.is_some() {
            return Err(Error::invalid("ttl", "must not be set together with keep_ttl").with_reason("INVALID_TTL"));
        }
        if request.expected_revision == Some(0) && !request.insert_if_absent {
            let problem = "is 0, so the document must not be there, and nothing would be written; set insert_if_absent too";
            return Err(Error::invalid("expected_revision", problem));
        }
        Ok(Self {
            collection: request.collection,
            id: request.id,
            return_document: request.return_document,
            change: Change::new(request.change)?,
            expected: request.expected_revision,
            insert_if_absent: request.insert_if_absent,
            expires: time::expiry(request.ttl.as_ref())?,
            keep_ttl: request.keep_ttl,
        })
    }

    /// Whether the update may insert a document.
    pub fn inserts(&self) -> bool {
        self.insert_if_absent && self.expected.unwrap_or(0) == 0
    }

    /// What is written if the document is as it is: `None` if nothing, because it is not there, or has another revision than expected.
    pub fn apply(&self, present: Option<(&Struct, &Facts)>) -> Result<Option<Written>, Error> {
        let matches = match present {
            Some((_, facts)) => self.expected.is_none_or(|expected| expected == facts.revision),
            None => self.inserts(),
        };
        if !matches {
            return Ok(None);
        }
        let empty = Struct::default();
        let body = self.change.apply(present.map_or(&empty, |(body, _)| body))?;
        let expires = if self.keep_ttl { present.and_then(|(_, facts)| facts.expires) } else { self.expires };
        Ok(Some(Written { body, expires }))
    }

    /// The answer if nothing was written.
    pub fn refusal(revision: u64) -> UpdateResponse {
        UpdateResponse { updated: false, inserted: false, revision, document: None }
    }

    /// The answer if a document was written.
    pub fn response(&self, inserted: bool, document: &StoredDocument) -> UpdateResponse {
        let returned = self.return_document.then(|| document.facts.into_document(self.id.clone(), document.body.clone()));
        UpdateResponse { updated: true, inserted, revision: document.facts.revision, document: returned }
    }
}
