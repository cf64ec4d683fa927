//! Interactive transactions for every key-value driver that can apply a list of operations in one atomic step.
//!
//! They are optimistic: a read remembers the revision that it saw, a write waits in this process, and Commit becomes one
//! [`AtomicStore::transact`] with the reads as conditions and the writes as operations.

mod check;
mod table;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use check::{Numbers, holds, valid};
pub use table::Capacity;
use table::{Ended, Read, Table, Write};

use super::{check as checks, time};
use crate::Limits;
use prism_call::{
    Code, Context, Error,
    proto::models::keyvalue::v1::{
        BeginTransactionRequest, BeginTransactionResponse, CommitRequest, CommitResponse, CommittedWrite, Condition,
        DeleteInTransactionRequest, DeleteInTransactionResponse, DeleteOperation, Entry, GetInTransactionRequest, GetInTransactionResponse,
        KeyValueTransactional, Operation, RollbackRequest, RollbackResponse, SetInTransactionRequest, SetInTransactionResponse,
        SetOperation, TransactRequest, TransactResponse, condition::Predicate, operation::Action,
    },
};

/// What a driver does for [`Transactions`]. One value of it is one keyspace.
#[async_trait]
pub trait AtomicStore: Send + Sync + 'static {
    /// Greatest sizes of keys and values.
    fn limits(&self) -> Limits;

    /// The entry of a key; `None` when it is not there or has expired. The key has been checked.
    async fn get(&self, context: &Context, key: Bytes) -> Result<Option<Entry>, Error>;

    /// As the RPC Transact says. The request has been checked by [`valid`]; what it stores gets one revision.
    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error>;
}

/// `keyvalue_transactional` over an [`AtomicStore`].
///
/// Open transactions live in this process, in a [`Capacity`]; those whose time is over are dropped when others begin or are
/// used, so nothing runs in the background.
pub struct Transactions<S> {
    store: Arc<S>,
    limits: Limits,
    table: Table,
}

impl<S: AtomicStore> Transactions<S> {
    /// With the default capacity.
    pub fn new(store: Arc<S>) -> Self {
        Self::with_capacity(store, Capacity::default())
    }

    /// With another capacity.
    pub fn with_capacity(store: Arc<S>, capacity: Capacity) -> Self {
        Self { limits: store.limits(), store, table: Table::new(capacity) }
    }
}

#[async_trait]
impl<S: AtomicStore> KeyValueTransactional for Transactions<S> {
    async fn begin_transaction(&self, _: &Context, request: BeginTransactionRequest) -> Result<BeginTransactionResponse, Error> {
        let timeout = match &request.timeout {
            Some(timeout) => time::positive("timeout", timeout)?,
            None => table::DEFAULT_TIMEOUT,
        };
        if timeout > table::MAX_TIMEOUT {
            return Err(Error::invalid("timeout", "must be at most five minutes (300s)"));
        }
        let transaction = self.table.begin(timeout)?;
        let expire_time = time::now() + i64::try_from(timeout.as_millis()).unwrap_or(0);
        Ok(BeginTransactionResponse { transaction, expire_time: Some(time::timestamp(expire_time)) })
    }

    async fn get_in_transaction(&self, context: &Context, request: GetInTransactionRequest) -> Result<GetInTransactionResponse, Error> {
        checks::key(&self.limits, &request.key)?;
        let known = self.table.with(&request.transaction, |open| open.read(&request.key))?;
        let entry = match known {
            Read::Known(entry) => entry,
            Read::Unknown => {
                let found = self.store.get(context, request.key.clone()).await?;
                // A read of the same key that ran beside this one and was first decides what all of them answer.
                self.table.change(&request.transaction, |open, room| open.remember(request.key, found, room))?
            }
        };
        Ok(GetInTransactionResponse { entry })
    }

    async fn set_in_transaction(&self, _: &Context, request: SetInTransactionRequest) -> Result<SetInTransactionResponse, Error> {
        checks::key(&self.limits, &request.key)?;
        checks::value(&self.limits, "value", &request.value)?;
        // Only to refuse it now: the time to live begins with the commit.
        time::expiry(request.ttl.as_ref())?;
        let write = Write::Set { value: request.value, ttl: request.ttl, flags: request.flags };
        self.table.change(&request.transaction, |open, room| open.write(request.key, write, room))?;
        Ok(SetInTransactionResponse {})
    }

    async fn delete_in_transaction(&self, _: &Context, request: DeleteInTransactionRequest) -> Result<DeleteInTransactionResponse, Error> {
        checks::key(&self.limits, &request.key)?;
        self.table.change(&request.transaction, |open, room| open.write(request.key, Write::Delete, room))?;
        Ok(DeleteInTransactionResponse {})
    }

    async fn commit(&self, context: &Context, request: CommitRequest) -> Result<CommitResponse, Error> {
        let ended = self.table.end(&request.transaction).ok_or_else(table::not_found)?;
        let stored: Vec<Bytes> =
            ended.writes.iter().filter(|(_, write)| matches!(write, Write::Set { .. })).map(|(key, _)| key.clone()).collect();
        let request = atomic(ended);
        if request.conditions.is_empty() && request.then_operations.is_empty() {
            return Ok(CommitResponse::default());
        }
        let response = self.store.transact(context, request).await?;
        if !response.succeeded {
            return Err(conflict());
        }
        let revision = response.revision;
        Ok(CommitResponse { revision, writes: stored.into_iter().map(|key| CommittedWrite { key, revision }).collect() })
    }

    async fn rollback(&self, _: &Context, request: RollbackRequest) -> Result<RollbackResponse, Error> {
        Ok(RollbackResponse { rolled_back: self.table.end(&request.transaction).is_some() })
    }

    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        valid(&self.limits, &request)?;
        self.store.transact(context, request).await
    }
}

/// `ABORTED TRANSACTION_CONFLICT`
pub fn conflict() -> Error {
    Error::new(
        Code::Aborted,
        "TRANSACTION_CONFLICT",
        "a key that the transaction read has changed since; nothing was applied; begin again and read anew",
    )
}

/// The one step that a commit is: the reads must still hold, then everything is written.
fn atomic(ended: Ended) -> TransactRequest {
    let conditions = ended
        .reads
        .into_iter()
        .map(|(key, entry)| Condition { key, predicate: Some(Predicate::RevisionEquals(entry.map_or(0, |entry| entry.revision))) })
        .collect();
    let then_operations = ended
        .writes
        .into_iter()
        .map(|(key, write)| match write {
            Write::Set { value, ttl, flags } => Action::Set(SetOperation { key, value, ttl, flags }),
            Write::Delete => Action::Delete(DeleteOperation { key }),
        })
        .map(|action| Operation { action: Some(action) })
        .collect();
    TransactRequest { conditions, then_operations, else_operations: Vec::new() }
}
