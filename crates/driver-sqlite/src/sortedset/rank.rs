//! `sortedset_rank`: a rank is the number of rows before the member, which are counted in the index.

use async_trait::async_trait;
use bytes::Bytes;

use super::{SortedSets, rows};
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{GetRankRequest, GetRankResponse, GetReverseRankRequest, GetReverseRankResponse, SortedSetRank},
};
use prism_driver::check;

/// Where a member is.
struct Rank {
    /// Number of members before it.
    before: u64,
    /// Number of members after it.
    after: u64,
    score: f64,
}

impl SortedSets {
    async fn find(&self, key: Bytes, member: Bytes) -> Result<Option<Rank>, Error> {
        check::key(self.keyspace.limits(), &key)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(set) = rows::find(&snapshot, keyspace, &key)? else { return Ok(None) };
            let Some(score) = set.score(&snapshot, &member)? else { return Ok(None) };
            let mut count =
                snapshot.prepare_cached("SELECT count(*) FROM sorted_set_members WHERE set_id = ?1 AND (score, member) < (?2, ?3)")?;
            let before: i64 = count.query_row((set.id, score, &member[..]), |row| row.get(0))?;
            Ok(Some(Rank { before: before.unsigned_abs(), after: (set.size - 1 - before).unsigned_abs(), score }))
        });
        read.await
    }
}

#[async_trait]
impl SortedSetRank for SortedSets {
    async fn get_rank(&self, _: &Context, request: GetRankRequest) -> Result<GetRankResponse, Error> {
        let found = self.find(request.key, request.member).await?;
        Ok(found.map_or_else(GetRankResponse::default, |rank| GetRankResponse { rank: Some(rank.before), score: Some(rank.score) }))
    }

    async fn get_reverse_rank(&self, _: &Context, request: GetReverseRankRequest) -> Result<GetReverseRankResponse, Error> {
        let found = self.find(request.key, request.member).await?;
        Ok(found.map_or_else(GetReverseRankResponse::default, |rank| GetReverseRankResponse {
            rank: Some(rank.after),
            score: Some(rank.score),
        }))
    }
}
