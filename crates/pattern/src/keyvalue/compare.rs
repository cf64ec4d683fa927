//! Writes and removals on condition of a revision. Without `keyvalue_cas`, they are transactions with one condition, which are
//! atomic too.

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

/// Greatest number of revisions that one request may list.
const MAX_REVISIONS: usize = 64;
/// Greatest number of attempts, if other writers change the key from one allowed revision to another each time.
const MAX_ATTEMPTS: usize = 16;
/// How long the client should wait before it tries again after that.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

pub(super) async fn store(
    pattern: &KeyValue,
    context: &Context,
    request: CompareAndStoreRequest,
) -> Result<CompareAndStoreResponse, Error> {
    let CompareAndStoreRequest { key, expected_revision, value, ttl, flags, must_exist, expected_revisions } = request;
    let key = pattern.check_key("key", key)?;
    pattern.check_value("CompareAndStore", "", &value, ttl.as_ref())?;
    let expected = Expected::parse(expected_revision, expected_revisions, must_exist)?;
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
    let key = pattern.check_key("key", key)?;
    let expected = Expected::parse(expected_revision, expected_revisions, must_exist)?;
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

/// The condition of a write.
enum Expected {
    /// The key has this revision; 0: it does not exist.
    One(u64),
    /// The key has one of these revisions.
    OneOf(Vec<u64>),
    /// The key exists.
    Exists,
}

impl Expected {
    fn parse(one: u64, many: Vec<u64>, exists: bool) -> Result<Self, Error> {
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
    /// Name of the RPC, for error messages.
    rpc: &'static str,
}

impl Comparison<'_> {
    /// Does the write and returns the new revision.
    async fn run(&self, expected: &Expected) -> Result<u64, Error> {
        let mut revision = match expected {
            Expected::One(one) => *one,
            Expected::OneOf(list) => list.first().copied().unwrap_or_default(),
            Expected::Exists => match self.write_if_exists().await? {
                ExistingWrite::Done(revision) => return Ok(revision),
                ExistingWrite::Missing => return Err(mismatch(expected, 0)),
                ExistingWrite::Pending(current) => current,
            },
        };
        // Every attempt is atomic and returns the current revision. If that revision is allowed too, the next attempt expects it.
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

    /// Does the write if the key exists: in one step if the driver can, otherwise returns the revision to expect.
    async fn write_if_exists(&self) -> Result<ExistingWrite, Error> {
        let pattern = self.pattern;
        match (&self.write, &pattern.cas, &pattern.transactional) {
            (_, None, None) => Err(self.unavailable()),
            // A removal returns whether the key existed.
            (Write::Delete, ..) => {
                let done = pattern.basic.delete(self.context, DeleteRequest { key: self.key.clone() }).await?;
                Ok(if done.deleted { ExistingWrite::Done(0) } else { ExistingWrite::Missing })
            }
            (Write::Set { .. }, _, Some(transactional)) => {
                let (done, revision) = self.transact(&**transactional, Predicate::Exists(true)).await?;
                Ok(if done { ExistingWrite::Done(revision) } else { ExistingWrite::Missing })
            }
            (Write::Set { .. }, Some(_), None) => {
                let found = pattern.basic.get(self.context, GetRequest { key: self.key.clone() }).await?;
                Ok(found.entry.map_or(ExistingWrite::Missing, |entry| ExistingWrite::Pending(entry.revision)))
            }
        }
    }

    /// Does the write if the key has the revision. Returns `true` and the new revision, or `false` and the current revision.
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
            // Reads in the same transaction, so that the caller gets the revision that was compared.
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

/// The outcome of a write to a key that must exist.
enum ExistingWrite {
    /// The write is done, with this revision.
    Done(u64),
    /// The key does not exist.
    Missing,
    /// The key exists with this revision, and nothing is written yet.
    Pending(u64),
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
