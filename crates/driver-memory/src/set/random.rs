//! `set_random`

use async_trait::async_trait;
use bytes::Bytes;
use rand::Rng as _;

use super::{Sets, member_bytes};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetRandomMemberRequest, GetRandomMemberResponse, PopRandomMemberRequest, PopRandomMemberResponse, SetRandom},
};
use prism_driver::{
    check,
    set::{RANDOM_BYTES, random_limit},
};

#[async_trait]
impl SetRandom for Sets {
    async fn get_random_member(&self, _: &Context, request: GetRandomMemberRequest) -> Result<GetRandomMemberResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let limit = random_limit(request.limit)?;
        let state = self.state()?;
        let Some(set) = state.sets.get(&request.key) else { return Ok(GetRandomMemberResponse::default()) };
        let mut random = rand::rng();
        let numbers: Vec<usize> = if request.allow_repeats {
            (0..limit).map(|_| random.random_range(0..set.len())).collect()
        } else {
            rand::seq::index::sample(&mut random, set.len(), limit.min(set.len())).into_vec()
        };
        let mut bytes = 0;
        let mut members = Vec::with_capacity(numbers.len());
        for member in numbers.into_iter().filter_map(|number| set.get(number)) {
            members.push(member.clone());
            bytes += member.len();
            if bytes >= RANDOM_BYTES {
                break;
            }
        }
        Ok(GetRandomMemberResponse { members })
    }

    async fn pop_random_member(&self, _: &Context, request: PopRandomMemberRequest) -> Result<PopRandomMemberResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let limit = random_limit(request.limit)?;
        let mut state = self.state()?;
        let Some(set) = state.sets.get_mut(&request.key) else { return Ok(PopRandomMemberResponse::default()) };
        let mut random = rand::rng();
        let mut bytes = 0;
        let mut members: Vec<Bytes> = Vec::new();
        while members.len() < limit && bytes < RANDOM_BYTES && set.len() > 0 {
            if let Some(member) = set.remove_number(random.random_range(0..set.len())) {
                bytes += member.len();
                members.push(member);
            }
        }
        state.removed(&request.key, members.iter().map(member_bytes).sum());
        Ok(PopRandomMemberResponse { members })
    }
}
