//! `keyvalue_transactional`: the atomic operation. Interactive transactions are in `prism_driver::transactions`.

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
        *self.keyspace.limits()
    }

    async fn get(&self, _: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        self.entry(key).await
    }

    async fn transact(&self, _: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        self.keyspace.write(move |tx, keyspace| run_transaction(tx, keyspace, &request)).await
    }
}

fn run_transaction(tx: &Tx<'_>, keyspace: i64, request: &TransactRequest) -> DatabaseResult<TransactResponse> {
    let mut succeeded = true;
    for condition in &request.conditions {
        succeeded &= condition_holds(tx, keyspace, condition)?;
    }
    let operations = if succeeded { &request.then_operations } else { &request.else_operations };
    let mut response = TransactResponse { succeeded, results: Vec::with_capacity(operations.len()), revision: 0 };
    for operation in operations {
        let outcome = run_operation(tx, keyspace, operation, &mut response.revision)?;
        response.results.push(OperationResult { outcome });
    }
    Ok(response)
}

fn condition_holds(tx: &Tx<'_>, keyspace: i64, condition: &Condition) -> DatabaseResult<bool> {
    let Some(predicate) = &condition.predicate else { return Ok(false) };
    if let Predicate::ValueEquals(_) = predicate {
        let entry = rows::get(tx.connection, keyspace, &condition.key)?;
        return Ok(entry.is_some_and(|entry| holds(predicate, Numbers::default(), Some(&entry.value))));
    }
    let metadata = rows::metadata(tx.connection, keyspace, &condition.key)?;
    Ok(holds(predicate, metadata.map(|metadata| metadata.numbers).unwrap_or_default(), None))
}

/// Runs one operation. `revision` is that of the transaction, or 0 before its first write.
fn run_operation(tx: &Tx<'_>, keyspace: i64, operation: &Operation, revision: &mut u64) -> DatabaseResult<Option<Outcome>> {
    Ok(match &operation.action {
        Some(Action::Set(set)) => {
            // All values that a transaction stores have the same revision.
            if *revision == 0 {
                *revision = unsigned(tx.next_number(keyspace)?);
            }
            let write = Write { key: &set.key, value: &set.value, flags: set.flags, expires: time::expiry(set.ttl.as_ref())? };
            rows::set(tx, keyspace, &write, i64::try_from(*revision).unwrap_or(i64::MAX))?;
            Some(Outcome::Set(SetResult { revision: *revision }))
        }
        Some(Action::Get(get)) => Some(Outcome::Get(GetResult { entry: rows::get(tx.connection, keyspace, &get.key)? })),
        Some(Action::Delete(delete)) => {
            let previous = rows::delete(tx, keyspace, &delete.key)?;
            Some(Outcome::Delete(DeleteResult { deleted: previous.is_some(), previous_revision: previous.map(unsigned) }))
        }
        None => None,
    })
}
