//! `keyvalue_ttl`

use async_trait::async_trait;

use super::{EntryMap, KeyValue};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        ExpireRequest, ExpireResponse, GetTtlRequest, GetTtlResponse, KeyValueTtl, PersistRequest, PersistResponse,
    },
};
use prism_driver::{
    check,
    keyvalue::required_expiry,
    time::{self, Millis},
};

#[async_trait]
impl KeyValueTtl for KeyValue {
    async fn expire(&self, _: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let expires = required_expiry(request.ttl.as_ref())?;
        let now = time::now();
        let found = self.write(now)?.change_expiration(&request.key, Some(expires), now).is_some();
        Ok(ExpireResponse { found, expire_time: found.then(|| time::timestamp(expires)) })
    }

    async fn get_ttl(&self, _: &Context, request: GetTtlRequest) -> Result<GetTtlResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let now = time::now();
        Ok(match self.read()?.live(&request.key, now) {
            None => GetTtlResponse::default(),
            Some(stored) => GetTtlResponse {
                found: true,
                ttl: stored.metadata.expires.map(|expires| time::duration(expires - now)),
                expire_time: stored.metadata.expires.map(time::timestamp),
            },
        })
    }

    async fn persist(&self, _: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let now = time::now();
        let earlier = self.write(now)?.change_expiration(&request.key, None, now);
        Ok(PersistResponse { found: earlier.is_some(), had_expiration: earlier == Some(true) })
    }
}

impl EntryMap {
    /// Changes when a key expires, and returns whether it had an expiration; `None` if the key does not exist.
    fn change_expiration(&mut self, key: &[u8], expires: Option<Millis>, now: Millis) -> Option<bool> {
        let own = self.entries.get_key_value(key).filter(|(_, stored)| stored.is_live(now))?.0.clone();
        let stored = self.entries.get_mut(key)?;
        let earlier = std::mem::replace(&mut stored.metadata.expires, expires);
        self.remove_expiration(own.clone(), earlier);
        if let Some(expires) = expires {
            self.expiring.insert((expires, own));
        }
        Some(earlier.is_some())
    }
}
