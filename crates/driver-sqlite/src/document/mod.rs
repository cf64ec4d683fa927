//! Document: one row for each document, with its body as JSON.
//!
//! Conditions and sort keys are functions of this process in SQL (`functions.rs`), so they mean the same as in every other driver. An index of a collection
//! is an index of the table by such functions, for the rows of this collection.

mod basic;
mod indexing;
mod query;
mod rows;

use std::sync::Arc;

use crate::{database::Database, keyspace::KeyspaceHandle};
use prism_call::{Error, proto::Interfaces};

/// Expired rows that one write removes. The number is limited so that other writes don't wait long.
const EXPIRED_PER_WRITE: usize = 200;

/// The document interfaces over one keyspace.
#[derive(Clone)]
pub struct Documents {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the document interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let documents = Arc::new(Documents { keyspace: keyspace.clone() });
    interfaces.document_basic = Some(documents.clone());
    interfaces.document_query = Some(documents.clone());
    interfaces.document_indexing = Some(documents);
}

/// Removes expired rows of all keyspaces.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    // Reads first: a write would lock the file even if nothing has expired.
    while database.readers.quick(rows::any_expired).await? {
        database.remove(|tx| rows::remove_expired(tx, EXPIRED_PER_WRITE)).await?;
    }
    Ok(())
}
