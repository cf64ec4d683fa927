//! `sortedset_operations`: the members of all sources are read with one statement, so they are of one instant. Scores are combined here, because
//! PostgreSQL refuses those that overflow.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::{Row, types::Type};

use super::{SortedSets, basic::WRITE, read_member};
use crate::{
    error,
    locks::{LOCK, lock_number},
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        IntersectionRequest, IntersectionResponse, ScoreAggregation, ScoredMember, SortedSetOperations, UnionRequest, UnionResponse,
        WeightedSource,
    },
};
use prism_driver::{
    results::{MAX_RESULT_BYTES, ResultBytes},
    sortedset::{AlgebraOutcome, check_sources, combine, first_members, weighted},
};

/// Bytes that a member of a source counts in addition to its content.
const OVERHEAD: usize = 128;

/// The members of sources that are in at least this many of them, until they have too many bytes. Columns: member, score, and the number of the
/// source, from 1.
static READ: Sql = Sql {
    text: "SELECT member, score, number FROM (
               SELECT member, score, number, identity,
                   sum(octet_length(member) + 128) OVER (ORDER BY number, identity) - octet_length(member) - 128 AS before
               FROM (
                   SELECT member, score, number, identity, count(*) OVER (PARTITION BY identity) AS sources
                   FROM unnest($2::bytea[]) WITH ORDINALITY AS source (key, number)
                   JOIN {schema}.sorted_set_members AS stored ON stored.keyspace = $1 AND stored.key = source.key) AS found
               WHERE sources >= $3) AS sized
           WHERE before <= $4 ORDER BY number, identity",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::INT8, Type::INT8],
};

static CLEAR: Sql =
    Sql { text: "DELETE FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2", types: &[Type::INT8, Type::BYTEA] };

/// What a call computes.
struct Algebra {
    keys: Vec<Bytes>,
    /// The weight of each source.
    weights: Vec<f64>,
    /// In how many sources a member must be.
    least_sources: usize,
    aggregation: ScoreAggregation,
}

impl Algebra {
    /// The members of the result with their scores, in any order.
    fn scores(&self, rows: &[Row], reserved: &mut ResultBytes) -> Result<HashMap<Bytes, f64>, Error> {
        reserved.add(rows.iter().map(|row| row.get::<_, &[u8]>(0).len() + OVERHEAD).sum())?;
        let mut scores: HashMap<Bytes, f64> = HashMap::new();
        for row in rows {
            let ScoredMember { member, score } = read_member(row, 0);
            let source = usize::try_from(row.get::<_, i64>(2) - 1).ok();
            let weight = source.and_then(|source| self.weights.get(source)).ok_or_else(error::unexpected_reply)?;
            let score = weighted(score, *weight);
            scores.entry(member).and_modify(|sum| *sum = combine(self.aggregation, *sum, score)).or_insert(score);
        }
        Ok(scores)
    }
}

impl SortedSets {
    async fn compute(
        &self,
        context: &Context,
        algebra: Algebra,
        destination: Option<Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        let id = self.keyspace.id(context).await?;
        let keys: Vec<&[u8]> = algebra.keys.iter().map(|key| &key[..]).collect();
        let least_sources = i64::try_from(algebra.least_sources).unwrap_or(1);
        let most = i64::try_from(MAX_RESULT_BYTES).unwrap_or(i64::MAX);
        let read: crate::database::Parameters<'_> = &[&id, &keys, &least_sources, &most];
        let mut reserved = self.keyspace.results.result();
        let Some(destination) = destination else {
            let scores = algebra.scores(&self.keyspace.database.query(context, &READ, read).await?, &mut reserved)?;
            return Ok(reserved.stream(first_members(scores, limit).into_iter().map(AlgebraOutcome::Entry)));
        };
        let (key, lock) = (&destination[..], lock_number("sortedset", id, &destination));
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), (&READ, read)]).await?;
        let scores = match algebra.scores(&rows, &mut reserved) {
            Ok(scores) => scores,
            Err(error) => {
                session.roll_back().await?;
                return Err(error);
            }
        };
        let (members, values): (Vec<&[u8]>, Vec<f64>) = scores.iter().map(|(member, score)| (&member[..], *score)).unzip();
        session.commit([(&CLEAR, &[&id, &key]), (&WRITE, &[&id, &key, &members, &values])]).await?;
        Ok(stream::iter([Ok(AlgebraOutcome::Stored(members.len() as u64))]).boxed())
    }

    /// Checks an operation. In an intersection, a member must be in all sources.
    fn algebra(
        &self,
        sources: Vec<WeightedSource>,
        is_intersection: bool,
        aggregation: ScoreAggregation,
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Algebra, Error> {
        let weights = check_sources(&self.keyspace.limits, &sources, destination, limit)?;
        let keys: Vec<Bytes> = sources.into_iter().map(|source| source.key).collect();
        Ok(Algebra { least_sources: if is_intersection { keys.len() } else { 1 }, keys, weights, aggregation })
    }
}

#[async_trait]
impl SortedSetOperations for SortedSets {
    async fn union(&self, context: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let (aggregation, destination) = (request.aggregation(), request.destination);
        let algebra = self.algebra(request.sources, false, aggregation, destination.as_ref(), request.limit)?;
        Ok(self.compute(context, algebra, destination, request.limit).await?.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, context: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let (aggregation, destination) = (request.aggregation(), request.destination);
        let algebra = self.algebra(request.sources, true, aggregation, destination.as_ref(), request.limit)?;
        Ok(self.compute(context, algebra, destination, request.limit).await?.map_ok(Into::into).boxed())
    }
}
