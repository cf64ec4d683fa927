//! `keyvalue_transactional`: one script is the atomic operation. Interactive transactions are in `prism_driver::transactions`.

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::{KeyValue, TRANSACT, parse_entry, ttl_millis};
use crate::{error, reply, script::ScriptCall};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteResult, Entry, GetResult, Operation, OperationResult, SetResult, TransactRequest, TransactResponse,
        comparison::{Fact, Operator},
        condition::Predicate,
        operation::Action,
        operation_result::Outcome,
    },
};
use prism_driver::{Limits, transactions::AtomicStore};

#[async_trait]
impl AtomicStore for KeyValue {
    fn limits(&self) -> Limits {
        self.limits
    }

    async fn get(&self, context: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        self.read(context, key).await
    }

    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        let mut call = self.script(&TRANSACT).arg(request.conditions.len());
        for condition in &request.conditions {
            call.push(&condition.key[..]);
            push_predicate(&mut call, condition.predicate.as_ref());
        }
        for operations in [&request.then_operations, &request.else_operations] {
            call.push(operations.len());
            for operation in operations {
                push_operation(&mut call, operation)?;
            }
        }
        let mut items = reply::list(self.call(context, &call).await?)?.into_iter();
        let (Some(succeeded), Some(revision)) = (items.next(), items.next()) else { return Err(error::unexpected_reply()) };
        let succeeded = reply::integer(&succeeded)? == 1;
        let revision = reply::required_bytes(revision)?;
        let revision = if revision.is_empty() { 0 } else { reply::big_endian(&revision)? };
        let operations = if succeeded { request.then_operations } else { request.else_operations };
        let results = operations
            .into_iter()
            .zip(items)
            .map(|(operation, outcome)| operation_result(operation, outcome, revision))
            .collect::<Result<_, _>>()?;
        Ok(TransactResponse { succeeded, results, revision })
    }
}

/// Adds a condition to the arguments of the script: the fact, the test and the operand.
fn push_predicate(call: &mut ScriptCall, predicate: Option<&Predicate>) {
    let number = |test, number: &u64| ("revision", test, number.to_be_bytes().to_vec());
    let (fact, test, operand) = match predicate {
        Some(Predicate::Exists(exists)) => ("revision", "exists", if *exists { b"1".to_vec() } else { b"0".to_vec() }),
        Some(Predicate::RevisionEquals(revision)) => number("eq", revision),
        Some(Predicate::RevisionNotEquals(revision)) => number("ne", revision),
        Some(Predicate::RevisionLessThan(revision)) => number("lt", revision),
        Some(Predicate::RevisionGreaterThan(revision)) => number("gt", revision),
        Some(Predicate::Compare(comparison)) => {
            let fact = match comparison.fact() {
                Fact::Unspecified | Fact::Revision => "revision",
                Fact::CreateRevision => "create_revision",
                Fact::Version => "version",
            };
            let test = match comparison.operator() {
                Operator::Unspecified | Operator::Equal => "eq",
                Operator::NotEqual => "ne",
                Operator::Less => "lt",
                Operator::Greater => "gt",
            };
            (fact, test, comparison.number.to_be_bytes().to_vec())
        }
        Some(Predicate::ValueEquals(value)) => {
            call.push("value");
            call.push("eq");
            return call.push(&value[..]);
        }
        // A checked request always has a predicate. This one never holds.
        None => ("revision", "eq", Vec::new()),
    };
    call.push(fact);
    call.push(test);
    call.push(operand);
}

/// Adds an operation to the arguments of the script.
fn push_operation(call: &mut ScriptCall, operation: &Operation) -> Result<(), Error> {
    match &operation.action {
        Some(Action::Set(set)) => {
            call.push("s");
            call.push(&set.key[..]);
            call.push(&set.value[..]);
            call.push(ttl_millis("ttl", set.ttl.as_ref())?);
            call.push(&set.flags.to_be_bytes()[..]);
        }
        Some(Action::Get(get)) => {
            call.push("g");
            call.push(&get.key[..]);
        }
        Some(Action::Delete(delete)) => {
            call.push("d");
            call.push(&delete.key[..]);
        }
        None => return Err(Error::invalid("action", "must be set, delete or get")),
    }
    Ok(())
}

/// Decodes the outcome of an operation.
fn operation_result(operation: Operation, outcome: Value, revision: u64) -> Result<OperationResult, Error> {
    let outcome = match operation.action {
        Some(Action::Set(_)) => Outcome::Set(SetResult { revision }),
        Some(Action::Get(get)) => {
            let entry = reply::bytes(outcome)?.map(|stored| parse_entry(get.key, &stored)).transpose()?;
            Outcome::Get(GetResult { entry })
        }
        Some(Action::Delete(_)) => {
            let previous = reply::required_bytes(outcome)?;
            let previous_revision = if previous.is_empty() { None } else { Some(reply::big_endian(&previous)?) };
            Outcome::Delete(DeleteResult { deleted: previous_revision.is_some(), previous_revision })
        }
        None => return Err(error::unexpected_reply()),
    };
    Ok(OperationResult { outcome: Some(outcome) })
}
