//! `sortedset_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::{SortedSets, key_bytes, member_bytes};
use prism_call::{
    Context, Error,
    proto::models::sortedset::v1::{
        AddRequest, AddResponse, GetScoreRequest, GetScoreResponse, MemberScore, RemoveRequest, RemoveResponse, SortedSetBasic,
    },
};
use prism_driver::{
    set::check_members,
    sortedset::{Additions, score_after},
};

#[async_trait]
impl SortedSetBasic for SortedSets {
    async fn add(&self, _: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        let additions = Additions::new(&self.limits, &request)?;
        let operation = request.operation();
        let mut state = self.state()?;
        let present = state.sets.get(&request.key);
        let (mut added, mut changed, mut bytes) = (0, 0, 0);
        let mut scores = Vec::with_capacity(additions.members.len());
        for (member, given) in &additions.members {
            let current = present.and_then(|set| set.score(member));
            let score = score_after(operation, current, *given)?;
            if current.is_none() && score.is_some() {
                added += 1;
                bytes += member_bytes(member);
            }
            changed += u64::from(current.is_some() && current != score);
            scores.push(score);
        }
        if present.is_none() && added > 0 {
            bytes += key_bytes(&request.key);
        }
        self.shared.reserve(bytes)?;
        if added + changed > 0 {
            let set = state.sets.entry(Bytes::copy_from_slice(&request.key)).or_default();
            for ((member, _), score) in additions.members.iter().zip(&scores) {
                if let Some(score) = score {
                    set.set(member, *score);
                }
            }
        }
        drop(state);
        let numbers = request.members.into_iter().zip(additions.numbers);
        let scores = numbers.map(|(given, number)| MemberScore { member: given.member, score: scores[number] }).collect();
        Ok(AddResponse { added, changed, scores })
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let mut state = self.state()?;
        let Some(set) = state.sets.get_mut(&request.key) else { return Ok(RemoveResponse { removed: 0 }) };
        let removed: Vec<Bytes> = request.members.iter().filter_map(|member| set.remove(member)).collect();
        let mut bytes = removed.iter().map(member_bytes).sum();
        if set.len() == 0 {
            state.sets.remove(&request.key);
            bytes += key_bytes(&request.key);
        }
        self.shared.release(bytes);
        Ok(RemoveResponse { removed: removed.len() as u64 })
    }

    async fn get_score(&self, _: &Context, request: GetScoreRequest) -> Result<GetScoreResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let state = self.state()?;
        let set = state.sets.get(&request.key);
        let score = |member: Bytes| MemberScore { score: set.and_then(|set| set.score(&member)), member };
        Ok(GetScoreResponse { scores: request.members.into_iter().map(score).collect() })
    }
}
