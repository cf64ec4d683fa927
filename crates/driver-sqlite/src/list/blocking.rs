//! `list_blocking`: a call that finds no element adds itself to the table of waiting calls. A push wakes the calls that wait for its list,
//! and the one that has waited longest takes an element.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::select_all;
use tokio::sync::OwnedSemaphorePermit;

use super::{Lists, rows, waiters};
use crate::{
    error::DatabaseResult,
    keyspace::KeyspaceHandle,
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
        let mut call = WaitingCall::start(&self.keyspace, &keys).await?;
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
        call.end().await?;
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
    number: i64,
    signals: Vec<Waiter>,
    is_removed: bool,
    /// Given back when the call is removed from the table.
    permit: Option<OwnedSemaphorePermit>,
}

impl WaitingCall {
    async fn start(keyspace: &Arc<KeyspaceHandle>, keys: &Arc<[Bytes]>) -> Result<Self, Error> {
        let permit = keyspace.waiting_pop_permit()?;
        let mut signals = Vec::with_capacity(keys.len());
        for key in keys.iter() {
            signals.push(keyspace.wait(|keyspace| Topic::List(keyspace, key[..].into())).await?);
        }
        // A task of its own: if the caller leaves before the number is known, the call is nevertheless removed.
        let (owner, waited) = (keyspace.clone(), keys.clone());
        let start = tokio::spawn(async move {
            let (gateway, added) = (owner.gateway(), waited.clone());
            let number = owner.write(move |tx, keyspace| waiters::add(tx, keyspace, &added, gateway)).await?;
            Ok::<_, Error>(Self { keyspace: owner, keys: waited, number, signals, is_removed: false, permit: Some(permit) })
        });
        start.await.map_err(|error| Error::internal("a call that waits for a list was interrupted").with_source(error))?
    }

    /// Takes an element if it is the turn of this call.
    async fn pop(&mut self, end: End) -> Result<Option<Element>, Error> {
        let (keys, number) = (self.keys.clone(), self.number);
        let is_next = self.keyspace.quick(move |connection, keyspace| waiters::next_list(connection, keyspace, number, &keys));
        if is_next.await?.is_none() {
            return Ok(None);
        }
        let keys = self.keys.clone();
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(key) = waiters::next_list(tx.connection, keyspace, number, &keys)? else { return Ok(None) };
            let Some(value) = rows::pop(tx, keyspace, &key, 1, end)?.pop() else { return Ok(None) };
            leave(tx, keyspace, number, &keys)?;
            Ok(Some(Element { key, value }))
        });
        let element = write.await?;
        self.is_removed = element.is_some();
        Ok(element)
    }

    /// Removes the call from the table.
    async fn end(&mut self) -> Result<(), Error> {
        remove(&self.keyspace, &self.keys, self.number).await?;
        self.is_removed = true;
        Ok(())
    }
}

/// Removes a call, and wakes the next ones.
fn leave(tx: &Tx<'_>, keyspace: i64, number: i64, keys: &[Bytes]) -> DatabaseResult<()> {
    waiters::remove(tx, keyspace, number)?;
    for key in keys {
        if rows::find(tx.connection, keyspace, key)?.is_some() {
            rows::signal(tx, keyspace, key);
        }
    }
    Ok(())
}

async fn remove(keyspace: &Arc<KeyspaceHandle>, keys: &Arc<[Bytes]>, number: i64) -> Result<(), Error> {
    let keys = keys.clone();
    keyspace.remove(move |tx, keyspace| leave(tx, keyspace, number, &keys)).await
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        if !self.is_removed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (keyspace, keys, number, permit) = (self.keyspace.clone(), self.keys.clone(), self.number, self.permit.take());
            runtime.spawn(async move {
                // Calls behind this one wait until it is removed.
                while remove(&keyspace, &keys, number).await.is_err() && !keyspace.is_closed() {
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
