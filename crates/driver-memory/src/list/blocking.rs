//! `list_blocking`

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Lists, waiters::Waiter};
use crate::state::SubscriptionPermit;
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        BlockingPopLeftRequest, BlockingPopLeftResponse, BlockingPopRightRequest, BlockingPopRightResponse, Element, ListBlocking,
    },
};
use prism_driver::{
    list::{End, too_many_waiters, wait_time, waiting_keys},
    lock::lock,
};

/// How long before the deadline of the call a wait ends.
const MARGIN: Duration = Duration::from_millis(20);

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
        let mut waiting = {
            let mut state = self.state()?;
            for key in &keys {
                if let Some(value) = state.pop_one(key, end) {
                    return Ok(Some(Element { key: key.clone(), value }));
                }
            }
            if wait.is_zero() {
                return Ok(None);
            }
            let limit = self.shared.settings.max_subscriptions.to_usize();
            let permit = self.shared.subscription_permit().map_err(|_| too_many_waiters(limit, "max_subscriptions"))?;
            // Copies: the bytes of the request may be small parts of a large buffer.
            let keys = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
            let (sender, receiver) = oneshot::channel();
            let number = state.waiters.add(Waiter { keys, end, sender });
            WaitingCall { lists: self, number, end, receiver, _permit: permit }
        };
        tokio::select! {
            biased;
            element = &mut waiting.receiver => Ok(element.ok()),
            () = tokio::time::sleep(wait) => Ok(waiting.finish()),
            closed = self.shared.wait_until_closed() => Err(closed),
        }
    }
}

/// A call that waits. An element that it did not take goes back to its list when the call is dropped.
struct WaitingCall<'a> {
    lists: &'a Lists,
    number: u64,
    end: End,
    receiver: oneshot::Receiver<Element>,
    _permit: SubscriptionPermit,
}

impl WaitingCall<'_> {
    /// Ends the wait. Returns an element that came at the last moment.
    fn finish(&mut self) -> Option<Element> {
        // Under the lock, because a push sends elements under it.
        lock(&self.lists.state).waiters.remove(self.number);
        self.receiver.try_recv().ok()
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.lists.state);
        state.waiters.remove(self.number);
        if let Ok(element) = self.receiver.try_recv() {
            let key = element.key.clone();
            state.put_back(element, self.end);
            state.serve(&key);
        }
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
