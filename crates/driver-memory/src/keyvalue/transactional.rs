//! `keyvalue_transactional`: the atomic operation. Interactive transactions are in `prism_driver::transactions`.

use async_trait::async_trait;
use bytes::Bytes;

use super::{EntryMap, KeyValue, Write};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        Condition, DeleteResult, Entry, GetResult, Operation, OperationResult, SetResult, TransactRequest, TransactResponse,
        operation::Action, operation_result::Outcome,
    },
};
use prism_driver::{
    Limits,
    time::{self, Millis},
    transactions::{self, AtomicStore},
};

#[async_trait]
impl AtomicStore for KeyValue {
    fn limits(&self) -> Limits {
        self.limits
    }

    async fn get(&self, _: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        Ok(self.read()?.live(&key, time::now()).map(|stored| stored.to_entry(key)))
    }

    async fn transact(&self, _: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        // Both lists are prepared before the lock is taken; requests are small, and most have only one list.
        let (then_writes, else_writes) = (writes(&request.then_operations)?, writes(&request.else_operations)?);
        let now = time::now();
        let mut map = self.write(now)?;
        let succeeded = request.conditions.iter().all(|condition| map.holds(condition, now));
        let (operations, writes) = if succeeded { (request.then_operations, then_writes) } else { (request.else_operations, else_writes) };
        map.reserve(&self.shared, &writes, now)?;
        let stores = writes.iter().any(|write| write.value.is_some());
        let revision = if stores { map.next_revision() } else { 0 };
        let mut writes = writes.into_iter();
        let results =
            operations.into_iter().map(|operation| OperationResult { outcome: map.run(operation, &mut writes, revision, now) }).collect();
        Ok(TransactResponse { succeeded, results, revision })
    }
}

/// The writes among the operations, in the same order.
fn writes(operations: &[Operation]) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for operation in operations {
        match &operation.action {
            Some(Action::Set(set)) => writes.push(Write::set(&set.key, &set.value, set.flags, time::expiry(set.ttl.as_ref())?)),
            Some(Action::Delete(delete)) => writes.push(Write::delete(delete.key.clone())),
            Some(Action::Get(_)) | None => {}
        }
    }
    Ok(writes)
}

impl EntryMap {
    fn holds(&self, condition: &Condition, now: Millis) -> bool {
        let stored = self.live(&condition.key, now);
        let (numbers, value) = (stored.map(|stored| stored.metadata.numbers).unwrap_or_default(), stored.map(|stored| &stored.value[..]));
        condition.predicate.as_ref().is_some_and(|predicate| transactions::holds(predicate, numbers, value))
    }

    /// Runs one operation. A set or a delete takes its write from `writes`.
    fn run(&mut self, operation: Operation, writes: &mut impl Iterator<Item = Write>, revision: u64, now: Millis) -> Option<Outcome> {
        Some(match operation.action? {
            Action::Get(get) => Outcome::Get(GetResult { entry: self.live(&get.key, now).map(|stored| stored.to_entry(get.key)) }),
            Action::Set(_) => {
                self.apply(writes.next()?, revision, now);
                Outcome::Set(SetResult { revision })
            }
            Action::Delete(_) => {
                let removed = self.apply(writes.next()?, 0, now).filter(|stored| stored.is_live(now));
                Outcome::Delete(DeleteResult {
                    deleted: removed.is_some(),
                    previous_revision: removed.map(|stored| stored.metadata.numbers.revision),
                })
            }
        })
    }
}
