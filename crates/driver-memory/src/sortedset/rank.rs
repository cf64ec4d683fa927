//! `sortedset_rank`

use async_trait::async_trait;

use super::SortedSets;
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{GetRankRequest, GetRankResponse, GetReverseRankRequest, GetReverseRankResponse, SortedSetRank},
};
use prism_driver::check;

impl SortedSets {
    /// The rank of a member from the least score, the size of the sorted set, and the score.
    fn find(&self, key: &[u8], member: &[u8]) -> Result<Option<(u64, u64, f64)>, Error> {
        check::key(&self.limits, key)?;
        let state = self.state()?;
        let found = state.sets.get(key).and_then(|set| set.score(member).map(|score| (set, score)));
        Ok(found.map(|(set, score)| (set.rank(score, member) as u64, set.len() as u64, score)))
    }
}

#[async_trait]
impl SortedSetRank for SortedSets {
    async fn get_rank(&self, _: &Context, request: GetRankRequest) -> Result<GetRankResponse, Error> {
        let found = self.find(&request.key, &request.member)?;
        Ok(found.map_or_else(GetRankResponse::default, |(rank, _, score)| GetRankResponse { rank: Some(rank), score: Some(score) }))
    }

    async fn get_reverse_rank(&self, _: &Context, request: GetReverseRankRequest) -> Result<GetReverseRankResponse, Error> {
        let found = self.find(&request.key, &request.member)?;
        Ok(found.map_or_else(GetReverseRankResponse::default, |(rank, size, score)| GetReverseRankResponse {
            rank: Some(size - 1 - rank),
            score: Some(score),
        }))
    }
}
