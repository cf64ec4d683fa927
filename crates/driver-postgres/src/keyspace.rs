//! A handle to one keyspace of the database.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::types::Type;

use crate::{database::Database, error, members::Members, notifications::Notifications, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::{Keyspace, Limits, results::ResultMemory, stream::RetentionLimits};

/// Finds the id of a keyspace.
static FIND: Sql = Sql { text: "SELECT id FROM {schema}.keyspaces WHERE namespace = $1 AND slot = $2", types: &[Type::TEXT, Type::TEXT] };

/// Creates a keyspace, if no other gateway has.
static CREATE: Sql = Sql {
    text: "INSERT INTO {schema}.keyspaces (namespace, slot) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    types: &[Type::TEXT, Type::TEXT],
};

/// What the keyspaces of a backend share.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub database: Arc<Database>,
    /// What waits for notifications.
    pub notifications: Arc<Notifications>,
    /// The members of consumer groups in this gateway.
    pub members: Arc<Members>,
    /// The limits of topics with stored messages when they are created.
    pub topic_retention: RetentionLimits,
    /// The memory of results of set operations.
    pub results: Arc<ResultMemory>,
}

/// A handle to one keyspace of the database.
pub struct KeyspaceHandle {
    /// The database.
    pub database: Arc<Database>,
    /// What waits for notifications.
    pub notifications: Arc<Notifications>,
    /// The members of consumer groups in this gateway.
    pub members: Arc<Members>,
    /// The limits of topics with stored messages when they are created.
    pub topic_retention: RetentionLimits,
    /// The memory of results of set operations.
    pub results: Arc<ResultMemory>,
    /// Greatest sizes of keys, values and batches.
    pub limits: Limits,
    keyspace: Keyspace,
    id: OnceCell<i64>,
}

impl KeyspaceHandle {
    pub fn new(services: &Services, keyspace: Keyspace, limits: Limits) -> Arc<Self> {
        let Services { database, notifications, members, topic_retention, results } = services.clone();
        Arc::new(Self { database, notifications, members, topic_retention, results, limits, keyspace, id: OnceCell::new() })
    }

    /// The id of the keyspace in the database. The first call creates it there.
    pub async fn id(&self, context: &Context) -> Result<i64, Error> {
        match self.id.get() {
            Some(id) => Ok(*id),
            None => self.id.get_or_try_init(|| self.find_or_create(context)).await.copied(),
        }
    }

    async fn find_or_create(&self, context: &Context) -> Result<i64, Error> {
        let Keyspace { namespace, slot } = &self.keyspace;
        if let Some(row) = self.database.query_optional(context, &FIND, &[namespace, slot]).await? {
            return Ok(row.get(0));
        }
        let [_, rows] = self.database.query_two(context, (&CREATE, &[namespace, slot]), (&FIND, &[namespace, slot])).await?;
        rows.first().map(|row| row.get(0)).ok_or_else(error::unexpected_reply)
    }
}
