//! `document_indexing`: indexes of the table by functions.

use async_trait::async_trait;
use prost::Message as _;
use rusqlite::Connection;

use super::{Documents, basic::violated_index, rows};
use crate::{
    error::DatabaseResult,
    functions::{encode_paths, literal},
    writer::Tx,
};
use prism_call::{
    Context, Error,
    proto::models::document::v1::{
        CreateIndexRequest, CreateIndexResponse, DocumentIndexing, DropIndexRequest, DropIndexResponse, Index, ListIndexesRequest,
        ListIndexesResponse,
    },
};
use prism_driver::document::{
    check_collection,
    index::{IndexDefinition, MAX_INDEXES, check_drop, index_differs, too_many_indexes},
    not_unique,
    path::Path,
};

/// The key of a field, as indexes and conditions write it. A path is a literal of bytes.
pub fn key_of(path: &Path) -> String {
    format!("document_key(body, {})", literal(path.text().as_bytes()))
}

/// The statement that creates an index for queries. The id comes last, so that documents with equal values are in the order of queries.
pub fn create_statement(number: i64, collection: i64, definition: &IndexDefinition) -> String {
    let fields = definition.paths.iter().zip(&definition.index.fields);
    let keys: Vec<String> =
        fields.map(|(path, field)| format!("{} {}, ", key_of(path), if field.descending { "DESC" } else { "ASC" })).collect();
    format!("CREATE INDEX document_index_{number} ON documents ({}id) WHERE collection = {collection}", keys.concat())
}

fn list(connection: &Connection, collection: i64) -> DatabaseResult<Vec<Index>> {
    let mut select = connection.prepare_cached("SELECT definition FROM document_indexes WHERE collection = ?1 ORDER BY name")?;
    let mut rows = select.query([collection])?;
    let mut indexes = Vec::new();
    while let Some(row) = rows.next()? {
        let decoded = Index::decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        indexes.push(decoded.map_err(|error| Error::internal("the definition of an index is damaged").with_source(error))?);
    }
    Ok(indexes)
}

fn create(tx: &Tx<'_>, collection: i64, definition: &IndexDefinition) -> DatabaseResult<CreateIndexResponse> {
    let Index { name, unique, .. } = &definition.index;
    let indexes = list(tx.connection, collection)?;
    match indexes.iter().find(|index| index.name == *name) {
        Some(present) if *present == definition.index => return Ok(CreateIndexResponse { created: false }),
        Some(_) => return Err(index_differs(name).into()),
        None if indexes.len() >= MAX_INDEXES => return Err(too_many_indexes().into()),
        None => {}
    }
    let mut insert =
        tx.connection.prepare_cached("INSERT INTO document_indexes (collection, name, definition) VALUES (?1, ?2, ?3) RETURNING number")?;
    let number: i64 = insert.query_row((collection, name, definition.index.encode_to_vec()), |row| row.get(0))?;
    tx.connection.execute(&create_statement(number, collection, definition), [])?;
    if *unique {
        rows::remove_expired_of(tx, collection)?;
        let values = format!("document_unique(body, {})", literal(&encode_paths(&definition.paths)));
        let statement = format!("CREATE UNIQUE INDEX document_unique_{number} ON documents ({values}) WHERE collection = {collection}");
        if let Err(refused) = tx.connection.execute(&statement, []) {
            if violated_index(&refused).is_none() {
                return Err(refused.into());
            }
            let find = format!(
                "SELECT min(id) FROM documents WHERE collection = {collection} AND {values} IS NOT NULL GROUP BY {values} HAVING count(*) > 1"
            );
            let id: Vec<u8> = tx.connection.query_row(&find, [], |row| row.get(0))?;
            return Err(not_unique(&String::from_utf8_lossy(&id)).into());
        }
    }
    Ok(CreateIndexResponse { created: true })
}

#[async_trait]
impl DocumentIndexing for Documents {
    async fn create_index(&self, _: &Context, request: CreateIndexRequest) -> Result<CreateIndexResponse, Error> {
        let (collection, definition) = IndexDefinition::new(request)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let collection = rows::collection(tx, keyspace, &collection)?;
            create(tx, collection, &definition)
        });
        write.await
    }

    async fn drop_index(&self, _: &Context, request: DropIndexRequest) -> Result<DropIndexResponse, Error> {
        check_drop(&request)?;
        let remove = self.keyspace.remove(move |tx, keyspace| {
            let Some(collection) = rows::find_collection(tx.connection, keyspace, &request.collection)? else {
                return Ok(DropIndexResponse { dropped: false });
            };
            let mut delete =
                tx.connection.prepare_cached("DELETE FROM document_indexes WHERE collection = ?1 AND name = ?2 RETURNING number")?;
            let numbers: Vec<i64> = delete.query_map((collection, &request.name), |row| row.get(0))?.collect::<Result<_, _>>()?;
            for number in &numbers {
                tx.connection.execute(&format!("DROP INDEX document_index_{number}"), [])?;
                tx.connection.execute(&format!("DROP INDEX IF EXISTS document_unique_{number}"), [])?;
            }
            Ok(DropIndexResponse { dropped: !numbers.is_empty() })
        });
        remove.await
    }

    async fn list_indexes(&self, _: &Context, request: ListIndexesRequest) -> Result<ListIndexesResponse, Error> {
        check_collection(&request.collection)?;
        let read =
            self.keyspace.read(move |connection, keyspace| match rows::find_collection(connection, keyspace, &request.collection)? {
                Some(collection) => list(connection, collection),
                None => Ok(Vec::new()),
            });
        Ok(ListIndexesResponse { indexes: read.await? })
    }
}
