//! The atomic step behind `keyvalue_transactional`; open transactions are the shared [`Transactions`].
//!
//! [`Transactions`]: prism_driver::transactions::Transactions

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    KeyValue,
    rows::{self, Write, unsigned},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        Condition, DeleteResult, Entry, GetResult, Operation, OperationResult, SetResult, TransactRequest, TransactResponse,
        condition::Predicate, operation::Action, operation_result::Outcome,
    },
};
use prism_driver::{
    Limits, time,
    transactions::{AtomicStore, Numbers, holds},
};

#[async_trait]
impl AtomicStore for KeyValue {
    fn limits(&self) -> Limits {
        *self.space.limits()
    }

    async fn get(&self, _: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        self.entry(key).await
    }

    async fn transact(&self, _: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        self.space.write(move |tx, space| run(tx, space, &request)).await
    }
}

fn run(tx: &Tx<'_>, space: i64, request: &TransactRequest) -> DatabaseResult<TransactResponse> {
    let mut succeeded = true;
    for condition in &request.conditions {
        succeeded &= check(tx, space, condition)?;
    }
    let operations = if succeeded { &request.then_operations } else { &request.else_operations };
    let mut response = TransactResponse { succeeded, results: Vec::with_capacity(operations.len()), revision: 0 };
    for operation in operations {
        let outcome = step(tx, space, operation, &mut response.revision)?;
        response.results.push(OperationResult { outcome });
    }
    Ok(response)
}

fn check(tx: &Tx<'_>, space: i64, condition: &Condition) -> DatabaseResult<bool> {
    let Some(predicate) = &condition.predicate else { return Ok(false) };
    if let Predicate::ValueEquals(_) = predicate {
        let entry = rows::get(tx.connection, space, &condition.key)?;
        return Ok(entry.is_some_and(|entry| holds(predicate, Numbers::default(), Some(&entry.value))));
    }
    let head = rows::head(tx.connection, space, &condition.key)?;
    Ok(holds(predicate, head.map(|head| head.numbers).unwrap_or_default(), None))
}

fn step(tx: &Tx<'_>, space: i64, operation: &Operation, revision: &mut u64) -> DatabaseResult<Option<Outcome>> {
    Ok(match &operation.action {
        Some(Action::Set(set)) => {
            // All that one transaction stores has the same revision.
            if *revision == 0 {
                *revision = unsigned(tx.next_number(space)?);
            }
            let write = Write { key: &set.key, value: &set.value, flags: set.flags, expires: time::expiry(set.ttl.as_ref())? };
            rows::set(tx, space, &write, i64::try_from(*revision).unwrap_or(i64::MAX))?;
            Some(Outcome::Set(SetResult { revision: *revision }))
        }
        Some(Action::Get(get)) => Some(Outcome::Get(GetResult { entry: rows::get(tx.connection, space, &get.key)? })),
        Some(Action::Delete(delete)) => {
            let previous = rows::delete(tx, space, &delete.key)?;
            Some(Outcome::Delete(DeleteResult { deleted: previous.is_some(), previous_revision: previous.map(unsigned) }))
        }
        None => None,
    })
}
