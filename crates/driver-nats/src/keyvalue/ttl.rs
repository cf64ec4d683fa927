//! `keyvalue_ttl`, with the clocks of the gateways. The server removes expired messages.

use async_trait::async_trait;

use super::{Change, KeyValue, row::Row};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{check, keyvalue::required_expiry, time};

#[async_trait]
impl KeyValueTtl for KeyValue {
    async fn expire(&self, context: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let expires = required_expiry(request.ttl.as_ref())?;
        let decide = |row: Option<&Row>| {
            Ok(row.map_or(Change::Keep, |row| Change::Replace(row.headers_of_expiration(Some(expires)), row.value().clone())))
        };
        let found = self.change(context, &request.key, decide).await?.0.is_some();
        Ok(ExpireResponse { found, expire_time: found.then(|| time::timestamp(expires)) })
    }

    async fn get_ttl(&self, context: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let Some(row) = self.read(&self.deadline(context), &request.key).await? else { return Ok(GetTtlResponse::default()) };
        let expires = row.metadata().expires;
        let ttl = expires.map(|expires| time::duration((expires - time::now()).max(1)));
        Ok(GetTtlResponse { found: true, ttl, expire_time: expires.map(time::timestamp) })
    }

    async fn persist(&self, context: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let decide = |row: Option<&Row>| {
            let expiring = row.filter(|row| row.metadata().expires.is_some());
            Ok(expiring.map_or(Change::Keep, |row| Change::Replace(row.headers_of_expiration(None), row.value().clone())))
        };
        let (row, sequence) = self.change(context, &request.key, decide).await?;
        Ok(PersistResponse { found: row.is_some(), had_expiration: sequence > 0 })
    }
}
