//! `sortedset_operations`: a result is computed in memory, because it is of one instant and has an order of its own.

use std::collections::{HashMap, hash_map::Entry};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rusqlite::Connection;

use super::{
    SortedSets,
    rows::{self, StoredSortedSet, scored_member},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        IntersectionRequest, IntersectionResponse, ScoreAggregation, ScoredMember, SortedSetOperations, UnionRequest, UnionResponse,
        WeightedSource,
    },
};
use prism_driver::{
    results::ResultBytes,
    sortedset::{AlgebraOutcome, check_sources, combine, first_members, weighted},
};

/// Bytes that a member of a result counts in addition to its content.
const OVERHEAD: usize = 128;

/// Whether members must be in all sources, or in one of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
}

/// What a call computes.
#[derive(Clone)]
struct Algebra {
    operation: Operation,
    keys: Vec<Bytes>,
    /// The weight of each source.
    weights: Vec<f64>,
    aggregation: ScoreAggregation,
}

impl Algebra {
    /// The members of the result with their scores, in any order.
    fn scores(&self, connection: &Connection, keyspace: i64, reserved: &mut ResultBytes) -> DatabaseResult<HashMap<Bytes, f64>> {
        let mut sets = Vec::with_capacity(self.keys.len());
        for (key, weight) in self.keys.iter().zip(&self.weights) {
            match rows::find(connection, keyspace, key)? {
                Some(set) => sets.push((set, *weight)),
                None if self.operation == Operation::Intersection => return Ok(HashMap::new()),
                None => {}
            }
        }
        match self.operation {
            Operation::Union => self.unite(connection, &sets, reserved),
            Operation::Intersection => self.intersect(connection, &sets, reserved),
        }
    }

    fn unite(
        &self,
        connection: &Connection,
        sets: &[(StoredSortedSet, f64)],
        reserved: &mut ResultBytes,
    ) -> DatabaseResult<HashMap<Bytes, f64>> {
        let mut union: HashMap<Bytes, f64> = HashMap::new();
        for (set, weight) in sets {
            visit(connection, set, |ScoredMember { member, score }| {
                let score = weighted(score, *weight);
                match union.entry(member) {
                    Entry::Occupied(mut sum) => {
                        sum.insert(combine(self.aggregation, *sum.get(), score));
                    }
                    Entry::Vacant(new) => {
                        reserved.add(new.key().len() + OVERHEAD)?;
                        new.insert(score);
                    }
                }
                Ok(())
            })?;
        }
        Ok(union)
    }

    fn intersect(
        &self,
        connection: &Connection,
        sets: &[(StoredSortedSet, f64)],
        reserved: &mut ResultBytes,
    ) -> DatabaseResult<HashMap<Bytes, f64>> {
        let mut intersection = HashMap::new();
        let Some((smallest, _)) = sets.iter().min_by_key(|(set, _)| set.size) else { return Ok(intersection) };
        visit(connection, smallest, |ScoredMember { member, .. }| {
            let mut sum = None;
            for (set, weight) in sets {
                let Some(score) = set.score(connection, &member)? else { return Ok(()) };
                let score = weighted(score, *weight);
                sum = Some(sum.map_or(score, |sum| combine(self.aggregation, sum, score)));
            }
            if let Some(score) = sum {
                reserved.add(member.len() + OVERHEAD)?;
                intersection.insert(member, score);
            }
            Ok(())
        })?;
        Ok(intersection)
    }

    /// Stores the result under a key, and returns its size.
    fn store(&self, tx: &Tx<'_>, keyspace: i64, key: &[u8], reserved: &mut ResultBytes) -> DatabaseResult<u64> {
        let scores = self.scores(tx.connection, keyspace, reserved)?;
        let mut result = rows::open(tx, keyspace, key)?;
        result.clear(tx)?;
        for (member, score) in &scores {
            result.write(tx, member, *score)?;
        }
        result.size = i64::try_from(scores.len()).unwrap_or(i64::MAX);
        result.save(tx)?;
        Ok(scores.len() as u64)
    }
}

/// Calls `visit` with each member of a sorted set.
fn visit(connection: &Connection, set: &StoredSortedSet, mut visit: impl FnMut(ScoredMember) -> DatabaseResult<()>) -> DatabaseResult<()> {
    let mut select = connection.prepare_cached("SELECT member, score FROM sorted_set_members WHERE set_id = ?1 ORDER BY member")?;
    let mut rows = select.query([set.id])?;
    while let Some(row) = rows.next()? {
        visit(scored_member(row)?)?;
    }
    Ok(())
}

impl SortedSets {
    async fn compute(
        &self,
        operation: Operation,
        sources: Vec<WeightedSource>,
        aggregation: ScoreAggregation,
        destination: Option<Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        let weights = check_sources(self.keyspace.limits(), &sources, destination.as_ref(), limit)?;
        let keys = sources.into_iter().map(|source| source.key).collect();
        let algebra = Algebra { operation, keys, weights, aggregation };
        if let Some(destination) = destination {
            let handle = self.keyspace.clone();
            let write = self.keyspace.write(move |tx, keyspace| algebra.store(tx, keyspace, &destination, &mut handle.result()));
            let size = write.await?;
            return Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed());
        }
        let mut reserved = self.keyspace.result();
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let scores = algebra.scores(&snapshot, keyspace, &mut reserved)?;
            Ok((first_members(scores, limit), reserved))
        });
        let (members, reserved) = read.await?;
        Ok(reserved.stream(members.into_iter().map(AlgebraOutcome::Entry)))
    }
}

#[async_trait]
impl SortedSetOperations for SortedSets {
    async fn union(&self, _: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let aggregation = request.aggregation();
        let outcomes = self.compute(Operation::Union, request.sources, aggregation, request.destination, request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, _: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let aggregation = request.aggregation();
        let outcomes = self.compute(Operation::Intersection, request.sources, aggregation, request.destination, request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }
}
