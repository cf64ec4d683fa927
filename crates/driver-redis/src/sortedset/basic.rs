//! `sortedset_basic`

use async_trait::async_trait;
use redis::Value;

use super::{ADD, SortedSets, parse_score, score_text};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{
        AddRequest, AddResponse, GetScoreRequest, GetScoreResponse, MemberScore, RemoveRequest, RemoveResponse, SortedSetBasic,
    },
};
use prism_driver::{
    set::check_members,
    sortedset::{Additions, not_a_number},
};

#[async_trait]
impl SortedSetBasic for SortedSets {
    async fn add(&self, context: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        let additions = Additions::new(&self.limits, &request)?;
        let mut call = self.script(&ADD, &request.key).arg(request.operation().as_str_name());
        for (member, score) in &additions.members {
            call.push(&member[..]);
            call.push(score_text(*score));
        }
        let mut items = reply::list(self.call(context, &call).await?)?.into_iter();
        // The script returns nothing if an increment would make a score NaN.
        let (Some(added), Some(changed)) = (items.next(), items.next()) else { return Err(not_a_number()) };
        let scores = items.map(|score| if matches!(score, Value::Nil) { Ok(None) } else { parse_score(&score).map(Some) });
        let scores: Vec<Option<f64>> = scores.collect::<Result<_, _>>()?;
        let numbers = request.members.into_iter().zip(additions.numbers);
        let scores = numbers.map(|(given, number)| MemberScore { member: given.member, score: scores.get(number).copied().flatten() });
        Ok(AddResponse { added: reply::count(&added)?, changed: reply::count(&changed)?, scores: scores.collect() })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let mut command = redis::cmd("ZREM");
        command.arg(self.set_key(&request.key));
        for member in &request.members {
            command.arg(&member[..]);
        }
        Ok(RemoveResponse { removed: self.run(context, &command).await? })
    }

    async fn get_score(&self, context: &Context, request: GetScoreRequest) -> Result<GetScoreResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let mut command = redis::cmd("ZMSCORE");
        command.arg(self.set_key(&request.key));
        for member in &request.members {
            command.arg(&member[..]);
        }
        let scores = reply::list(self.run(context, &command).await?)?;
        let score = |(member, score)| {
            let score = if matches!(score, Value::Nil) { None } else { Some(parse_score(&score)?) };
            Ok(MemberScore { member, score })
        };
        Ok(GetScoreResponse { scores: request.members.into_iter().zip(scores).map(score).collect::<Result<_, Error>>()? })
    }
}
