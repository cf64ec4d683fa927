//! `keyvalue_basic`

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::KeyValue;
use crate::columns::{column_time, read_bytes, read_metadata, unsigned};
use crate::{error, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteRequest, DeleteResponse, Entry, ExistsRequest, ExistsResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest,
        SetResponse,
    },
};
use prism_driver::{check, time};

/// The revision of an existing row is taken after the row was locked, because PostgreSQL evaluates `SET` then. That of a new row is taken
/// just before the row is inserted.
static SET: Sql = Sql {
    text: "INSERT INTO {schema}.entries AS entry (keyspace, key, revision, create_revision, version, flags, expires, value)
           SELECT $1, $2, next, next, 1, $3, $4, $5 FROM (SELECT {next_revision} AS next) AS new
           ON CONFLICT (keyspace, key) DO UPDATE SET
               (revision, create_revision, version) = (
                   SELECT next,
                          CASE WHEN entry.expires <= clock_timestamp() THEN next ELSE entry.create_revision END,
                          CASE WHEN entry.expires <= clock_timestamp() THEN 1 ELSE entry.version + 1 END
                   FROM (SELECT {next_revision} AS next) AS new),
               flags = excluded.flags, expires = excluded.expires, value = excluded.value
           RETURNING revision",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::TIMESTAMPTZ, Type::BYTEA],
};

static GET: Sql = Sql {
    text: "SELECT revision, create_revision, version, flags, expires, value FROM {schema}.entries
           WHERE keyspace = $1 AND key = $2 AND (expires IS NULL OR expires > now())",
    types: &[Type::INT8, Type::BYTEA],
};

static DELETE: Sql = Sql {
    text: "DELETE FROM {schema}.entries WHERE keyspace = $1 AND key = $2
           RETURNING revision, expires IS NULL OR expires > clock_timestamp()",
    types: &[Type::INT8, Type::BYTEA],
};

static EXISTS: Sql = Sql {
    text: "SELECT 1 FROM {schema}.entries WHERE keyspace = $1 AND key = $2 AND (expires IS NULL OR expires > now())",
    types: &[Type::INT8, Type::BYTEA],
};

impl KeyValue {
    /// Reads the entry of a key.
    pub(super) async fn entry(&self, context: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &GET, &[&id, &&key[..]]).await?;
        Ok(row.map(|row| read_metadata(&row, 0).into_entry(key, read_bytes(&row, 5))))
    }
}

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        let SetRequest { key, value, flags, ttl } = request;
        check::key(&self.keyspace.limits, &key)?;
        check::value(&self.keyspace.limits, "value", &value)?;
        let expires = column_time(time::expiry(ttl.as_ref())?);
        let id = self.keyspace.id(context).await?;
        let row =
            self.keyspace.database.query_optional(context, &SET, &[&id, &&key[..], &flags.cast_signed(), &expires, &&value[..]]).await?;
        Ok(SetResponse { revision: unsigned(row.ok_or_else(error::unexpected_reply)?.get(0)) })
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        Ok(GetResponse { entry: self.entry(context, request.key).await? })
    }

    async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &DELETE, &[&id, &&request.key[..]]).await?;
        let previous_revision = row.filter(|row| row.get(1)).map(|row| unsigned(row.get(0)));
        Ok(DeleteResponse { deleted: previous_revision.is_some(), previous_revision })
    }

    async fn exists(&self, context: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &EXISTS, &[&id, &&request.key[..]]).await?;
        Ok(ExistsResponse { exists: row.is_some() })
    }
}
