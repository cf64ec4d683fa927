//! Writes and removals on condition of a revision. A driver without `keyvalue_cas` does them as transactions of one
//! condition, which is atomic too.

use bytes::Bytes;
use prost_types::Duration;

use super::KeyValue;
use prism_call::{
    Code, Context, Error,
    proto::{
        models::keyvalue::v1::{
            CompareAndDeleteRequest, CompareAndSwapRequest, Condition, DeleteOperation, DeleteRequest, GetOperation, GetRequest,
            KeyValueTransactional, Operation, SetOperation, TransactRequest, condition::Predicate, operation::Action,
            operation_result::Outcome,
        },
        patterns::keyvalue::v1::{CompareAndRemoveRequest, CompareAndRemoveResponse, CompareAndStoreRequest, CompareAndStoreResponse},
    },
};

/// Revisions that one request may allow.
const MAX_REVISIONS: usize = 64;
/// Attempts while others keep writing the key between one allowed revision and the next.
const MAX_ATTEMPTS: usize = 16;
/// When to try again after so many.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

pub(super) async fn store(
    pattern: &KeyValue,
    context: &Context,
    request: CompareAndStoreRequest,
) -> Result<CompareAndStoreResponse, Error> {
    let CompareAndStoreRequest { key, expected_revision, value, ttl, flags, must_exist, expected_revisions } = request;
    let key = pattern.key("key", key)?;
    pattern.writable("CompareAndStore", "", &value, ttl.as_ref())?;
    let expected = Expected::of(expected_revision, expected_revisions, must_exist)?;
    let write = Write::Set { value, ttl, flags };
    let revision = Comparison { pattern, context, key, write, rpc: "CompareAndStore" }.run(&expected).await?;
    Ok(CompareAndStoreResponse { revision })
}

pub(super) async fn remove(
    pattern: &KeyValue,
    context: &Context,
    request: CompareAndRemoveRequest,
) -> Result<CompareAndRemoveResponse, Error> {
    let CompareAndRemoveRequest { key, expected_revision, must_exist, expected_revisions } = request;
    let key = pattern.key("key", key)?;
    let expected = Expected::of(expected_revision, expected_revisions, must_exist)?;
    match &expected {
        Expected::One(0) => Err(Error::invalid("expected_revision", "must be greater than 0, the revision of a key that is there")),
        Expected::OneOf(list) if list.contains(&0) => {
            Err(Error::invalid("expected_revisions", "must all be greater than 0, the revision of a key that is there"))
        }
        _ => Ok(()),
    }?;
    Comparison { pattern, context, key, write: Write::Delete, rpc: "CompareAndRemove" }.run(&expected).await?;
    Ok(CompareAndRemoveResponse { removed: true })
}

/// What must be so.
enum Expected {
    /// The key has this revision; 0: it is not there.
    One(u64),
    /// It has one of these.
    OneOf(Vec<u64>),
    /// It is there.
    Exists,
}

impl Expected {
    fn of(one: u64, many: Vec<u64>, exists: bool) -> Result<Self, Error> {
        match (one, many.len(), exists) {
            (one, 0, false) => Ok(Self::One(one)),
            (0, 0, true) => Ok(Self::Exists),
            (0, 1..=MAX_REVISIONS, false) => Ok(Self::OneOf(many)),
            (0, count, false) => {
                Err(Error::invalid("expected_revisions", format!("has {count} revisions; at most {MAX_REVISIONS} are allowed")))
            }
            (_, _, true) => Err(Error::invalid("must_exist", "can't be set together with expected_revision or expected_revisions")),
            (_, _, false) => Err(Error::invalid("expected_revisions", "can't be set together with expected_revision")),
        }
    }

    fn allows(&self, revision: u64) -> bool {
        match self {
            Self::One(one) => *one == revision,
            Self::OneOf(list) => list.contains(&revision),
            Self::Exists => revision != 0,
        }
    }
}

#[derive(Clone)]
enum Write {
    Set { value: Bytes, ttl: Option<Duration>, flags: u64 },
    Delete,
}

struct Comparison<'a> {
    pattern: &'a KeyValue,
    context: &'a Context,
    key: Bytes,
    write: Write,
    /// For errors.
    rpc: &'static str,
}

