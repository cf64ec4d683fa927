//! Documents as rows.

use std::sync::Arc;

use prost_types::{Struct, Value};
use tokio_postgres::Row;

use super::escape::{escape_json, unescape_json};
use crate::{
    columns::{read_time, unsigned},
    error,
};
use prism_call::Error;
use prism_driver::document::{Facts, StoredDocument, json};

/// The columns of a document, in the order in which [`read_document`] expects them.
pub const COLUMNS: &str = "id, revision, created, updated, expires, body::text";

/// The condition that a row has not expired.
pub const LIVE: &str = "(expires IS NULL OR expires > now())";

/// The text of a body for a parameter.
pub fn body_text(body: &Struct) -> String {
    escape_json(&json::write(body))
}

/// Reads a document.
pub fn read_document(row: &Row) -> Result<StoredDocument, Error> {
    let id = std::str::from_utf8(row.get(0)).map_err(|_| error::unexpected_reply())?;
    let facts = Facts {
        revision: unsigned(row.get(1)),
        created: read_time(row, 2).unwrap_or(0),
        updated: read_time(row, 3).unwrap_or(0),
        expires: read_time(row, 4),
    };
    Ok(StoredDocument { id: Arc::from(id), body: read_body(row.get(5))?, facts })
}

fn read_body(text: &str) -> Result<Struct, Error> {
    json::read(&unescape_json(text)).ok_or_else(error::unexpected_reply)
}

/// Reads a JSON value.
pub fn read_value(text: &str) -> Result<Value, Error> {
    json::read_value(&unescape_json(text)).ok_or_else(error::unexpected_reply)
}
