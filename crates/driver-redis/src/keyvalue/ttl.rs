//! `keyvalue_ttl`, with the clock of the server.

use async_trait::async_trait;

use super::{EXPIRE, KeyValue, TTL, parse_expiration, ttl_millis};
use crate::reply;
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
        required_expiry(request.ttl.as_ref())?;
        let ttl = ttl_millis("ttl", request.ttl.as_ref())?;
        let reply_value = self.call(context, &self.script(&EXPIRE).arg(&request.key[..]).arg(ttl)).await?;
        if reply_value == redis::Value::Nil {
            return Ok(ExpireResponse::default());
        }
        let [_, expiration] = reply::fixed_list(reply_value)?;
        Ok(ExpireResponse { found: true, expire_time: Some(time::timestamp(reply::integer(&expiration)?)) })
    }

    async fn get_ttl(&self, context: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let reply_value = self.call(context, &self.script(&TTL).arg(&request.key[..])).await?;
        if reply_value == redis::Value::Nil {
            return Ok(GetTtlResponse::default());
        }
        let [bytes, now] = reply::fixed_list(reply_value)?;
        let expiration = parse_expiration(&reply::required_bytes(bytes)?)?;
        let ttl = match expiration {
            Some(expiration) => Some(time::duration((expiration - reply::integer(&now)?).max(1))),
            None => None,
        };
        Ok(GetTtlResponse { found: true, ttl, expire_time: expiration.map(time::timestamp) })
    }

    async fn persist(&self, context: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let reply_value = self.call(context, &self.script(&EXPIRE).arg(&request.key[..]).arg(0)).await?;
        if reply_value == redis::Value::Nil {
            return Ok(PersistResponse::default());
        }
        let [before, _] = reply::fixed_list(reply_value)?;
        let had_expiration = parse_expiration(&reply::required_bytes(before)?)?.is_some();
        Ok(PersistResponse { found: true, had_expiration })
    }
}
