//! `set_random`: a random member is one with a random number.

use async_trait::async_trait;
use bytes::Bytes;
use rand::Rng as _;

use super::{Sets, rows};
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
        check::key(self.keyspace.limits(), &request.key)?;
        let limit = random_limit(request.limit)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let mut members: Vec<Bytes> = Vec::new();
            let Some(set) = rows::find(&snapshot, keyspace, &request.key)? else { return Ok(members) };
            let (mut random, size) = (rand::rng(), usize::try_from(set.size).unwrap_or(usize::MAX));
            let indexes: Vec<usize> = if request.allow_repeats {
                (0..limit).map(|_| random.random_range(0..size)).collect()
            } else {
                rand::seq::index::sample(&mut random, size, limit.min(size)).into_vec()
            };
            let mut bytes = 0;
            for index in indexes {
                let member = set.member(&snapshot, i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1))?.into_member();
                bytes += member.len();
                members.push(member);
                if bytes >= RANDOM_BYTES {
                    break;
                }
            }
            Ok(members)
        });
        Ok(GetRandomMemberResponse { members: read.await? })
    }

    async fn pop_random_member(&self, _: &Context, request: PopRandomMemberRequest) -> Result<PopRandomMemberResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let limit = random_limit(request.limit)?;
        let write = self.keyspace.remove(move |tx, keyspace| {
            let mut members: Vec<Bytes> = Vec::new();
            let Some(mut set) = rows::find(tx.connection, keyspace, &request.key)? else { return Ok(members) };
            let (mut random, mut bytes) = (rand::rng(), 0);
            while members.len() < limit && bytes < RANDOM_BYTES && set.size > 0 {
                let member = set.member(tx.connection, random.random_range(1..=set.size))?;
                set.remove(tx, &member.identity)?;
                let member = member.into_member();
                bytes += member.len();
                members.push(member);
            }
            set.save(tx)?;
            Ok(members)
        });
        Ok(PopRandomMemberResponse { members: write.await? })
    }
}
