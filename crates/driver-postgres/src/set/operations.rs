//! `set_operations`: a result is read with one statement, so it is of one instant, or is stored without leaving the database.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_postgres::types::Type;

use super::{Sets, slices};
use crate::{
    columns::{read_bytes, unsigned},
    error,
    locks::{LOCK, lock_number},
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        DifferenceRequest, DifferenceResponse, IntersectionRequest, IntersectionResponse, SetOperations, UnionRequest, UnionResponse,
    },
};
use prism_driver::{
    results::MAX_RESULT_BYTES,
    set::{Algebra, AlgebraOutcome, check_algebra},
};

/// Bytes that a member of a result counts in addition to its content.
const OVERHEAD: usize = 64;

/// The identities and members of a result. Parameters: the keyspace, the first set, and the others.
macro_rules! union {
    () => {
        "SELECT DISTINCT ON (identity) identity, member FROM {schema}.set_members WHERE keyspace = $1 AND (key = $2 OR key = ANY ($3)) ORDER BY identity"
    };
}

macro_rules! intersection {
    () => {
        "SELECT identity, member FROM {schema}.set_members AS stored WHERE keyspace = $1 AND key = $2 AND NOT EXISTS (
             SELECT 1 FROM unnest($3::bytea[]) AS others (key) WHERE NOT EXISTS (
                 SELECT 1 FROM {schema}.set_members AS other
                 WHERE other.keyspace = $1 AND other.key = others.key AND other.identity = stored.identity)) ORDER BY identity"
    };
}

macro_rules! difference {
    () => {
        "SELECT identity, member FROM {schema}.set_members AS stored WHERE keyspace = $1 AND key = $2 AND NOT EXISTS (
             SELECT 1 FROM {schema}.set_members AS other
             WHERE other.keyspace = $1 AND other.key = ANY ($3) AND other.identity = stored.identity) ORDER BY identity"
    };
}

/// Reads a result until it has too many bytes.
macro_rules! read {
    ($result:expr) => {
        Sql {
            text: concat!(
                "SELECT member FROM (
                     SELECT coalesce(member, identity) AS member, identity,
                         sum(octet_length(coalesce(member, identity)) + 64) OVER (ORDER BY identity) - octet_length(coalesce(member, identity)) - 64 AS before
                     FROM (",
                $result,
                " LIMIT $4) AS result) AS sized WHERE before <= $5 ORDER BY identity"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::INT8, Type::INT8],
        }
    };
}

/// Replaces the members of a set by a result, and returns its size.
macro_rules! store {
    ($result:expr) => {
        Sql {
            text: concat!(
                "WITH result AS MATERIALIZED (",
                $result,
                "),
                 gone AS (
                     DELETE FROM {schema}.set_members AS stored WHERE keyspace = $1 AND key = $4
                         AND NOT EXISTS (SELECT 1 FROM result WHERE result.identity = stored.identity)),
                 added AS (
                     INSERT INTO {schema}.set_members (keyspace, key, identity, member) SELECT $1, $4, identity, member FROM result
                     ON CONFLICT DO NOTHING)
                 SELECT count(*) FROM result"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::BYTEA],
        }
    };
}

static READ_UNION: Sql = read!(union!());
static READ_INTERSECTION: Sql = read!(intersection!());
static READ_DIFFERENCE: Sql = read!(difference!());
static STORE_UNION: Sql = store!(union!());
static STORE_INTERSECTION: Sql = store!(intersection!());
static STORE_DIFFERENCE: Sql = store!(difference!());

impl Sets {
    async fn compute(
        &self,
        context: &Context,
        algebra: Algebra,
        keys: &[Bytes],
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        check_algebra(&self.keyspace.limits, keys, destination, limit)?;
        let id = self.keyspace.id(context).await?;
        let Some((first, others)) = keys.split_first() else { return Err(error::unexpected_reply()) };
        let (first, others) = (&first[..], slices(others));
        if let Some(destination) = destination {
            let statement = match algebra {
                Algebra::Union => &STORE_UNION,
                Algebra::Intersection => &STORE_INTERSECTION,
                Algebra::Difference => &STORE_DIFFERENCE,
            };
            let lock = lock_number("set", id, destination);
            let mut session = self.keyspace.database.session(context).await?;
            let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), (statement, &[&id, &first, &others, &&destination[..]])]).await?;
            session.commit([]).await?;
            let size = unsigned(rows.first().ok_or_else(error::unexpected_reply)?.get(0));
            return Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed());
        }
        let statement = match algebra {
            Algebra::Union => &READ_UNION,
            Algebra::Intersection => &READ_INTERSECTION,
            Algebra::Difference => &READ_DIFFERENCE,
        };
        let (limit, most) = ((limit > 0).then_some(i64::from(limit)), i64::try_from(MAX_RESULT_BYTES).unwrap_or(i64::MAX));
        let rows = self.keyspace.database.query(context, statement, &[&id, &first, &others, &limit, &most]).await?;
        let mut reserved = self.keyspace.results.result();
        reserved.add(rows.iter().map(|row| row.get::<_, &[u8]>(0).len() + OVERHEAD).sum())?;
        let members: Vec<Bytes> = rows.iter().map(|row| read_bytes(row, 0)).collect();
        Ok(reserved.stream(members.into_iter().map(AlgebraOutcome::Member)))
    }
}

#[async_trait]
impl SetOperations for Sets {
    async fn union(&self, context: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Union, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, context: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Intersection, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn difference(&self, context: &Context, request: DifferenceRequest) -> Result<Messages<DifferenceResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Difference, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }
}
