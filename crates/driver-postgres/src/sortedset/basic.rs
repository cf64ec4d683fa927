//! `sortedset_basic`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::SortedSets;
use crate::{
    columns::unsigned,
    error,
    locks::{LOCK, lock_number},
    sql::Sql,
};
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

/// The scores of members, in their order; NULL for those that are not there.
static SCORES: Sql = Sql {
    text: "SELECT stored.score FROM unnest($3::bytea[]) WITH ORDINALITY AS given (member, number)
           LEFT JOIN {schema}.sorted_set_members AS stored
               ON stored.keyspace = $1 AND stored.key = $2 AND stored.identity = {schema}.member_identity(given.member)
           ORDER BY given.number",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY],
};

/// Gives members their scores.
pub static WRITE: Sql = Sql {
    text: "INSERT INTO {schema}.sorted_set_members (keyspace, key, identity, score, member)
           SELECT $1, $2, {schema}.member_identity(member), score, member FROM unnest($3::bytea[], $4::float8[]) AS given (member, score)
           ON CONFLICT (keyspace, key, identity) DO UPDATE SET score = EXCLUDED.score",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::FLOAT8_ARRAY],
};

static REMOVE: Sql = Sql {
    text: "WITH removed AS (
               DELETE FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2
                   AND identity = ANY (ARRAY (SELECT {schema}.member_identity(member) FROM unnest($3::bytea[]) AS given (member)))
               RETURNING 1)
           SELECT count(*) FROM removed",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY],
};

#[async_trait]
impl SortedSetBasic for SortedSets {
    async fn add(&self, context: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        let Additions { members, numbers } = Additions::new(&self.keyspace.limits, &request)?;
        let (operation, id) = (request.operation(), self.keyspace.id(context).await?);
        let (key, lock) = (&request.key[..], lock_number("sortedset", id, &request.key));
        let given: Vec<&[u8]> = members.iter().map(|(member, _)| &member[..]).collect();
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), (&SCORES, &[&id, &key, &given])]).await?;
        let current: Vec<Option<f64>> = rows.iter().map(|row| row.get(0)).collect();
        let scores: Result<Vec<Option<f64>>, Error> =
            members.iter().zip(&current).map(|((_, given), current)| score_after(operation, *current, *given)).collect();
        let scores = match scores {
            Ok(scores) => scores,
            Err(error) => {
                session.roll_back().await?;
                return Err(error);
            }
        };
        let (mut added, mut changed) = (0, 0);
        let (mut written, mut written_scores): (Vec<&[u8]>, Vec<f64>) = (Vec::new(), Vec::new());
        for (((member, _), current), score) in members.iter().zip(&current).zip(&scores) {
            let Some(score) = score.filter(|score| *current != Some(*score)) else { continue };
            written.push(&member[..]);
            written_scores.push(score);
            if current.is_none() { added += 1 } else { changed += 1 }
        }
        if written.is_empty() {
            session.commit([]).await?;
        } else {
            session.commit([(&WRITE, &[&id, &key, &written, &written_scores])]).await?;
        }
        let numbers = request.members.iter().zip(numbers);
        let scores = numbers.map(|(given, number)| MemberScore { member: given.member.clone(), score: scores[number] }).collect();
        Ok(AddResponse { added, changed, scores })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.keyspace.limits, &request.key, &request.members)?;
        let id = self.keyspace.id(context).await?;
        let lock = lock_number("sortedset", id, &request.key);
        let members: Vec<&[u8]> = request.members.iter().map(|member| &member[..]).collect();
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), (&REMOVE, &[&id, &&request.key[..], &members])]).await?;
        session.commit([]).await?;
        Ok(RemoveResponse { removed: unsigned(rows.first().ok_or_else(error::unexpected_reply)?.get(0)) })
    }

    async fn get_score(&self, context: &Context, request: GetScoreRequest) -> Result<GetScoreResponse, Error> {
        check_members(&self.keyspace.limits, &request.key, &request.members)?;
        let id = self.keyspace.id(context).await?;
        let members: Vec<&[u8]> = request.members.iter().map(|member| &member[..]).collect();
        let rows = self.keyspace.database.query(context, &SCORES, &[&id, &&request.key[..], &members]).await?;
        let scores = request.members.iter().zip(&rows).map(|(member, row)| MemberScore { member: member.clone(), score: row.get(0) });
        Ok(GetScoreResponse { scores: scores.collect() })
    }
}
