//! `set_operations`: a result is read as a whole, because it is of one instant, or is stored without leaving the database.

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rusqlite::Connection;

use super::{
    Sets,
    rows::{self, StoredMember, StoredSet},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        DifferenceRequest, DifferenceResponse, IntersectionRequest, IntersectionResponse, SetOperations, UnionRequest, UnionResponse,
    },
};
use prism_driver::{
    check,
    results::ResultBytes,
    set::{Algebra, AlgebraOutcome, check_algebra},
};

/// Bytes that a member of a result counts in addition to its content.
const OVERHEAD: usize = 64;

/// What an operation reads.
struct Sources {
    algebra: Algebra,
    /// The set from which the members come. A union does not use it.
    from: i64,
    /// The ids of the sets to unite, to intersect with or to subtract.
    sets: Vec<i64>,
}

impl Sources {
    /// Finds the sets of an operation; `None` if the result is empty.
    fn find(connection: &Connection, keyspace: i64, algebra: Algebra, keys: &[Bytes]) -> DatabaseResult<Option<Self>> {
        let found: Vec<Option<StoredSet>> = keys.iter().map(|key| rows::find(connection, keyspace, key)).collect::<Result<_, _>>()?;
        let from = match algebra {
            Algebra::Union => Some(0),
            Algebra::Intersection if found.iter().any(Option::is_none) => None,
            Algebra::Intersection => found.iter().flatten().min_by_key(|set| set.size).map(|set| set.id),
            Algebra::Difference => found.first().copied().flatten().map(|set| set.id),
        };
        let sets = found.iter().skip(usize::from(algebra == Algebra::Difference)).flatten().map(|set| set.id).collect();
        Ok(from.map(|from| Self { algebra, from, sets }))
    }

    /// Calls `visit` with each member of the result until it returns false. A member of several sets of a union comes several times.
    fn visit(&self, connection: &Connection, mut visit: impl FnMut(StoredMember) -> DatabaseResult<bool>) -> DatabaseResult<()> {
        let ids: Vec<String> = self.sets.iter().map(i64::to_string).collect();
        let ids = format!("[{}]", ids.join(","));
        let (statement, from) = match self.algebra {
            Algebra::Union => ("SELECT identity, member FROM set_members WHERE set_id = ?1 AND ?2 IS NOT NULL", &self.sets[..]),
            Algebra::Intersection => (
                "SELECT identity, member FROM set_members AS m WHERE set_id = ?1 AND NOT EXISTS (
                     SELECT 1 FROM json_each(?2) AS other
                     WHERE NOT EXISTS (SELECT 1 FROM set_members WHERE set_id = other.value AND identity = m.identity))",
                std::slice::from_ref(&self.from),
            ),
            Algebra::Difference => (
                "SELECT identity, member FROM set_members AS m WHERE set_id = ?1 AND NOT EXISTS (
                     SELECT 1 FROM json_each(?2) AS other JOIN set_members AS o ON o.set_id = other.value AND o.identity = m.identity)",
                std::slice::from_ref(&self.from),
            ),
        };
        let mut select = connection.prepare_cached(statement)?;
        for set in from {
            let mut rows = select.query((set, &ids))?;
            while let Some(row) = rows.next()? {
                if !visit(StoredMember::read(row)?)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads the result, at most `limit` members.
    fn read(&self, connection: &Connection, limit: usize, reserved: &mut ResultBytes) -> DatabaseResult<Vec<Bytes>> {
        let (mut members, mut identities) = (Vec::new(), HashSet::new());
        self.visit(connection, |member| {
            if self.algebra != Algebra::Union || identities.insert(member.identity.clone()) {
                let member = member.into_member();
                reserved.add(member.len() + OVERHEAD)?;
                members.push(member);
            }
            Ok(members.len() < limit)
        })?;
        Ok(members)
    }

    /// Stores the result under a key, and returns its size.
    fn store(&self, tx: &Tx<'_>, keyspace: i64, key: &[u8]) -> DatabaseResult<u64> {
        let mut result = rows::open(tx, keyspace, key)?;
        // The former set may be one of the sources, so its members stay until the end.
        let former = result.id;
        result = result.without_members(tx)?;
        self.visit(tx.connection, |member| {
            result.insert(tx, &member)?;
            Ok(true)
        })?;
        result.save(tx)?;
        rows::remove_members(tx, former)?;
        Ok(result.size.unsigned_abs())
    }
}

impl Sets {
    async fn compute(
        &self,
        algebra: Algebra,
        keys: Vec<Bytes>,
        destination: Option<Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        check_algebra(self.keyspace.limits(), &keys, destination.as_ref(), limit)?;
        let Some(destination) = destination else {
            let mut reserved = self.keyspace.result();
            let read = self.keyspace.read(move |connection, keyspace| {
                let snapshot = connection.unchecked_transaction()?;
                let members = match Sources::find(&snapshot, keyspace, algebra, &keys)? {
                    Some(sources) => sources.read(&snapshot, check::limit_or_all(limit), &mut reserved)?,
                    None => Vec::new(),
                };
                Ok((members, reserved))
            });
            let (members, reserved) = read.await?;
            return Ok(reserved.stream(members.into_iter().map(AlgebraOutcome::Member)));
        };
        let write = self.keyspace.write(move |tx, keyspace| {
            if let Some(sources) = Sources::find(tx.connection, keyspace, algebra, &keys)? {
                return sources.store(tx, keyspace, &destination);
            }
            if let Some(set) = rows::find(tx.connection, keyspace, &destination)? {
                rows::remove_members(tx, set.id)?;
                StoredSet { size: 0, ..set }.save(tx)?;
            }
            Ok(0)
        });
        let size = write.await?;
        Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed())
    }
}

#[async_trait]
impl SetOperations for Sets {
    async fn union(&self, _: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let outcomes = self.compute(Algebra::Union, request.keys, request.destination, request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, _: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let outcomes = self.compute(Algebra::Intersection, request.keys, request.destination, request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn difference(&self, _: &Context, request: DifferenceRequest) -> Result<Messages<DifferenceResponse>, Error> {
        let outcomes = self.compute(Algebra::Difference, request.keys, request.destination, request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }
}
