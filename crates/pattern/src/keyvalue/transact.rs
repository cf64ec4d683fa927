//! Transactions: converts requests and results between the pattern and `keyvalue_transactional`.

use bytes::Bytes;

use super::{KeyValue, MAX_TRANSACTION_OPERATIONS, batch};
use crate::{
    empty_slot,
    outbox::{self, TransactionStamp},
};
use prism_call::{
    Context, Error,
    proto::{
        messaging::v1::OutboxEntry,
        models::keyvalue::v1::{
            self as model, DeleteOperation, GetOperation, Operation, OperationResult, SetOperation, SetRequest, condition::Predicate,
            operation::Action, operation_result::Outcome,
        },
        patterns::keyvalue::v1::{
            AcceptedMessage, Comparison, Condition, OutboxMessage, RemoveResponse, StoreResponse, TransactOperation, TransactRequest,
            TransactResponse,
            comparison::{Fact, Operator},
            condition::Test,
            transact_operation, transact_response,
        },
    },
};
use prism_slot::check;

pub(super) async fn transact(pattern: &KeyValue, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
    let interface = pattern.require(pattern.transactional.as_ref(), "Transact", "keyvalue_transactional")?;
    check_length("conditions", request.conditions.len())?;
    let conditions = request.conditions.into_iter().enumerate();
    let conditions = conditions.map(|(index, condition)| convert_condition(pattern, index, condition)).collect::<Result<_, _>>()?;
    let stamp = TransactionStamp::new();
    let then_list = OperationList::new(pattern, "then_operations", request.then_operations, &stamp)?;
    let else_list = OperationList::new(pattern, "else_operations", request.else_operations, &stamp)?;
    let messages = then_list.messages.max(else_list.messages);
    // It ends with the transaction, also if that is cancelled.
    let _reservation = match &pattern.outbox {
        Some(outbox) if messages > 0 => Some(outbox.reserve(context, messages).await?),
        _ => None,
    };
    let request = model::TransactRequest { conditions, then_operations: then_list.operations, else_operations: else_list.operations };
    let done = interface.transact(context, request).await?;
    let expected = if done.succeeded { then_list.results } else { else_list.results };
    let results = done.results.into_iter().zip(expected).map(|(one, expected)| convert_result(one, expected)).collect::<Result<_, _>>()?;
    Ok(TransactResponse { succeeded: done.succeeded, results, revision: done.revision })
}

fn check_length(field: &str, items: usize) -> Result<(), Error> {
    if items > MAX_TRANSACTION_OPERATIONS as usize {
        return Err(Error::invalid(field, format!("has {items} items; at most {MAX_TRANSACTION_OPERATIONS} are allowed"))
            .with_reason("BATCH_SIZE")
            .with("limit", MAX_TRANSACTION_OPERATIONS.to_string()));
    }
    Ok(())
}

fn convert_condition(pattern: &KeyValue, index: usize, condition: Condition) -> Result<model::Condition, Error> {
    let key = pattern.check_key(format_args!("conditions[{index}].key"), condition.key)?;
    let predicate = match condition.test {
        Some(Test::Revision(revision)) => Predicate::RevisionEquals(revision),
        Some(Test::Exists(exists)) => Predicate::Exists(exists),
        Some(Test::Value(value)) => Predicate::ValueEquals(value),
        Some(Test::RevisionNot(revision)) => Predicate::RevisionNotEquals(revision),
        Some(Test::RevisionBelow(revision)) => Predicate::RevisionLessThan(revision),
        Some(Test::RevisionAbove(revision)) => Predicate::RevisionGreaterThan(revision),
        Some(Test::Compare(comparison)) => Predicate::Compare(convert_comparison(index, comparison)?),
        None => {
            return Err(Error::invalid(
                format!("conditions[{index}]"),
                "must have one of revision, exists, value, revision_not, revision_below, revision_above, compare",
            ));
        }
    };
    Ok(model::Condition { key, predicate: Some(predicate) })
}

/// Converts a comparison to the type of the interface.
fn convert_comparison(index: usize, comparison: Comparison) -> Result<model::Comparison, Error> {
    let unknown = |field: &str, known: &str| Error::invalid(format!("conditions[{index}].compare.{field}"), format!("must be {known}"));
    let fact = match Fact::try_from(comparison.fact) {
        Ok(Fact::Unspecified | Fact::Revision) => model::comparison::Fact::Revision,
        Ok(Fact::CreateRevision) => model::comparison::Fact::CreateRevision,
        Ok(Fact::Version) => model::comparison::Fact::Version,
        Err(_) => return Err(unknown("fact", "FACT_REVISION, FACT_CREATE_REVISION or FACT_VERSION")),
    };
    let operator = match Operator::try_from(comparison.operator) {
        Ok(Operator::Unspecified | Operator::Equal) => model::comparison::Operator::Equal,
        Ok(Operator::NotEqual) => model::comparison::Operator::NotEqual,
        Ok(Operator::Less) => model::comparison::Operator::Less,
        Ok(Operator::Greater) => model::comparison::Operator::Greater,
        Err(_) => return Err(unknown("operator", "OPERATOR_EQUAL, OPERATOR_NOT_EQUAL, OPERATOR_LESS or OPERATOR_GREATER")),
    };
    Ok(model::Comparison { fact: fact.into(), operator: operator.into(), number: comparison.number })
}

