//! `sortedset_range`, in pages.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

use super::{SortedSets, rows};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        GetRangeByScoreRequest, GetRangeByScoreResponse, GetRangeRequest, GetRangeResponse, ScoredMember, SortedSetRange,
    },
};
use prism_driver::{
    check, index,
    pages::{Page, stream_pages},
    range::next_after,
    sortedset::{PAGE_MEMBERS, ScoreRange},
};

/// Most members of a page of a range of ranks. Pages are large, because each of them first passes over the rows before it.
const RANK_PAGE_MEMBERS: usize = 10_000;

/// The state of a range of ranks that is read.
struct RankReader {
    keyspace: Arc<KeyspaceHandle>,
    key: Bytes,
    /// The next rank to read and the last one, negative ones from the end until the first page is read.
    start: i64,
    stop: Option<i64>,
    reverse: bool,
    /// Members until the limit of the request.
    remaining: usize,
}

impl RankReader {
    async fn page(mut self) -> Result<Page<GetRangeResponse, Self>, Error> {
        let (key, start, stop, reverse) = (self.key.clone(), self.start, self.stop, self.reverse);
        let most = self.remaining.min(RANK_PAGE_MEMBERS);
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(set) = rows::find(&snapshot, keyspace, &key)? else { return Ok((0..0, Vec::new())) };
            let ranks = index::span(start, stop, usize::try_from(set.size).unwrap_or(usize::MAX));
            let statement = if reverse {
                "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 ORDER BY score DESC, member DESC LIMIT ?2 OFFSET ?3"
            } else {
                "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 ORDER BY score, member LIMIT ?2 OFFSET ?3"
            };
            let mut select = snapshot.prepare_cached(statement)?;
            let (members, _) = rows::read_page(select.query((set.id, integer(ranks.len()), integer(ranks.start)))?, most)?;
            Ok((ranks, members))
        });
        let (ranks, members) = read.await?;
        let next = ranks.start + members.len();
        self.remaining -= members.len();
        self.start = integer(next);
        self.stop = Some(integer(ranks.end) - 1);
        let page = ranks.clone().zip(members).map(|(rank, entry)| GetRangeResponse { entry: Some(entry), rank: rank as u64 }).collect();
        Ok((page, (next < ranks.end && self.remaining > 0).then_some(self)))
    }
}

/// A number of rows for a statement.
fn integer(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The state of a range of scores that is read.
struct ScoreReader {
    keyspace: Arc<KeyspaceHandle>,
    key: Bytes,
    range: ScoreRange,
    /// Members until the limit of the request.
    remaining: usize,
}

impl ScoreReader {
    async fn page(mut self) -> Result<Page<GetRangeByScoreResponse, Self>, Error> {
        let Some(scores) = self.range.interval() else { return Ok((Vec::new(), None)) };
        let (key, range, most) = (self.key.clone(), self.range.clone(), self.remaining.min(PAGE_MEMBERS));
        let read = self.keyspace.read(move |connection, keyspace| page(connection, keyspace, &key, scores, &range, most));
        let (members, more) = read.await?;
        self.remaining -= members.len();
        self.range.skip = 0;
        self.range.after = members.last().map(|last| (last.score, last.member.clone()));
        let message =
            |entry: ScoredMember| GetRangeByScoreResponse { cursor: self.range.cursor(entry.score, &entry.member), entry: Some(entry) };
        let page = members.into_iter().map(message).collect();
        Ok((page, (more && self.remaining > 0).then_some(self)))
    }
}

/// Reads a page of a range of scores, and returns whether there may be more members.
fn page(
    connection: &Connection,
    keyspace: i64,
    key: &[u8],
    (least, greatest): (f64, f64),
    range: &ScoreRange,
    most: usize,
) -> DatabaseResult<(Vec<ScoredMember>, bool)> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(set) = rows::find(&snapshot, keyspace, key)? else { return Ok((Vec::new(), false)) };
    let skip = i64::try_from(range.skip).unwrap_or(i64::MAX);
    // The bound from which a page begins is one comparison of score and member, so that SQLite begins at the right row of the index.
    match (&range.after, range.reverse) {
        (after, false) => {
            let mut select = snapshot.prepare_cached(
                "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 AND (score, member) >= (?2, ?3) AND score <= ?4
                 ORDER BY score, member LIMIT -1 OFFSET ?5",
            )?;
            let (score, member) = match after {
                Some((score, member)) if *score >= least => (*score, next_after(member)),
                _ => (least, Vec::new()),
            };
            rows::read_page(select.query((set.id, score, member, greatest, skip))?, most)
        }
        (Some((score, member)), true) if *score <= greatest => {
            let mut select = snapshot.prepare_cached(
                "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 AND (score, member) < (?2, ?3) AND score >= ?4
                 ORDER BY score DESC, member DESC",
            )?;
            rows::read_page(select.query((set.id, score, &member[..], least))?, most)
        }
        (_, true) => {
            let mut select = snapshot.prepare_cached(
                "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 AND score <= ?2 AND score >= ?3
                 ORDER BY score DESC, member DESC LIMIT -1 OFFSET ?4",
            )?;
            rows::read_page(select.query((set.id, greatest, least, skip))?, most)
        }
    }
}

#[async_trait]
impl SortedSetRange for SortedSets {
    async fn get_range(&self, _: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let reader = RankReader {
            keyspace: self.keyspace.clone(),
            key: request.key,
            start: request.start,
            stop: request.stop,
            reverse: request.reverse,
            remaining: check::limit_or_all(request.limit),
        };
        Ok(stream_pages(reader, RankReader::page))
    }

    async fn get_range_by_score(&self, _: &Context, request: GetRangeByScoreRequest) -> Result<Messages<GetRangeByScoreResponse>, Error> {
        let range = ScoreRange::new(self.keyspace.limits(), &request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = ScoreReader { keyspace: self.keyspace.clone(), key: request.key, range, remaining };
        Ok(stream_pages(reader, ScoreReader::page))
    }
}
