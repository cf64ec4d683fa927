//! `keyvalue_transactional`: one script is the atomic step; what is interactive is shared by all drivers.

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::{Store, TRANSACT, entry, ttl_at};
use crate::{error, reply, script::Invocation};
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
impl AtomicStore for Store {
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
            predicate(&mut call, condition.predicate.as_ref());
        }
        for operations in [&request.then_operations, &request.else_operations] {
            call.push(operations.len());
            for operation in operations {
                push(&mut call, operation)?;
            }
        }
        let mut answer = reply::list(self.call(context, &call).await?)?.into_iter();
        let (Some(held), Some(revision)) = (answer.next(), answer.next()) else { return Err(error::unexpected()) };
        let succeeded = reply::integer(&held)? == 1;
        let revision = reply::some_bytes(revision)?;
        let revision = if revision.is_empty() { 0 } else { reply::number(&revision)? };
        let done = if succeeded { request.then_operations } else { request.else_operations };
        let results =
            done.into_iter().zip(answer).map(|(operation, outcome)| result(operation, outcome, revision)).collect::<Result<_, _>>()?;
        Ok(TransactResponse { succeeded, results, revision })
    }
}

/// What is compared, how, and with what.
fn predicate(call: &mut Invocation, predicate: Option<&Predicate>) {
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
        // A checked request has none of these; it must not hold by mistake.
        None => ("revision", "eq", Vec::new()),
    };
    call.push(fact);
    call.push(test);
    call.push(operand);
}

fn push(call: &mut Invocation, operation: &Operation) -> Result<(), Error> {
    match &operation.action {
        Some(Action::Set(set)) => {
            call.push("s");
            call.push(&set.key[..]);
            call.push(&set.value[..]);
            call.push(ttl_at("ttl", set.ttl.as_ref())?);
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

fn result(operation: Operation, outcome: Value, revision: u64) -> Result<OperationResult, Error> {
    let outcome = match operation.action {
        Some(Action::Set(_)) => Outcome::Set(SetResult { revision }),
        Some(Action::Get(get)) => {
            let entry = reply::bytes(outcome)?.map(|stored| entry(get.key, &stored)).transpose()?;
            Outcome::Get(GetResult { entry })
        }
        Some(Action::Delete(_)) => {
            let previous = reply::some_bytes(outcome)?;
            let previous_revision = if previous.is_empty() { None } else { Some(reply::number(&previous)?) };
            Outcome::Delete(DeleteResult { deleted: previous_revision.is_some(), previous_revision })
        }
        None => return Err(error::unexpected()),
    };
    Ok(OperationResult { outcome: Some(outcome) })
}
