//! `sortedset_rank`: the members before or after the member are counted in the index.

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::SortedSets;
use crate::{columns::unsigned, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{GetRankRequest, GetRankResponse, GetReverseRankRequest, GetReverseRankResponse, SortedSetRank},
};
use prism_driver::check;

macro_rules! count {
    ($comparison:literal) => {
        Sql {
            text: concat!(
                "WITH found AS MATERIALIZED (
                     SELECT score, member FROM {schema}.sorted_set_members
                     WHERE keyspace = $1 AND key = $2 AND identity = {schema}.member_identity($3))
                 SELECT found.score, (
                     SELECT count(*) FROM {schema}.sorted_set_members AS other WHERE other.keyspace = $1 AND other.key = $2
                         AND (other.score, ",
                start!("other.member"),
                ", other.member) ",
                $comparison,
                " (found.score, ",
                start!("found.member"),
                ", found.member)) FROM found"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA],
        }
    };
}

static BEFORE: Sql = count!("<");
static AFTER: Sql = count!(">");

impl SortedSets {
    /// The number of members that a statement counts, and the score of the member.
    async fn rank(&self, context: &Context, statement: &'static Sql, key: &Bytes, member: &Bytes) -> Result<Option<(u64, f64)>, Error> {
        check::key(&self.keyspace.limits, key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, statement, &[&id, &&key[..], &&member[..]]).await?;
        Ok(row.map(|row| (unsigned(row.get(1)), row.get(0))))
    }
}

#[async_trait]
impl SortedSetRank for SortedSets {
    async fn get_rank(&self, context: &Context, request: GetRankRequest) -> Result<GetRankResponse, Error> {
        let (rank, score) = self.rank(context, &BEFORE, &request.key, &request.member).await?.unzip();
        Ok(GetRankResponse { rank, score })
    }

    async fn get_reverse_rank(&self, context: &Context, request: GetReverseRankRequest) -> Result<GetReverseRankResponse, Error> {
        let (rank, score) = self.rank(context, &AFTER, &request.key, &request.member).await?.unzip();
        Ok(GetReverseRankResponse { rank, score })
    }
}
