//! `keyvalue_batch`. A batch is one statement here, so it is atomic.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::KeyValue;
use crate::columns::{column_time, read_bytes, read_metadata, unsigned};
use crate::{error, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::keyvalue::{check_batch_delete, check_batch_get, check_batch_set};

/// The items are sorted by key, so that two batches lock rows in the same order.
static SET: Sql = Sql {
    text: "INSERT INTO {schema}.entries AS entry (keyspace, key, revision, create_revision, version, flags, expires, value)
           SELECT $1, item.key, item.next, item.next, 1, item.flags, item.expires, item.value
           FROM (SELECT *, {next_revision} AS next
                 FROM unnest($2::bytea[], $3::bigint[], $4::timestamptz[], $5::bytea[]) AS items (key, flags, expires, value)) AS item
           ON CONFLICT (keyspace, key) DO UPDATE SET
               (revision, create_revision, version) = (
                   SELECT next,
                          CASE WHEN entry.expires <= clock_timestamp() THEN next ELSE entry.create_revision END,
                          CASE WHEN entry.expires <= clock_timestamp() THEN 1 ELSE entry.version + 1 END
                   FROM (SELECT {next_revision} AS next) AS new),
               flags = excluded.flags, expires = excluded.expires, value = excluded.value
           RETURNING key, revision",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::INT8_ARRAY, Type::TIMESTAMPTZ_ARRAY, Type::BYTEA_ARRAY],
};

static GET: Sql = Sql {
    text: "SELECT revision, create_revision, version, flags, expires, value, key FROM {schema}.entries
           WHERE keyspace = $1 AND key = ANY ($2) AND (expires IS NULL OR expires > now())",
    types: &[Type::INT8, Type::BYTEA_ARRAY],
};

/// The rows are locked in the order of their keys, like those of the other statements.
static DELETE: Sql = Sql {
    text: "WITH locked AS MATERIALIZED (
               SELECT key FROM {schema}.entries WHERE keyspace = $1 AND key = ANY ($2) ORDER BY key FOR UPDATE)
           DELETE FROM {schema}.entries AS entry USING locked WHERE entry.keyspace = $1 AND entry.key = locked.key
           RETURNING entry.key, entry.expires IS NULL OR entry.expires > clock_timestamp()",
    types: &[Type::INT8, Type::BYTEA_ARRAY],
};

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let items = request.items;
        let expirations = check_batch_set(&self.keyspace.limits, &items)?;
        let id = self.keyspace.id(context).await?;
        let mut order: Vec<_> = items.iter().zip(expirations).collect();
        order.sort_unstable_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let keys: Vec<&[u8]> = order.iter().map(|(item, _)| &item.key[..]).collect();
        let flags: Vec<i64> = order.iter().map(|(item, _)| item.flags.cast_signed()).collect();
        let expires: Vec<_> = order.iter().map(|(_, expires)| column_time(*expires)).collect();
        let values: Vec<&[u8]> = order.iter().map(|(item, _)| &item.value[..]).collect();
        let rows = self.keyspace.database.query(context, &SET, &[&id, &keys, &flags, &expires, &values]).await?;
        let revisions: HashMap<&[u8], i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let result = |key: Bytes| {
            let revision = revisions.get(&key[..]).copied().ok_or_else(error::unexpected_reply)?;
            Ok(BatchSetResult { key, revision: unsigned(revision) })
        };
        let results = items.iter().map(|item| result(item.key.clone())).collect::<Result<_, Error>>()?;
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(&self.keyspace.limits, &request.keys)?;
        let id = self.keyspace.id(context).await?;
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| &key[..]).collect();
        let rows = self.keyspace.database.query(context, &GET, &[&id, &keys]).await?;
        let entry = |row| read_metadata(row, 0).into_entry(read_bytes(row, 6), read_bytes(row, 5));
        let entries: HashMap<_, _> = rows.iter().map(entry).map(|entry| (entry.key.clone(), entry)).collect();
        let results = request.keys.into_iter().map(|key| BatchGetResult { entry: entries.get(&key).cloned(), key }).collect();
        Ok(BatchGetResponse { results })
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(&self.keyspace.limits, &request.keys)?;
        let id = self.keyspace.id(context).await?;
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| &key[..]).collect();
        let rows = self.keyspace.database.query(context, &DELETE, &[&id, &keys]).await?;
        let deleted: HashMap<&[u8], bool> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let result = |key: &Bytes| BatchDeleteResult { deleted: deleted.get(&key[..]).copied().unwrap_or(false), key: key.clone() };
        Ok(BatchDeleteResponse { results: request.keys.iter().map(result).collect() })
    }
}
