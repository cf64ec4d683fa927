//! Writes and removals on condition of a revision. A driver without `keyvalue_cas` does them as transactions of one
//! condition, which is atomic too.

use bytes::Bytes;

use super::KeyValue;
use crate::{
    call::{Code, Context, Error},
    proto::{
        models::keyvalue::v1::{
            CompareAndDeleteRequest, CompareAndSwapRequest, Condition, DeleteOperation, GetOperation, KeyValueTransactional, Operation,
            SetOperation, TransactRequest, condition::Predicate, operation::Action, operation_result::Outcome,
        },
        patterns::keyvalue::v1::{CompareAndRemoveRequest, CompareAndRemoveResponse, CompareAndStoreRequest, CompareAndStoreResponse},
    },
};

pub(super) async fn store(
    pattern: &KeyValue,
    context: &Context,
    request: CompareAndStoreRequest,
) -> Result<CompareAndStoreResponse, Error> {
    let CompareAndStoreRequest { key, expected_revision, value, ttl } = request;
    let key = pattern.key("key", key)?;
    pattern.writable("CompareAndStore", "", &value, ttl.as_ref())?;
    let (done, revision) = match (&pattern.cas, &pattern.transactional) {
        (Some(cas), _) => {
            let answer = cas.compare_and_swap(context, CompareAndSwapRequest { key, expected_revision, value, ttl }).await?;
            (answer.swapped, answer.revision)
        }
        (None, Some(transactional)) => {
            let set = Action::Set(SetOperation { key: key.clone(), value, ttl });
            if_unchanged(&**transactional, context, key, expected_revision, set).await?
        }
        (None, None) => return Err(unavailable(pattern, "CompareAndStore")),
    };
    if done { Ok(CompareAndStoreResponse { revision }) } else { Err(mismatch(expected_revision, revision)) }
}

pub(super) async fn remove(
    pattern: &KeyValue,
    context: &Context,
    request: CompareAndRemoveRequest,
) -> Result<CompareAndRemoveResponse, Error> {
    let CompareAndRemoveRequest { key, expected_revision } = request;
    let key = pattern.key("key", key)?;
    if expected_revision == 0 {
        return Err(Error::invalid("expected_revision", "must be greater than 0, the revision of a key that is there"));
    }
    let (done, revision) = match (&pattern.cas, &pattern.transactional) {
        (Some(cas), _) => {
            let answer = cas.compare_and_delete(context, CompareAndDeleteRequest { key, expected_revision }).await?;
            (answer.deleted, answer.revision)
        }
        (None, Some(transactional)) => {
            let delete = Action::Delete(DeleteOperation { key: key.clone() });
            if_unchanged(&**transactional, context, key, expected_revision, delete).await?
        }
        (None, None) => return Err(unavailable(pattern, "CompareAndRemove")),
    };
    if done { Ok(CompareAndRemoveResponse {}) } else { Err(mismatch(expected_revision, revision)) }
}

/// Does `action` if the key still has the revision: whether it did, and the new revision or else the current one.
async fn if_unchanged(
    transactional: &dyn KeyValueTransactional,
    context: &Context,
    key: Bytes,
    expected: u64,
    action: Action,
) -> Result<(bool, u64), Error> {
    let request = TransactRequest {
        conditions: vec![Condition { key: key.clone(), predicate: Some(Predicate::RevisionEquals(expected)) }],
        then_operations: vec![Operation { action: Some(action) }],
        // Read in the same step, so that the revision told to the caller is the one that was compared.
        else_operations: vec![Operation { action: Some(Action::Get(GetOperation { key })) }],
    };
    let done = transactional.transact(context, request).await?;
    if done.succeeded {
        return Ok((true, done.revision));
    }
    let current = done.results.into_iter().find_map(|result| match result.outcome {
        Some(Outcome::Get(found)) => Some(found.entry.map_or(0, |entry| entry.revision)),
        _ => None,
    });
    current
        .map(|revision| (false, revision))
        .ok_or_else(|| Error::internal("the driver answered a transaction without the result of its read"))
}

fn unavailable(pattern: &KeyValue, rpc: &str) -> Error {
    Error::capability_unavailable(rpc, "keyvalue_cas", &pattern.backend)
}

fn mismatch(expected: u64, current: u64) -> Error {
    let message = match (expected, current) {
        (0, current) => format!("the key is there with revision {current}, but was expected not to be; read it and try again"),
        (expected, 0) => format!("the key is not there, but was expected to have revision {expected}; read it and try again"),
        (expected, current) => format!("the key has revision {current}, not {expected}; read it and try again"),
    };
    Error::new(Code::Aborted, "REVISION_MISMATCH", message)
        .with("expected_revision", expected.to_string())
        .with("current_revision", current.to_string())
}
