//! `sortedset_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::{SortedSets, rows};
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
        let Additions { members, numbers } = Additions::new(self.keyspace.limits(), &request)?;
        let (operation, key) = (request.operation(), request.key);
        let write = self.keyspace.write(move |tx, keyspace| {
            let mut set = rows::find(tx.connection, keyspace, &key)?;
            let (mut added, mut changed) = (0, 0);
            let mut scores = Vec::with_capacity(members.len());
            for (member, given) in &members {
                let current = set.map_or(Ok(None), |set| set.score(tx.connection, member))?;
                let score = score_after(operation, current, *given)?;
                scores.push(score);
                let Some(score) = score.filter(|score| current != Some(*score)) else { continue };
                let stored = match set {
                    Some(set) => set,
                    None => *set.insert(rows::open(tx, keyspace, &key)?),
                };
                stored.write(tx, member, score)?;
                if current.is_none() { added += 1 } else { changed += 1 }
            }
            if let Some(mut set) = set.filter(|_| added > 0) {
                set.size += added;
                set.save(tx)?;
            }
            Ok((added.unsigned_abs(), changed, scores))
        });
        let (added, changed, scores) = write.await?;
        let numbers = request.members.into_iter().zip(numbers);
        let scores = numbers.map(|(given, number)| MemberScore { member: given.member, score: scores[number] }).collect();
        Ok(AddResponse { added, changed, scores })
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(self.keyspace.limits(), &request.key, &request.members)?;
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(mut set) = rows::find(tx.connection, keyspace, &request.key)? else { return Ok(0) };
            let before = set.size;
            for member in &request.members {
                set.remove(tx, member)?;
            }
            if set.size < before {
                set.save(tx)?;
            }
            Ok(set.size.abs_diff(before))
        });
        Ok(RemoveResponse { removed: write.await? })
    }

    async fn get_score(&self, _: &Context, request: GetScoreRequest) -> Result<GetScoreResponse, Error> {
        check_members(self.keyspace.limits(), &request.key, &request.members)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let set = rows::find(&snapshot, keyspace, &request.key)?;
            let score = |member: Bytes| Ok(MemberScore { score: set.map_or(Ok(None), |set| set.score(&snapshot, &member))?, member });
            request.members.into_iter().map(score).collect()
        });
        Ok(GetScoreResponse { scores: read.await? })
    }
}
