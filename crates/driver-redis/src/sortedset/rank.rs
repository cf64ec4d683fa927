//! `sortedset_rank`

use async_trait::async_trait;
use redis::Value;

use super::{RANK, SortedSets, parse_score};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{GetRankRequest, GetRankResponse, GetReverseRankRequest, GetReverseRankResponse, SortedSetRank},
};
use prism_driver::check;

impl SortedSets {
    /// The rank, by one of the commands `ZRANK` and `ZREVRANK`, and the score.
    async fn find(&self, context: &Context, command: &str, key: &[u8], member: &[u8]) -> Result<Option<(u64, f64)>, Error> {
        check::key(&self.limits, key)?;
        let reply = self.call(context, &self.script(&RANK, key).arg(command).arg(member)).await?;
        if matches!(reply, Value::Nil) {
            return Ok(None);
        }
        let [rank, score] = reply::fixed_list(reply)?;
        Ok(Some((reply::count(&rank)?, parse_score(&score)?)))
    }
}

#[async_trait]
impl SortedSetRank for SortedSets {
    async fn get_rank(&self, context: &Context, request: GetRankRequest) -> Result<GetRankResponse, Error> {
        let (rank, score) = self.find(context, "ZRANK", &request.key, &request.member).await?.unzip();
        Ok(GetRankResponse { rank, score })
    }

    async fn get_reverse_rank(&self, context: &Context, request: GetReverseRankRequest) -> Result<GetReverseRankResponse, Error> {
        let (rank, score) = self.find(context, "ZREVRANK", &request.key, &request.member).await?.unzip();
        Ok(GetReverseRankResponse { rank, score })
    }
}
