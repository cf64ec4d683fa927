//! `document_indexing`: indexes of the table of a collection by expressions.
//!
//! An index is made in one transaction with its definition, so it exists completely or not at all. Calls for one collection wait for each other.

use async_trait::async_trait;
use prost::Message as _;
use tokio_postgres::{Row, types::Type};

use super::{
    Documents, remove_expired,
    rows::LIVE,
    statement::{field_of_index, indexed_key},
    table,
};
use crate::{database::Session, error, sql::Sql};
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
};

static LOCK_COLLECTION: Sql = Sql { text: "SELECT 1 FROM {schema}.document_collections WHERE id = $1 FOR UPDATE", types: &[Type::INT8] };

static LIST: Sql =
    Sql { text: "SELECT definition FROM {schema}.document_indexes WHERE collection = $1 ORDER BY name", types: &[Type::INT8] };

static ADD: Sql = Sql {
    text: "INSERT INTO {schema}.document_indexes (collection, name, definition) VALUES ($1, $2, $3) RETURNING number",
    types: &[Type::INT8, Type::TEXT, Type::BYTEA],
};

static REMOVE: Sql = Sql {
    text: "DELETE FROM {schema}.document_indexes WHERE collection = $1 AND name = $2 RETURNING number",
    types: &[Type::INT8, Type::TEXT],
};

fn read_index(row: &Row) -> Result<Index, Error> {
    Index::decode(row.get::<_, &[u8]>(0)).map_err(|_| error::unexpected_reply())
}

/// The statements of an index: for queries, and if it is unique, for the values.
struct IndexStatements {
    create: Vec<String>,
    /// Finds the id of a document whose values another one has too.
    find_duplicate: String,
}

impl IndexStatements {
    /// Writes them. All that comes from a request are the names in paths, which are quoted as literals.
    fn new(schema: &str, collection: i64, number: i64, definition: &IndexDefinition) -> Self {
        let table = table(schema, collection);
        let fields: Vec<String> = definition.paths.iter().map(field_of_index).collect();
        let keys = fields.iter().zip(&definition.index.fields).map(|(field, given)| {
            let direction = if given.descending { "DESC" } else { "ASC" };
            format!("({}) {direction}", indexed_key(schema, field))
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let mut create = vec![format!("CREATE INDEX document_index_{number} ON {table} ({keys})")];
        // Values may be larger than the rows of an index.
        let hashes: Vec<String> = fields.iter().map(|field| format!("(sha256({schema}.document_key({field})))")).collect();
        let hashes = hashes.join(", ");
        let present: Vec<String> = fields.iter().map(|field| format!("{field} <> 'null'::jsonb")).collect();
        let rows = present.join(" AND ");
        if definition.index.unique {
            create.push(format!("CREATE UNIQUE INDEX document_unique_{number} ON {table} ({hashes}) WHERE {rows}"));
        }
        let find_duplicate = format!(
            "SELECT (array_agg(id ORDER BY id))[1] FROM {table} WHERE {rows} AND {LIVE} GROUP BY {hashes} HAVING count(*) > 1 LIMIT 1"
        );
        Self { create, find_duplicate }
    }
}

impl Documents {
    /// Begins a transaction that may change the indexes of a collection. Returns them.
    async fn lock_indexes<'d>(&'d self, context: &'d Context, collection: i64) -> Result<(Session<'d>, Vec<Index>), Error> {
        let mut session = self.database().session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK_COLLECTION, &[&collection]), (&LIST, &[&collection])]).await?;
        let indexes = rows.iter().map(read_index).collect::<Result<_, Error>>()?;
        Ok((session, indexes))
    }

    /// Creates an index. `None` if documents that have expired or changed since had equal values.
    async fn try_create_index(
        &self,
        context: &Context,
        collection: i64,
        definition: &IndexDefinition,
    ) -> Result<Option<CreateIndexResponse>, Error> {
        if definition.index.unique {
            // Expired rows do not count. They are removed before the transaction: in it, they would be locked before the table.
            remove_expired(self.database(), context, collection).await?;
        }
        let (mut session, indexes) = self.lock_indexes(context, collection).await?;
        let refusal = match indexes.iter().find(|index| index.name == definition.index.name) {
            Some(present) if *present == definition.index => {
                session.roll_back().await?;
                return Ok(Some(CreateIndexResponse { created: false }));
            }
            Some(present) => Some(index_differs(&present.name)),
            None if indexes.len() >= MAX_INDEXES => Some(too_many_indexes()),
            None => None,
        };
        if let Some(refusal) = refusal {
            session.roll_back().await?;
            return Err(refusal);
        }
        let statements = self.add_index(&mut session, collection, definition).await?;
        for statement in &statements.create {
            let Err(refused) = session.query_text(statement, &[]).await else { continue };
            if refused.reason() != "UNIQUE_VIOLATION" {
                return Err(refused);
            }
            session.roll_back().await?;
            let rows = self.database().query_text(context, &statements.find_duplicate, &[]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            return Err(not_unique(&String::from_utf8_lossy(row.get(0))));
        }
        session.commit([]).await?;
        Ok(Some(CreateIndexResponse { created: true }))
    }

    async fn add_index(&self, session: &mut Session<'_>, collection: i64, definition: &IndexDefinition) -> Result<IndexStatements, Error> {
        let encoded = definition.index.encode_to_vec();
        let rows = session.query(&ADD, &[&collection, &definition.index.name, &encoded]).await?;
        let number: i64 = rows.first().ok_or_else(error::unexpected_reply)?.get(0);
        Ok(IndexStatements::new(self.database().schema(), collection, number, definition))
    }
}

#[async_trait]
impl DocumentIndexing for Documents {
    async fn create_index(&self, context: &Context, request: CreateIndexRequest) -> Result<CreateIndexResponse, Error> {
        let (collection, definition) = IndexDefinition::new(request)?;
        let collection = self.collection(context, &collection).await?;
        loop {
            if let Some(response) = self.try_create_index(context, collection, &definition).await? {
                return Ok(response);
            }
        }
    }

    async fn drop_index(&self, context: &Context, request: DropIndexRequest) -> Result<DropIndexResponse, Error> {
        check_drop(&request)?;
        let Some(collection) = self.find_collection(context, &request.collection).await? else { return Ok(DropIndexResponse::default()) };
        let (mut session, _) = self.lock_indexes(context, collection).await?;
        let rows = session.query(&REMOVE, &[&collection, &request.name]).await?;
        let number: Option<i64> = rows.first().map(|row| row.get(0));
        if let Some(number) = number {
            let schema = self.database().schema();
            let drop = format!("DROP INDEX IF EXISTS {schema}.document_index_{number}, {schema}.document_unique_{number}");
            session.query_text(&drop, &[]).await?;
        }
        session.commit([]).await?;
        Ok(DropIndexResponse { dropped: number.is_some() })
    }

    async fn list_indexes(&self, context: &Context, request: ListIndexesRequest) -> Result<ListIndexesResponse, Error> {
        check_collection(&request.collection)?;
        let Some(collection) = self.find_collection(context, &request.collection).await? else {
            return Ok(ListIndexesResponse::default());
        };
        let rows = self.database().query(context, &LIST, &[&collection]).await?;
        Ok(ListIndexesResponse { indexes: rows.iter().map(read_index).collect::<Result<_, Error>>()? })
    }
}
