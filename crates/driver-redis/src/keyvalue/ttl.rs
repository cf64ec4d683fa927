//! `keyvalue_ttl`, by the clock of the server.

use async_trait::async_trait;

use super::{EXPIRE, Store, TTL, expiration, ttl_at};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueTtl for Store {
    async fn expire(&self, context: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let ttl = ttl_at("ttl", request.ttl.as_ref())?;
        if ttl == 0 {
            return Err(Error::invalid("ttl", "is required; Persist makes a key live forever").with_reason("INVALID_TTL"));
        }
        let answer = self.call(context, &self.script(&EXPIRE).arg(&request.key[..]).arg(ttl)).await?;
        if answer == redis::Value::Nil {
            return Ok(ExpireResponse::default());
        }
        let [_, expiration] = reply::exactly(answer)?;
        Ok(ExpireResponse { found: true, expire_time: Some(time::timestamp(reply::integer(&expiration)?)) })
    }

    async fn get_ttl(&self, context: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let answer = self.call(context, &self.script(&TTL).arg(&request.key[..])).await?;
        if answer == redis::Value::Nil {
            return Ok(GetTtlResponse::default());
        }
        let [bytes, now] = reply::exactly(answer)?;
        let expiration = expiration(&reply::some_bytes(bytes)?)?;
        let left = match expiration {
            Some(expiration) => Some(time::duration((expiration - reply::integer(&now)?).max(1))),
            None => None,
        };
        Ok(GetTtlResponse { found: true, ttl: left, expire_time: expiration.map(time::timestamp) })
    }

    async fn persist(&self, context: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let answer = self.call(context, &self.script(&EXPIRE).arg(&request.key[..]).arg(0)).await?;
        if answer == redis::Value::Nil {
            return Ok(PersistResponse::default());
        }
        let [before, _] = reply::exactly(answer)?;
        let had_expiration = expiration(&reply::some_bytes(before)?)?.is_some();
        Ok(PersistResponse { found: true, had_expiration })
    }
}