/// One list of operations as the driver takes it.
struct OperationList {
    operations: Vec<Operation>,
    /// For each operation, what its result needs beside that of the driver.
    results: Vec<Expected>,
    /// Number of messages to publish.
    messages: usize,
}

/// What the result of an operation needs beside that of the driver.
enum Expected {
    /// It is a write of a client.
    Write,
    /// It is a read of this key, which the driver's result lacks if the key does not exist.
    Read(Bytes),
    /// It stores a message with this id.
    Message(String),
}

impl OperationList {
    fn new(pattern: &KeyValue, field: &str, steps: Vec<TransactOperation>, stamp: &TransactionStamp) -> Result<Self, Error> {
        check_length(field, steps.len())?;
        let mut list = Self { operations: Vec::with_capacity(steps.len()), results: Vec::with_capacity(steps.len()), messages: 0 };
        for (index, step) in steps.into_iter().enumerate() {
            let mut expected = Expected::Write;
            let action = match step.operation {
                Some(transact_operation::Operation::Store(store)) => {
                    let SetRequest { key, value, ttl, flags } =
                        pattern.check_store("Transact", format_args!("{field}[{index}].store."), store)?;
                    Action::Set(SetOperation { key, value, ttl, flags })
                }
                Some(transact_operation::Operation::Retrieve(retrieve)) => {
                    let key = pattern.check_key(format_args!("{field}[{index}].retrieve.key"), retrieve.key)?;
                    expected = Expected::Read(key.clone());
                    Action::Get(GetOperation { key })
                }
                Some(transact_operation::Operation::Remove(remove)) => {
                    Action::Delete(DeleteOperation { key: pattern.check_key(format_args!("{field}[{index}].remove.key"), remove.key)? })
                }
                Some(transact_operation::Operation::Publish(message)) => {
                    let outbox =
                        pattern.outbox.as_ref().ok_or_else(|| empty_slot("Transact with `publish`", outbox::SLOT, "stream_basic"))?;
                    let OutboxMessage { topic, key, payload, headers, id } = message;
                    let entry = OutboxEntry { topic, key, payload, headers, id };
                    let (store, id) = outbox.store(&format!("{field}[{index}].publish."), stamp, list.messages, entry)?;
                    list.messages += 1;
                    expected = Expected::Message(id);
                    Action::Set(store)
                }
                None => return Err(Error::invalid(format!("{field}[{index}]"), "must have one of store, retrieve, remove, publish")),
            };
            list.results.push(expected);
            list.operations.push(Operation { action: Some(action) });
        }
        // `distinct` counts writes only, so its index is converted to the index of the operation.
        let writes = || list.operations.iter().enumerate().filter_map(|(index, operation)| Some((index, written_key(operation)?)));
        check::distinct(writes().map(|(_, (key, _))| key), |write| {
            writes().nth(write).map_or_else(|| field.to_owned(), |(index, (_, kind))| format!("{field}[{index}].{kind}.key"))
        })?;
        Ok(list)
    }
}

/// Returns the key that an operation writes, and the operation's name in the pattern.
fn written_key(operation: &Operation) -> Option<(&[u8], &'static str)> {
    match &operation.action {
        Some(Action::Set(set)) => Some((&set.key, "store")),
        Some(Action::Delete(delete)) => Some((&delete.key, "remove")),
        _ => None,
    }
}

fn convert_result(one: OperationResult, expected: Expected) -> Result<transact_response::Result, Error> {
    use transact_response::result::Result as Of;
    let result = match (one.outcome, expected) {
        (Some(Outcome::Set(_)), Expected::Message(id)) => Of::Accepted(AcceptedMessage { id }),
        (Some(Outcome::Set(set)), _) => Of::Stored(StoreResponse { revision: set.revision }),
        (Some(Outcome::Get(get)), Expected::Read(key)) => Of::Retrieved(batch::to_result(key, get.entry)),
        (Some(Outcome::Delete(delete)), _) => Of::Removed(RemoveResponse { removed: delete.deleted }),
        _ => return Err(Error::internal("the driver answered a transaction with a result of another kind")),
    };
    Ok(transact_response::Result { result: Some(result) })
}
