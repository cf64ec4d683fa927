//! `keyvalue_ttl`.

use async_trait::async_trait;

use super::{
    KeyValue,
    rows::{self, Head},
};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueTtl for KeyValue {
    async fn expire(&self, _: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        let Some(expires) = time::expiry(request.ttl.as_ref())? else {
            return Err(Error::invalid("ttl", "must be set, as 30s; Persist makes a key live forever").with_reason("INVALID_TTL"));
        };
        let write = self.space.write(move |tx, space| {
            let mut update = tx
                .connection
                .prepare_cached("UPDATE entries SET expires = ?3 WHERE keyspace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?4)")?;
            Ok(update.execute((space, &request.key[..], expires, time::now()))? > 0)
        });
        let found = write.await?;
        Ok(ExpireResponse { found, expire_time: found.then(|| time::timestamp(expires)) })
    }

    async fn get_ttl(&self, _: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        let head = self.space.quick(move |connection, space| rows::head(connection, space, &request.key)).await?;
        let Some(Head { expires, .. }) = head else { return Ok(GetTtlResponse::default()) };
        Ok(GetTtlResponse {
            found: true,
            // The clock has gone on since the read; what is left stays more than zero.
            ttl: expires.map(|expires| time::duration((expires - time::now()).max(1))),
            expire_time: expires.map(time::timestamp),
        })
    }

    async fn persist(&self, _: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        let write = self.space.write(move |tx, space| {
            let head = rows::head(tx.connection, space, &request.key)?;
            if let Some(Head { expires: Some(_), .. }) = head {
                let mut update = tx.connection.prepare_cached("UPDATE entries SET expires = NULL WHERE keyspace = ?1 AND key = ?2")?;
                update.execute((space, &request.key[..]))?;
            }
            Ok(head)
        });
        let head = write.await?;
        Ok(PersistResponse { found: head.is_some(), had_expiration: matches!(head, Some(Head { expires: Some(_), .. })) })
    }
}
