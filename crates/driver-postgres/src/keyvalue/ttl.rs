//! `keyvalue_ttl`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::KeyValue;
use crate::columns::{column_time, read_metadata};
use crate::sql::Sql;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{check, keyvalue::required_expiry, time};

static EXPIRE: Sql = Sql {
    text: "UPDATE {schema}.entries SET expires = $3 WHERE keyspace = $1 AND key = $2 AND (expires IS NULL OR expires > clock_timestamp())
           RETURNING 1",
    types: &[Type::INT8, Type::BYTEA, Type::TIMESTAMPTZ],
};

static METADATA: Sql = Sql {
    text: "SELECT revision, create_revision, version, flags, expires FROM {schema}.entries
           WHERE keyspace = $1 AND key = $2 AND (expires IS NULL OR expires > now())",
    types: &[Type::INT8, Type::BYTEA],
};

static PERSIST: Sql = Sql {
    text: "UPDATE {schema}.entries SET expires = NULL WHERE keyspace = $1 AND key = $2 AND expires > clock_timestamp() RETURNING 1",
    types: &[Type::INT8, Type::BYTEA],
};

#[async_trait]
impl KeyValueTtl for KeyValue {
    async fn expire(&self, context: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let expires = required_expiry(request.ttl.as_ref())?;
        let id = self.keyspace.id(context).await?;
        let time = column_time(Some(expires));
        let found = self.keyspace.database.query_optional(context, &EXPIRE, &[&id, &&request.key[..], &time]).await?.is_some();
        Ok(ExpireResponse { found, expire_time: found.then(|| time::timestamp(expires)) })
    }

    async fn get_ttl(&self, context: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &METADATA, &[&id, &&request.key[..]]).await?;
        let Some(metadata) = row.map(|row| read_metadata(&row, 0)) else { return Ok(GetTtlResponse::default()) };
        Ok(GetTtlResponse {
            found: true,
            // The time to live may have ended since the read, but the response must have more than zero.
            ttl: metadata.expires.map(|expires| time::duration((expires - time::now()).max(1))),
            expire_time: metadata.expires.map(time::timestamp),
        })
    }

    async fn persist(&self, context: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let key = &request.key[..];
        let [changed, entry] = self.keyspace.database.query_two(context, (&PERSIST, &[&id, &key]), (&METADATA, &[&id, &key])).await?;
        Ok(PersistResponse { found: !changed.is_empty() || !entry.is_empty(), had_expiration: !changed.is_empty() })
    }
}
