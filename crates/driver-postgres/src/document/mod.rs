//! Document: one table for each collection, and one row for each document, with its body as JSONB.
//!
//! Conditions become SQL with parameters (`condition`), and an index of a collection is an index of its table by expressions.

mod basic;
mod condition;
mod escape;
mod indexing;
mod query;
mod rows;
mod statement;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use tokio_postgres::types::Type;

use crate::{database::Database, error, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::lock::lock;

/// Ids of collections that a keyspace remembers.
const MAX_KNOWN_COLLECTIONS: usize = 10_000;
/// Expired rows that one statement removes, so that its locks are held only for a short time.
const EXPIRED_PER_STATEMENT: usize = 500;

static FIND_COLLECTION: Sql =
    Sql { text: "SELECT id FROM {schema}.document_collections WHERE keyspace = $1 AND name = $2", types: &[Type::INT8, Type::TEXT] };

/// Creates a collection, if no other gateway has.
static ADD_COLLECTION: Sql = Sql {
    text: "INSERT INTO {schema}.document_collections (keyspace, name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id",
    types: &[Type::INT8, Type::TEXT],
};

/// Remembers that documents of a collection may expire.
static MARK_EXPIRING: Sql =
    Sql { text: "UPDATE {schema}.document_collections SET expiring = true WHERE id = $1 AND NOT expiring", types: &[Type::INT8] };

static LIST_EXPIRING: Sql = Sql { text: "SELECT id FROM {schema}.document_collections WHERE expiring ORDER BY id", types: &[] };

/// The statements that create the table of a collection.
fn create_table(schema: &str, collection: i64) -> [String; 3] {
    let table = table(schema, collection);
    [
        // PostgreSQL has no U+0000 in strings, so bodies are escaped (`escape`). A row that has expired is not there.
        format!(
            "CREATE TABLE {table} (
                 revision bigint NOT NULL,
                 created  timestamptz NOT NULL,
                 updated  timestamptz NOT NULL,
                 expires  timestamptz,
                 id       bytea PRIMARY KEY,
                 body     jsonb NOT NULL
             ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)"
        ),
        format!("CREATE INDEX ON {table} (expires) WHERE expires IS NOT NULL"),
        // For conditions that fields are equal to values, without an index of the collection.
        format!("CREATE INDEX ON {table} USING gin (body jsonb_path_ops)"),
    ]
}

/// The table of a collection. `schema` is quoted.
fn table(schema: &str, collection: i64) -> String {
    format!("{schema}.documents_{collection}")
}

/// The document interfaces over one keyspace.
#[derive(Clone)]
pub struct Documents {
    keyspace: Arc<KeyspaceHandle>,
    /// The ids of collections, which never change.
    collections: Arc<Mutex<HashMap<String, i64>>>,
    /// The collections that were marked as expiring.
    expiring: Arc<Mutex<HashSet<i64>>>,
}

/// Adds the document interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let documents = Arc::new(Documents { keyspace: keyspace.clone(), collections: Arc::default(), expiring: Arc::default() });
    interfaces.document_basic = Some(documents.clone());
    interfaces.document_query = Some(documents.clone());
    interfaces.document_indexing = Some(documents);
}

/// Removes expired rows of all keyspaces.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    for row in database.query(context, &LIST_EXPIRING, &[]).await? {
        remove_expired(database, context, row.get(0)).await?;
    }
    Ok(())
}

/// Removes the expired rows of a collection, except those that another transaction uses now.
async fn remove_expired(database: &Database, context: &Context, collection: i64) -> Result<(), Error> {
    let table = table(database.schema(), collection);
    // With clock_timestamp(), which is volatile, all rows that have an expiration would be read.
    let remove = format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE expires <= now() LIMIT {EXPIRED_PER_STATEMENT} FOR UPDATE SKIP LOCKED)
         AND expires <= now() RETURNING 1"
    );
    while database.query_text(context, &remove, &[]).await?.len() >= EXPIRED_PER_STATEMENT {}
    Ok(())
}

impl Documents {
    fn database(&self) -> &Database {
        &self.keyspace.database
    }

    /// The id of a collection; `None` if it does not exist.
    async fn find_collection(&self, context: &Context, name: &str) -> Result<Option<i64>, Error> {
        let known = lock(&self.collections).get(name).copied();
        if known.is_some() {
            return Ok(known);
        }
        let keyspace = self.keyspace.id(context).await?;
        let row = self.database().query_optional(context, &FIND_COLLECTION, &[&keyspace, &name]).await?;
        Ok(row.map(|row| self.remember(name, row.get(0))))
    }

    /// The id of a collection, which is created if it does not exist.
    async fn collection(&self, context: &Context, name: &str) -> Result<i64, Error> {
        if let Some(id) = self.find_collection(context, name).await? {
            return Ok(id);
        }
        let keyspace = self.keyspace.id(context).await?;
        let database = self.database();
        let mut session = database.session(context).await?;
        let [rows] = session.begin(None, [(&ADD_COLLECTION, &[&keyspace, &name])]).await?;
        if let Some(row) = rows.first() {
            let id = row.get(0);
            for statement in create_table(database.schema(), id) {
                session.query_text(&statement, &[]).await?;
            }
            session.commit([]).await?;
            return Ok(self.remember(name, id));
        }
        session.roll_back().await?;
        self.find_collection(context, name).await?.ok_or_else(error::unexpected_reply)
    }

    /// Remembers in the database that documents of a collection may expire, before the first one is written.
    async fn mark_expiring(&self, context: &Context, collection: i64) -> Result<(), Error> {
        if lock(&self.expiring).contains(&collection) {
            return Ok(());
        }
        self.database().query(context, &MARK_EXPIRING, &[&collection]).await?;
        let mut expiring = lock(&self.expiring);
        if expiring.len() >= MAX_KNOWN_COLLECTIONS {
            expiring.clear();
        }
        expiring.insert(collection);
        Ok(())
    }

    fn remember(&self, name: &str, id: i64) -> i64 {
        let mut collections = lock(&self.collections);
        if collections.len() >= MAX_KNOWN_COLLECTIONS {
            collections.clear();
        }
        collections.insert(name.to_owned(), id);
        id
    }
}
