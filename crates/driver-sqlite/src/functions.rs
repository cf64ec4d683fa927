//! Functions in SQL that are computed in this process.
//!
//! Indexes are built with `document_key` and `document_unique`, so what these return never changes.

use std::{fmt::Write as _, sync::Arc};

use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

use prism_driver::document::{
    json,
    order::put_delimited,
    path::Path,
    value::{self, Key, rank},
};
use prost_types::Struct;

/// Registers the functions on a connection.
///
/// | function | returns |
/// |---|---|
/// | `document_key(body, path)` | the key of a field, whose order is that of the contract |
/// | `document_unique(body, paths)` | the keys of several fields, each path after its length; NULL if one of them is missing or null |
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("document_key", 2, flags, |context| {
        let path = path(context, 1)?;
        Ok(value::key(path.get_in(&body(context)?)))
    })?;
    connection.create_scalar_function("document_unique", 2, flags, |context| {
        let mut paths = context.get_raw(1).as_blob().map_err(invalid)?;
        let body = body(context)?;
        let mut keys = Key::new();
        while let Some((length, rest)) = paths.split_first_chunk::<2>() {
            let (path, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(broken)?;
            let key = value::key(parse(path)?.get_in(&body));
            if matches!(key.first(), Some(&(rank::ABSENT | rank::NULL))) {
                return Ok(None);
            }
            put_delimited(&mut keys, &key);
            paths = rest;
        }
        Ok(Some(keys))
    })
}

/// The paths of a unique index, for `document_unique`.
pub fn encode_paths(paths: &[Path]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for path in paths {
        let text = path.text();
        // A path has at most 1,024 bytes.
        encoded.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        encoded.extend(text.as_bytes());
    }
    encoded
}

/// Bytes as a literal in a statement.
pub fn literal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 3);
    text.push_str("x'");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

/// The body of a row, which is parsed.
fn body(context: &Context<'_>) -> rusqlite::Result<Struct> {
    match context.get_raw(0) {
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(invalid)?;
            json::read(text).ok_or_else(broken)
        }
        _ => Err(broken()),
    }
}

/// A path, which is parsed once for each statement.
fn path(context: &Context<'_>, argument: usize) -> rusqlite::Result<Arc<Path>> {
    let argument = i32::try_from(argument).unwrap_or(0);
    context.get_or_create_aux(argument, |value| parse(value.as_blob()?))
}

fn parse(path: &[u8]) -> rusqlite::Result<Path> {
    let text = std::str::from_utf8(path).map_err(invalid)?;
    Path::parse(text).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(error.into())
}

fn broken() -> rusqlite::Error {
    invalid("a body or a path is not in the form in which it was written")
}
