//! `document_basic`

use async_trait::async_trait;
use rusqlite::ErrorCode;

use super::{
    Documents,
    rows::{self, unsigned},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::document::v1::{
        DeleteRequest, DeleteResponse, DocumentBasic, GetRequest, GetResponse, InsertRequest, InsertResponse, UpdateRequest, UpdateResponse,
    },
};
use prism_driver::{
    document::{
        Facts, StoredDocument, check_collection, check_id, document_exists,
        projection::Projection,
        unique_violation,
        update::{NewDocument, Update, check_delete},
    },
    time,
};

/// Stores a document. If a unique index refuses it, documents that have expired are removed, and it is stored again.
fn put(tx: &Tx<'_>, collection: i64, document: &StoredDocument) -> DatabaseResult<()> {
    let Err(refused) = rows::put(tx, collection, document) else { return Ok(()) };
    if violated_index(&refused).is_none() {
        return Err(refused.into());
    }
    let refused = if rows::remove_expired_of(tx, collection)? {
        match rows::put(tx, collection, document) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        }
    } else {
        refused
    };
    let Some(number) = violated_index(&refused) else { return Err(refused.into()) };
    let mut select = tx.connection.prepare_cached("SELECT name FROM document_indexes WHERE number = ?1")?;
    let name: String = select.query_row([number], |row| row.get(0))?;
    Err(unique_violation(&name).into())
}

/// The number of the unique index that has refused a row, from the message of SQLite: `UNIQUE constraint failed: index 'document_unique_7'`.
pub fn violated_index(error: &rusqlite::Error) -> Option<i64> {
    let rusqlite::Error::SqliteFailure(failure, Some(message)) = error else { return None };
    let (_, rest) = message.split_once("'document_unique_").filter(|_| failure.code == ErrorCode::ConstraintViolation)?;
    rest.trim_end_matches('\'').parse().ok()
}

#[async_trait]
impl DocumentBasic for Documents {
    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let NewDocument { collection, id, body, expires } = NewDocument::new(request)?;
        let mut document = StoredDocument { id: id.as_str().into(), body, facts: Facts::default() };
        let write = self.keyspace.write(move |tx, keyspace| {
            let collection = rows::collection(tx, keyspace, &collection)?;
            if let Some(revision) = rows::revision(tx.connection, collection, &document.id)? {
                return Err(document_exists(revision).into());
            }
            let now = time::now();
            let revision = unsigned(tx.next_number(keyspace)?);
            document.facts = Facts { revision, created: now, updated: now, expires };
            put(tx, collection, &document)?;
            Ok(document.facts)
        });
        let facts = write.await?;
        Ok(InsertResponse { id, revision: facts.revision, create_time: Some(time::timestamp(facts.created)) })
    }

    async fn update(&self, _: &Context, request: UpdateRequest) -> Result<UpdateResponse, Error> {
        let update = Update::new(request)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let collection = if update.inserts() {
                rows::collection(tx, keyspace, &update.collection)?
            } else {
                match rows::find_collection(tx.connection, keyspace, &update.collection)? {
                    Some(collection) => collection,
                    None => return Ok(Update::refusal(0)),
                }
            };
            let present = rows::get(tx.connection, collection, &update.id)?;
            let Some(written) = update.apply(present.as_ref().map(|document| (&document.body, &document.facts)))? else {
                return Ok(Update::refusal(present.map_or(0, |document| document.facts.revision)));
            };
            let now = time::now();
            let created = present.as_ref().map_or(now, |document| document.facts.created);
            let revision = unsigned(tx.next_number(keyspace)?);
            let facts = Facts { revision, created, updated: now, expires: written.expires };
            let document = StoredDocument { id: update.id.as_str().into(), body: written.body, facts };
            put(tx, collection, &document)?;
            Ok(update.response(present.is_none(), &document))
        });
        write.await
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check_delete(&request)?;
        let remove = self.keyspace.remove(move |tx, keyspace| {
            let absent = DeleteResponse { deleted: false, revision: 0 };
            let Some(collection) = rows::find_collection(tx.connection, keyspace, &request.collection)? else { return Ok(absent) };
            let Some(revision) = rows::revision(tx.connection, collection, &request.id)? else { return Ok(absent) };
            let deleted = request.expected_revision.is_none_or(|expected| expected == revision);
            if deleted {
                rows::delete(tx, collection, &request.id)?;
            }
            Ok(DeleteResponse { deleted, revision })
        });
        remove.await
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check_collection(&request.collection)?;
        check_id(&request.id)?;
        let projection = Projection::new(&request.fields)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let Some(collection) = rows::find_collection(connection, keyspace, &request.collection)? else { return Ok(None) };
            rows::get(connection, collection, &request.id)
        });
        let document = read.await?;
        let document = document.map(|StoredDocument { id, body, facts }| facts.into_document(id.to_string(), projection.apply_to(body)));
        Ok(GetResponse { document })
    }
}
