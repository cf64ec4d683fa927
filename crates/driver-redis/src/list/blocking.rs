//! `list_blocking`: Redis keeps the order of the calls that wait, also across gateways.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lists, POP_FIRST, pop_command};
use crate::{
    error::{self, name_wrong_type},
    reply,
};
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        BlockingPopLeftRequest, BlockingPopLeftResponse, BlockingPopRightRequest, BlockingPopRightResponse, Element, ListBlocking,
    },
};
use prism_driver::list::{End, too_many_waiters, wait_time, waiting_keys};

/// How long before the deadline of the call a wait ends. Redis ends a wait up to 100 ms late.
const MARGIN: Duration = Duration::from_millis(250);

impl Lists {
    async fn blocking_pop(
        &self,
        context: &Context,
        keys: Vec<Bytes>,
        wait: Option<&prost_types::Duration>,
        end: End,
    ) -> Result<Option<Element>, Error> {
        let keys = waiting_keys(&self.limits, keys)?;
        let wait = wait_time(context, wait, MARGIN)?;
        let redis_keys: Vec<Vec<u8>> = keys.iter().map(|key| self.list_key(key)).collect();
        // An element that is there needs no connection of its own.
        let call = POP_FIRST.call(&redis_keys.iter().map(Vec::as_slice).collect::<Vec<_>>()).arg(pop_command(end));
        let mut found = reply::list(self.call(context, &call).await?)?.into_iter();
        if let (Some(number), Some(value)) = (found.next(), found.next()) {
            let key = usize::try_from(reply::count(&number)?).ok().and_then(|number| keys.get(number.checked_sub(1)?));
            let key = key.ok_or_else(error::unexpected_reply)?.clone();
            return Ok(Some(Element { key, value: reply::required_bytes(value)? }));
        }
        if wait.is_zero() {
            return Ok(None);
        }
        let mut command = redis::cmd(match end {
            End::Left => "BLPOP",
            End::Right => "BRPOP",
        });
        // Redis would take a time of 0 for no limit.
        command.arg(&redis_keys).arg(wait.as_secs_f64().max(0.001));
        let reply = self.blocking.run(&command, wait).await.map_err(name_wrong_type)?;
        let reply = reply.ok_or_else(|| too_many_waiters(self.blocking.limit(), "waiting_connections"))?;
        let mut items = reply::list(reply)?.into_iter();
        let (Some(key), Some(value)) = (items.next(), items.next()) else { return Ok(None) };
        let redis_key = reply::required_bytes(key)?;
        let at = redis_keys.iter().position(|key| *key == redis_key).ok_or_else(error::unexpected_reply)?;
        Ok(Some(Element { key: keys[at].clone(), value: reply::required_bytes(value)? }))
    }
}

#[async_trait]
impl ListBlocking for Lists {
    async fn blocking_pop_left(&self, context: &Context, request: BlockingPopLeftRequest) -> Result<BlockingPopLeftResponse, Error> {
        let element = self.blocking_pop(context, request.keys, request.wait.as_ref(), End::Left).await?;
        Ok(BlockingPopLeftResponse { element })
    }

    async fn blocking_pop_right(&self, context: &Context, request: BlockingPopRightRequest) -> Result<BlockingPopRightResponse, Error> {
        let element = self.blocking_pop(context, request.keys, request.wait.as_ref(), End::Right).await?;
        Ok(BlockingPopRightResponse { element })
    }
}
