//! What a TransactRequest may be, and when a condition holds.

use std::collections::HashSet;

use crate::{Limits, check, time};
use prism_call::{
    Error,
    proto::models::keyvalue::v1::{
        Comparison, Operation, TransactRequest,
        comparison::{Fact, Operator},
        condition::Predicate,
        operation::Action,
    },
};

/// Greatest number of conditions, and of operations in one list.
const MAX_ITEMS: usize = 128;

/// Checks a whole request, so that a driver finds in it nothing to refuse.
pub fn valid(limits: &Limits, request: &TransactRequest) -> Result<(), Error> {
    size("conditions", request.conditions.len())?;
    for (index, condition) in request.conditions.iter().enumerate() {
        check::key_at(limits, format_args!("conditions[{index}].key"), &condition.key)?;
        match &condition.predicate {
            None => return Err(Error::invalid(format!("conditions[{index}].predicate"), "must be set, as exists or revision_equals")),
            Some(Predicate::Compare(comparison)) => compared(index, *comparison)?,
            Some(_) => {}
        }
    }
    operations(limits, "then_operations", &request.then_operations)?;
    operations(limits, "else_operations", &request.else_operations)
}

/// Refuses numbers that no name stands for.
fn compared(index: usize, comparison: Comparison) -> Result<(), Error> {
    if Fact::try_from(comparison.fact).is_err() {
        return Err(Error::invalid(
            format!("conditions[{index}].compare.fact"),
            "must be FACT_REVISION, FACT_CREATE_REVISION or FACT_VERSION",
        ));
    }
    if Operator::try_from(comparison.operator).is_err() {
        return Err(Error::invalid(
            format!("conditions[{index}].compare.operator"),
            "must be OPERATOR_EQUAL, OPERATOR_NOT_EQUAL, OPERATOR_LESS or OPERATOR_GREATER",
        ));
    }
    Ok(())
}

fn operations(limits: &Limits, list: &str, operations: &[Operation]) -> Result<(), Error> {
    size(list, operations.len())?;
    let mut written = HashSet::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let (name, key, writes) = match &operation.action {
            Some(Action::Set(set)) => {
                check::value(limits, format_args!("{list}[{index}].set.value"), &set.value)?;
                time::expiry_at(format_args!("{list}[{index}].set.ttl"), set.ttl.as_ref())?;
                ("set", &set.key, true)
            }
            Some(Action::Delete(delete)) => ("delete", &delete.key, true),
            Some(Action::Get(get)) => ("get", &get.key, false),
            None => return Err(Error::invalid(format!("{list}[{index}].action"), "must be set, delete or get")),
        };
        check::key_at(limits, format_args!("{list}[{index}].{name}.key"), key)?;
        if writes && !written.insert(key) {
            return Err(Error::invalid(format!("{list}[{index}].{name}.key"), "is written twice in this list; write each key once")
                .with_reason("DUPLICATE_KEY"));
        }
    }
    Ok(())
}

fn size(list: &str, items: usize) -> Result<(), Error> {
    if items > MAX_ITEMS {
        return Err(Error::invalid(list, format!("has {items} items; at most {MAX_ITEMS} are allowed"))
            .with_reason("BATCH_SIZE")
            .with("limit", MAX_ITEMS.to_string()));
    }
    Ok(())
}

/// The numbers of a key; all 0 for one that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of the last write.
    pub revision: u64,
    /// Of the write that created the key.
    pub create_revision: u64,
    /// Number of writes since then.
    pub version: u64,
}

