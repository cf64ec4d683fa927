//! `list_blocking`: a call that finds no element adds itself to the table of waiting calls. A push wakes the calls that wait for its list,
//! and the one that has waited longest takes an element.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::select_all;
use tokio::time::{Instant, timeout_at};

use super::{
    Lists, rows,
    waiters::{self, CallId},
};
use crate::{
    error::DatabaseResult,
    keyspace::KeyspaceHandle,
    pop_queue::QueuedPop,
    signals::{Topic, Waiter},
    writer::Tx,
};
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        BlockingPopLeftRequest, BlockingPopLeftResponse, BlockingPopRightRequest, BlockingPopRightResponse, Element, ListBlocking,
    },
};
use prism_driver::list::{End, wait_time, waiting_keys};

/// How long before the deadline of the call a wait ends.
const MARGIN: Duration = Duration::from_millis(100);
/// How often a call looks for an element without a signal: nobody signals that a gateway with older calls has crashed.
const RECHECK: Duration = Duration::from_secs(2);
/// The pause between two attempts to remove a call from the table.
const REMOVE_PAUSE: Duration = Duration::from_secs(1);

impl Lists {
    async fn blocking_pop(
        &self,
        context: &Context,
        keys: Vec<Bytes>,
        wait: Option<&prost_types::Duration>,
        end: End,
    ) -> Result<Option<Element>, Error> {
        let keys: Arc<[Bytes]> = waiting_keys(self.keyspace.limits(), keys)?.into();
        let wait = wait_time(context, wait, MARGIN)?;
        let deadline = Instant::now() + wait;
        if let Some(element) = self.pop_first(&keys, end).await? {
            return Ok(Some(element));
        }
        if wait.is_zero() {
            return Ok(None);
        }
        // If the time ends before that, the call is removed from the table later.
        let queued = self.keyspace.queue_pop(&keys)?;
        let Ok(call) = timeout_at(deadline, WaitingCall::start(&self.keyspace, &keys, queued)).await else {
            return self.pop_first(&keys, end).await;
        };
        let mut call = call?;
        loop {
            if let Some(element) = call.pop(end).await? {
                return Ok(Some(element));
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break;
            }
            let signals = select_all(call.signals.iter_mut().map(|signal| Box::pin(signal.changed())));
            tokio::select! {
                _ = signals => {}
                () = tokio::time::sleep(remaining.min(RECHECK)) => {}
            }
        }
        drop(call);
        // Calls that have waited longer may be gone. An element that is there counts more than their order.
        self.pop_first(&keys, end).await
    }

    /// Takes an element of the first list that has one.
    async fn pop_first(&self, keys: &Arc<[Bytes]>, end: End) -> Result<Option<Element>, Error> {
        let searched = keys.clone();
        let find = self.keyspace.quick(move |connection, keyspace| {
            for key in searched.iter() {
                if rows::find(connection, keyspace, key)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        if !find.await? {
            return Ok(None);
        }
        let keys = keys.clone();
        let write = self.keyspace.remove(move |tx, keyspace| {
            for key in keys.iter() {
                if let Some(value) = rows::pop(tx, keyspace, key, 1, end)?.pop() {
                    return Ok(Some(Element { key: key.clone(), value }));
                }
            }
            Ok(None)
        });
        write.await
    }
}

/// A call in the table of waiting calls. It is removed from the table when it is dropped.
struct WaitingCall {
    keyspace: Arc<KeyspaceHandle>,
    keys: Arc<[Bytes]>,
    id: CallId,
    signals: Vec<Waiter>,
    /// The call in the queue of this process; `None` when it is in the table no longer.
    queued: Option<QueuedPop>,
}

impl WaitingCall {
    async fn start(keyspace: &Arc<KeyspaceHandle>, keys: &Arc<[Bytes]>, queued: QueuedPop) -> Result<Self, Error> {
        let (keyspace, keys, id) = (keyspace.clone(), keys.clone(), CallId { number: queued.number, gateway: keyspace.gateway() });
        // A task of its own: if the caller leaves before the call is in the table, it is nevertheless removed.
        let start = tokio::spawn(async move {
            let added = keys.clone();
            keyspace.write(move |tx, keyspace| waiters::add(tx, keyspace, &added, id)).await?;
            let mut call = Self { keyspace, keys, id, signals: Vec::new(), queued: Some(queued) };
            for key in call.keys.iter() {
                call.signals.push(call.keyspace.wait(|keyspace| Topic::List(keyspace, key[..].into())).await?);
            }
            Ok::<_, Error>(call)
        });
        start.await.map_err(|error| Error::internal("a call that waits for a list was interrupted").with_source(error))?
    }

    /// Takes an element if it is the turn of this call.
    async fn pop(&mut self, end: End) -> Result<Option<Element>, Error> {
        let (keys, id): (Arc<[Bytes]>, _) = (self.queued.as_ref().map_or_else(Vec::new, QueuedPop::next_keys).into(), self.id);
        if keys.is_empty() {
            return Ok(None);
        }
        let searched = keys.clone();
        let find = self.keyspace.quick(move |connection, keyspace| waiters::next_list(connection, keyspace, id, &searched));
        if find.await?.is_none() {
            return Ok(None);
        }
        let all = self.keys.clone();
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(key) = waiters::next_list(tx.connection, keyspace, id, &keys)? else { return Ok(None) };
            let Some(value) = rows::pop(tx, keyspace, &key, 1, end)?.pop() else { return Ok(None) };
            leave(tx, keyspace, id, &all)?;
            Ok(Some(Element { key, value }))
        });
        let element = write.await?;
        if element.is_some() {
            self.queued = None;
            self.wake_next();
        }
        Ok(element)
    }

    /// Wakes the calls of this process that wait for the same lists. The signals of the transaction came before this call left the queue.
    fn wake_next(&self) {
        for signal in &self.signals {
            signal.send();
        }
    }
}

/// Removes a call, and wakes the next ones of all processes.
fn leave(tx: &Tx<'_>, keyspace: i64, call: CallId, keys: &[Bytes]) -> DatabaseResult<()> {
    waiters::remove(tx, call)?;
    for key in keys {
        if rows::find(tx.connection, keyspace, key)?.is_some() {
            rows::signal(tx, keyspace, key);
        }
    }
    Ok(())
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        if let Some(queued) = self.queued.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (keyspace, keys, id) = (self.keyspace.clone(), self.keys.clone(), self.id);
            let permit = queued.leave();
            self.wake_next();
            runtime.spawn(async move {
                // Calls of other gateways that came later wait until it is removed.
                let remove = || {
                    let keys = keys.clone();
                    keyspace.remove(move |tx, keyspace| leave(tx, keyspace, id, &keys))
                };
                while remove().await.is_err() && !keyspace.is_closed() {
                    tokio::time::sleep(REMOVE_PAUSE).await;
                }
                drop(permit);
            });
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