impl Comparison<'_> {
    /// The revision that the write gave.
    async fn run(&self, expected: &Expected) -> Result<u64, Error> {
        let mut revision = match expected {
            Expected::One(one) => *one,
            Expected::OneOf(list) => list.first().copied().unwrap_or_default(),
            Expected::Exists => match self.if_there().await? {
                There::Done(revision) => return Ok(revision),
                There::Not => return Err(mismatch(expected, 0)),
                There::Revision(current) => current,
            },
        };
        // Every attempt is atomic and tells the current revision. If that one is allowed too, it is the next to be tried.
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(revision).await? {
                (true, written) => return Ok(written),
                (false, current) if expected.allows(current) => revision = current,
                (false, current) => return Err(mismatch(expected, current)),
            }
        }
        let message = format!("others wrote the key during each of {MAX_ATTEMPTS} attempts; nothing was done, try again");
        Err(Error::new(Code::Aborted, "TRANSACTION_CONFLICT", message).with_retry_after(RETRY_AFTER))
    }

    /// Does it if the key is there, in one step if the driver has one for that, and else tells the revision to be tried.
    async fn if_there(&self) -> Result<There, Error> {
        let pattern = self.pattern;
        match (&self.write, &pattern.cas, &pattern.transactional) {
            (_, None, None) => Err(self.unavailable()),
            // A removal tells whether there was something.
            (Write::Delete, ..) => {
                let done = pattern.basic.delete(self.context, DeleteRequest { key: self.key.clone() }).await?;
                Ok(if done.deleted { There::Done(0) } else { There::Not })
            }
            (Write::Set { .. }, _, Some(transactional)) => {
                let (done, revision) = self.transact(&**transactional, Predicate::Exists(true)).await?;
                Ok(if done { There::Done(revision) } else { There::Not })
            }
            (Write::Set { .. }, Some(_), None) => {
                let found = pattern.basic.get(self.context, GetRequest { key: self.key.clone() }).await?;
                Ok(found.entry.map_or(There::Not, |entry| There::Revision(entry.revision)))
            }
        }
    }

    /// Does it if the key has the revision: whether it did, and the new revision or else the current one.
    async fn attempt(&self, expected_revision: u64) -> Result<(bool, u64), Error> {
        let (context, key) = (self.context, self.key.clone());
        match (&self.pattern.cas, &self.pattern.transactional, self.write.clone()) {
            (Some(cas), _, Write::Set { value, ttl, flags }) => {
                let request = CompareAndSwapRequest { key, expected_revision, value, ttl, flags };
                let answer = cas.compare_and_swap(context, request).await?;
                Ok((answer.swapped, answer.revision))
            }
            (Some(cas), _, Write::Delete) => {
                let answer = cas.compare_and_delete(context, CompareAndDeleteRequest { key, expected_revision }).await?;
                Ok((answer.deleted, answer.revision))
            }
            (None, Some(transactional), _) => self.transact(&**transactional, Predicate::RevisionEquals(expected_revision)).await,
            (None, None, _) => Err(self.unavailable()),
        }
    }

    async fn transact(&self, transactional: &dyn KeyValueTransactional, predicate: Predicate) -> Result<(bool, u64), Error> {
        let key = self.key.clone();
        let action = match self.write.clone() {
            Write::Set { value, ttl, flags } => Action::Set(SetOperation { key: key.clone(), value, ttl, flags }),
            Write::Delete => Action::Delete(DeleteOperation { key: key.clone() }),
        };
        let request = TransactRequest {
            conditions: vec![Condition { key: key.clone(), predicate: Some(predicate) }],
            then_operations: vec![Operation { action: Some(action) }],
            // Read in the same step, so that the revision told to the caller is the one that was compared.
            else_operations: vec![Operation { action: Some(Action::Get(GetOperation { key })) }],
        };
        let done = transactional.transact(self.context, request).await?;
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

    fn unavailable(&self) -> Error {
        Error::capability_unavailable(self.rpc, "keyvalue_cas", &self.pattern.backend)
    }
}

/// What came of a write to a key that must be there.
enum There {
    /// It is done, with this revision.
    Done(u64),
    /// The key is not there.
    Not,
    /// It is there with this revision, and nothing is done yet.
    Revision(u64),
}

fn mismatch(expected: &Expected, current: u64) -> Error {
    let wanted = match expected {
        Expected::One(revision) => revision.to_string(),
        Expected::OneOf(list) => list.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        Expected::Exists => String::new(),
    };
    let message = match (expected, current) {
        (Expected::One(0), current) => {
            format!("the key is there with revision {current}, but was expected not to be; read it and try again")
        }
        (Expected::Exists, _) => "the key is not there, but was expected to be".to_owned(),
        (Expected::One(_), 0) => format!("the key is not there, but was expected to have revision {wanted}; read it and try again"),
        (Expected::One(_), current) => format!("the key has revision {current}, not {wanted}; read it and try again"),
        (Expected::OneOf(_), 0) => format!("the key is not there, but was expected to have one of the revisions {wanted}"),
        (Expected::OneOf(_), current) => format!("the key has revision {current}, none of {wanted}; read it and try again"),
    };
    let error = Error::new(Code::Aborted, "REVISION_MISMATCH", message);
    let error = if wanted.is_empty() { error } else { error.with("expected_revision", wanted) };
    error.with("current_revision", current.to_string())
}