/// Whether a predicate holds for a key with those numbers and that value; absent is zeros and no value.
pub fn holds(predicate: &Predicate, numbers: Numbers, value: Option<&[u8]>) -> bool {
    let revision = numbers.revision;
    match predicate {
        Predicate::Exists(exists) => (revision != 0) == *exists,
        Predicate::RevisionEquals(other) => revision == *other,
        Predicate::RevisionNotEquals(other) => revision != *other,
        Predicate::RevisionLessThan(other) => revision < *other,
        Predicate::RevisionGreaterThan(other) => revision > *other,
        Predicate::ValueEquals(other) => value == Some(&other[..]),
        Predicate::Compare(comparison) => {
            let number = match comparison.fact() {
                Fact::Unspecified | Fact::Revision => revision,
                Fact::CreateRevision => numbers.create_revision,
                Fact::Version => numbers.version,
            };
            match comparison.operator() {
                Operator::Unspecified | Operator::Equal => number == comparison.number,
                Operator::NotEqual => number != comparison.number,
                Operator::Less => number < comparison.number,
                Operator::Greater => number > comparison.number,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::proto::models::keyvalue::v1::{Condition, GetOperation, SetOperation};

    fn set(key: &'static str) -> Operation {
        Operation { action: Some(Action::Set(SetOperation { key: key.into(), ..Default::default() })) }
    }

    #[test]
    fn names_the_item_that_is_wrong() {
        let get = |key: &'static str| Operation { action: Some(Action::Get(GetOperation { key: key.into() })) };
        let refused = |request: &TransactRequest| {
            let error = valid(&Limits::default(), request).unwrap_err();
            (error.reason().to_owned(), error.violations()[0].field.clone())
        };
        let request = |then_operations| TransactRequest { then_operations, ..Default::default() };
        let pair = |reason: &str, field: &str| (reason.to_owned(), field.to_owned());
        assert_eq!(refused(&request(vec![set("a"), set("")])), pair("INVALID_KEY", "then_operations[1].set.key"));
        assert_eq!(refused(&request(vec![set("a"), get("a"), set("a")])), pair("DUPLICATE_KEY", "then_operations[2].set.key"));
        assert_eq!(refused(&request(vec![Operation::default()])), pair("INVALID_FIELD", "then_operations[0].action"));
        assert_eq!(refused(&request(vec![get("a"); 129])), pair("BATCH_SIZE", "then_operations"));
        let empty = TransactRequest { conditions: vec![Condition { key: "a".into(), predicate: None }], ..Default::default() };
        assert_eq!(refused(&empty), pair("INVALID_FIELD", "conditions[0].predicate"));
        for (fact, operator, field) in [(4, 0, "conditions[0].compare.fact"), (0, 5, "conditions[0].compare.operator")] {
            let predicate = Some(Predicate::Compare(Comparison { fact, operator, number: 1 }));
            let unknown = TransactRequest { conditions: vec![Condition { key: "a".into(), predicate }], ..Default::default() };
            assert_eq!(refused(&unknown), pair("INVALID_FIELD", field));
        }
        assert!(valid(&Limits::default(), &TransactRequest::default()).is_ok());
    }

    #[test]
    fn compares_each_number() {
        let numbers = Numbers { revision: 30, create_revision: 20, version: 10 };
        for (fact, number) in [(Fact::Unspecified, 30), (Fact::Revision, 30), (Fact::CreateRevision, 20), (Fact::Version, 10)] {
            let compare = |operator: Operator, numbers| {
                let comparison = Comparison { fact: fact.into(), operator: operator.into(), number };
                holds(&Predicate::Compare(comparison), numbers, None)
            };
            let more = |by: u64| Numbers { revision: 30 + by, create_revision: 20 + by, version: 10 + by };
            for (operator, less, same, greater) in [
                (Operator::Unspecified, false, true, false),
                (Operator::Equal, false, true, false),
                (Operator::NotEqual, true, false, true),
                (Operator::Less, true, false, false),
                (Operator::Greater, false, false, true),
            ] {
                let found = [Numbers::default(), numbers, more(1)].map(|numbers| compare(operator, numbers));
                assert_eq!(found, [less, same, greater], "{fact:?} {operator:?}");
            }
        }
    }

    #[test]
    fn an_absent_key_has_revision_zero_and_no_value() {
        for (predicate, absent, at_five) in [
            (Predicate::Exists(true), false, true),
            (Predicate::Exists(false), true, false),
            (Predicate::RevisionEquals(0), true, false),
            (Predicate::RevisionEquals(5), false, true),
            (Predicate::RevisionNotEquals(0), false, true),
            (Predicate::RevisionLessThan(0), false, false),
            (Predicate::RevisionLessThan(6), true, true),
            (Predicate::RevisionGreaterThan(0), false, true),
            (Predicate::RevisionGreaterThan(5), false, false),
            (Predicate::ValueEquals("".into()), false, false),
            (Predicate::ValueEquals("v".into()), false, true),
        ] {
            assert_eq!(holds(&predicate, Numbers::default(), None), absent, "{predicate:?}");
            let five = Numbers { revision: 5, create_revision: 5, version: 1 };
            assert_eq!(holds(&predicate, five, Some(b"v")), at_five, "{predicate:?}");
        }
    }
}
