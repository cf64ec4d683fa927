//! `keyvalue_ttl`

use async_trait::async_trait;

use super::{KeyValue, rows};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{
    check,
    keyvalue::{EntryMetadata, required_expiry},
    time,
};

#[async_trait]
impl KeyValueTtl for KeyValue {
    async fn expire(&self, _: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let expires = required_expiry(request.ttl.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let mut update = tx
                .connection
                .prepare_cached("UPDATE entries SET expires = ?3 WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?4)")?;
            Ok(update.execute((keyspace, &request.key[..], expires, time::now()))? > 0)
        });
        let found = write.await?;
        Ok(ExpireResponse { found, expire_time: found.then(|| time::timestamp(expires)) })
    }

    async fn get_ttl(&self, _: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let metadata = self.keyspace.quick(move |connection, keyspace| rows::metadata(connection, keyspace, &request.key)).await?;
        let Some(EntryMetadata { expires, .. }) = metadata else { return Ok(GetTtlResponse::default()) };
        Ok(GetTtlResponse {
            found: true,
            // The time to live may have ended since the read, but the response must have more than zero.
            ttl: expires.map(|expires| time::duration((expires - time::now()).max(1))),
            expire_time: expires.map(time::timestamp),
        })
    }

    async fn persist(&self, _: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let metadata = rows::metadata(tx.connection, keyspace, &request.key)?;
            if let Some(EntryMetadata { expires: Some(_), .. }) = metadata {
                let mut update = tx.connection.prepare_cached("UPDATE entries SET expires = NULL WHERE keyspace = ?1 AND key = ?2")?;
                update.execute((keyspace, &request.key[..]))?;
            }
            Ok(metadata)
        });
        let metadata = write.await?;
        Ok(PersistResponse { found: metadata.is_some(), had_expiration: metadata.is_some_and(|metadata| metadata.expires.is_some()) })
    }
}
