//! What a TransactRequest may be, and when a condition holds.

use std::collections::HashSet;

use crate::{
    call::Error,
    driver::{
        Limits,
        common::{check, time},
    },
    proto::models::keyvalue::v1::{Operation, TransactRequest, condition::Predicate, operation::Action},
};

/// Greatest number of conditions, and of operations in one list.
const MAX_ITEMS: usize = 128;

/// Checks a whole request, so that a driver finds in it nothing to refuse.
pub fn valid(limits: &Limits, request: &TransactRequest) -> Result<(), Error> {
    size("conditions", request.conditions.len())?;
    for (index, condition) in request.conditions.iter().enumerate() {
        check::key_at(limits, format_args!("conditions[{index}].key"), &condition.key)?;
        if condition.predicate.is_none() {
            return Err(Error::invalid(format!("conditions[{index}].predicate"), "must be set, as exists or revision_equals"));
        }
    }
    operations(limits, "then_operations", &request.then_operations)?;
    operations(limits, "else_operations", &request.else_operations)
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

/// Whether a predicate holds for a key with that revision and value; absent is revision 0 and no value.
pub fn holds(predicate: &Predicate, revision: u64, value: Option<&[u8]>) -> bool {
    match predicate {
        Predicate::Exists(exists) => (revision != 0) == *exists,
        Predicate::RevisionEquals(other) => revision == *other,
        Predicate::RevisionNotEquals(other) => revision != *other,
        Predicate::RevisionLessThan(other) => revision < *other,
        Predicate::RevisionGreaterThan(other) => revision > *other,
        Predicate::ValueEquals(other) => value == Some(&other[..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::models::keyvalue::v1::{Condition, GetOperation, SetOperation};

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
        assert!(valid(&Limits::default(), &TransactRequest::default()).is_ok());
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
            assert_eq!(holds(&predicate, 0, None), absent, "{predicate:?}");
            assert_eq!(holds(&predicate, 5, Some(b"v")), at_five, "{predicate:?}");
        }
    }
}
