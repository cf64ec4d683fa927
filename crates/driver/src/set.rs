//! Limits and checks of set requests that are the same in every driver.

use bytes::Bytes;

use crate::{Limits, check, cursor};
use prism_call::{
    Error,
    proto::models::set::v1::{
        DifferenceResponse, IntersectionResponse, UnionResponse, difference_response, intersection_response, union_response,
    },
};

/// Most random members in one reply.
const MAX_RANDOM: u32 = 1000;
/// A reply with random members stops after the member with which it has this many bytes, so that a reply is never much larger.
pub const RANDOM_BYTES: usize = 16 << 20;
/// Most sets that one operation reads.
const MAX_SETS: u32 = 100;

/// What an operation on several sets computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algebra {
    /// The members of any of the sets.
    Union,
    /// The members of all sets.
    Intersection,
    /// The members of the first set that are in none of the others.
    Difference,
}

/// One message of the reply to an operation on several sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlgebraOutcome {
    /// A member of the result.
    Member(Bytes),
    /// The size of the result that was stored.
    Stored(u64),
}

impl From<AlgebraOutcome> for UnionResponse {
    fn from(outcome: AlgebraOutcome) -> Self {
        use union_response::Outcome;
        let outcome = match outcome {
            AlgebraOutcome::Member(member) => Outcome::Member(member),
            AlgebraOutcome::Stored(size) => Outcome::StoredSize(size),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<AlgebraOutcome> for IntersectionResponse {
    fn from(outcome: AlgebraOutcome) -> Self {
        use intersection_response::Outcome;
        let outcome = match outcome {
            AlgebraOutcome::Member(member) => Outcome::Member(member),
            AlgebraOutcome::Stored(size) => Outcome::StoredSize(size),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<AlgebraOutcome> for DifferenceResponse {
    fn from(outcome: AlgebraOutcome) -> Self {
        use difference_response::Outcome;
        let outcome = match outcome {
            AlgebraOutcome::Member(member) => Outcome::Member(member),
            AlgebraOutcome::Stored(size) => Outcome::StoredSize(size),
        };
        Self { outcome: Some(outcome) }
    }
}

/// Checks an addition: the key, and 1 to 1,000 members.
pub fn check_add(limits: &Limits, key: &[u8], members: &[Bytes]) -> Result<(), Error> {
    check_members(limits, key, members)?;
    members.iter().enumerate().try_for_each(|(index, member)| check::value(limits, format_args!("members[{index}]"), member))
}

/// Checks a request that names members: the key, and 1 to 1,000 members.
pub fn check_members(limits: &Limits, key: &[u8], members: &[Bytes]) -> Result<(), Error> {
    check::key(limits, key)?;
    check::batch(limits, "members", members.len())
}

/// The field `limit` of a request for random members: 1 by default.
pub fn random_limit(limit: u32) -> Result<usize, Error> {
    Ok(check::limit("limit", limit, 1, MAX_RANDOM)? as usize)
}

/// Checks the number of sets that take part in an operation: 1 to 100.
pub fn check_sources(field: &str, sources: usize) -> Result<(), Error> {
    check::count(field, sources, MAX_SETS)
}

/// Checks where the result of an operation goes: a stored result has no limit.
pub fn check_destination(limits: &Limits, destination: Option<&Bytes>, limit: u32) -> Result<(), Error> {
    let Some(destination) = destination else { return Ok(()) };
    check::key_at(limits, "destination", destination)?;
    if limit > 0 {
        return Err(Error::invalid("limit", "is not allowed with destination: a result is stored as a whole"));
    }
    Ok(())
}

/// Checks an operation on several sets.
pub fn check_algebra(limits: &Limits, keys: &[Bytes], destination: Option<&Bytes>, limit: u32) -> Result<(), Error> {
    check_sources("keys", keys.len())?;
    for (index, key) in keys.iter().enumerate() {
        check::key_at(limits, format_args!("keys[{index}]"), key)?;
    }
    check_destination(limits, destination, limit)
}

/// Encodes the cursor of GetMembers, which is valid only for its set.
pub fn encode_cursor(key: &[u8], position: &[u8]) -> String {
    cursor::seal(&scope(key), position)
}

/// Decodes the cursor of GetMembers. Returns `None` for the empty cursor.
pub fn decode_cursor(key: &[u8], cursor: &str) -> Result<Option<Vec<u8>>, Error> {
    cursor::open(&scope(key), cursor)
}

fn scope(key: &[u8]) -> String {
    format!("set:{}", key.escape_ascii())
}
