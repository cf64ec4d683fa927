//! Transactions: converts requests and results between the pattern and `keyvalue_transactional`.

use bytes::Bytes;

use super::{KeyValue, MAX_TRANSACTION_OPERATIONS, batch};
use prism_call::{
    Context, Error,
    proto::{
        models::keyvalue::v1::{
            self as model, DeleteOperation, GetOperation, Operation, OperationResult, SetOperation, SetRequest, condition::Predicate,
            operation::Action, operation_result::Outcome,
        },
        patterns::keyvalue::v1::{
            Comparison, Condition, RemoveResponse, StoreResponse, TransactOperation, TransactRequest, TransactResponse,
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
    let then_list = OperationList::new(pattern, "then_operations", request.then_operations)?;
    let else_list = OperationList::new(pattern, "else_operations", request.else_operations)?;
    let done = interface
        .transact(
            context,
            model::TransactRequest { conditions, then_operations: then_list.operations, else_operations: else_list.operations },
        )
        .await?;
    let mut reads = if done.succeeded { then_list.reads } else { else_list.reads }.into_iter();
    let results = done.results.into_iter().map(|one| convert_result(one, &mut reads)).collect::<Result<_, _>>()?;
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
    /// Keys of the reads, in order. A driver's result does not contain the key if it does not exist.
    reads: Vec<Bytes>,
}

impl OperationList {
    fn new(pattern: &KeyValue, field: &str, steps: Vec<TransactOperation>) -> Result<Self, Error> {
        check_length(field, steps.len())?;
        let mut list = Self { operations: Vec::with_capacity(steps.len()), reads: Vec::new() };
        for (index, step) in steps.into_iter().enumerate() {
            let action = match step.operation {
                Some(transact_operation::Operation::Store(store)) => {
                    let SetRequest { key, value, ttl, flags } =
                        pattern.check_store("Transact", format_args!("{field}[{index}].store."), store)?;
                    Action::Set(SetOperation { key, value, ttl, flags })
                }
                Some(transact_operation::Operation::Retrieve(retrieve)) => {
                    let key = pattern.check_key(format_args!("{field}[{index}].retrieve.key"), retrieve.key)?;
                    list.reads.push(key.clone());
                    Action::Get(GetOperation { key })
                }
                Some(transact_operation::Operation::Remove(remove)) => {
                    Action::Delete(DeleteOperation { key: pattern.check_key(format_args!("{field}[{index}].remove.key"), remove.key)? })
                }
                None => return Err(Error::invalid(format!("{field}[{index}]"), "must have one of store, retrieve, remove")),
            };
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

fn convert_result(one: OperationResult, reads: &mut impl Iterator<Item = Bytes>) -> Result<transact_response::Result, Error> {
    use transact_response::result::Result as Of;
    let result = match one.outcome {
        Some(Outcome::Set(set)) => Of::Stored(StoreResponse { revision: set.revision }),
        Some(Outcome::Get(get)) => Of::Retrieved(batch::to_result(reads.next().unwrap_or_default(), get.entry)),
        Some(Outcome::Delete(delete)) => Of::Removed(RemoveResponse { removed: delete.deleted }),
        None => return Err(Error::internal("the driver answered a transaction with an empty result")),
    };
    Ok(transact_response::Result { result: Some(result) })
}
