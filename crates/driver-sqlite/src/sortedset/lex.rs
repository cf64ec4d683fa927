//! `sortedset_lex`: the members that have the least score of their sorted set, in the order of their bytes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

use super::{SortedSets, rows};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{GetRangeByLexRequest, GetRangeByLexResponse, ScoredMember, SortedSetLex},
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    sortedset::{LexRange, PAGE_MEMBERS, encode_lex_cursor},
};

/// The state of a range of members that is read.
struct MemberReader {
    keyspace: Arc<KeyspaceHandle>,
    key: Bytes,
    range: LexRange,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    async fn page(mut self) -> Result<Page<GetRangeByLexResponse, Self>, Error> {
        let (key, range, most) = (self.key.clone(), self.range.clone(), self.remaining.min(PAGE_MEMBERS));
        let read = self.keyspace.read(move |connection, keyspace| page(connection, keyspace, &key, &range, most));
        let (members, more) = read.await?;
        self.remaining -= members.len();
        if let Some(last) = members.last() {
            self.range.continue_after(&last.member);
        }
        let reverse = self.range.reverse;
        let message =
            |entry: ScoredMember| GetRangeByLexResponse { cursor: encode_lex_cursor(reverse, &entry.member), member: entry.member };
        let page = members.into_iter().map(message).collect();
        Ok((page, (more && self.remaining > 0).then_some(self)))
    }
}

macro_rules! statement {
    ($end:literal, $order:literal) => {
        concat!(
            "SELECT member, score FROM sorted_set_members WHERE set_id = ?1 AND score = ?2 AND member >= ?3 ",
            $end,
            " ORDER BY ",
            $order,
            " LIMIT -1 OFFSET ?5"
        )
    };
}

/// Reads a page, and returns whether there may be more members.
fn page(connection: &Connection, keyspace: i64, key: &[u8], range: &LexRange, most: usize) -> DatabaseResult<(Vec<ScoredMember>, bool)> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(set) = rows::find(&snapshot, keyspace, key)? else { return Ok((Vec::new(), false)) };
    let score = set.least_score(&snapshot)?;
    // Without an upper bound, the statement has no comparison with it: a comparison with NULL is never true.
    let statement = match (range.upper.is_some(), range.reverse) {
        (true, false) => statement!("AND member < ?4", "member"),
        (true, true) => statement!("AND member < ?4", "member DESC"),
        (false, false) => statement!("AND ?4 IS NULL", "member"),
        (false, true) => statement!("AND ?4 IS NULL", "member DESC"),
    };
    let mut select = snapshot.prepare_cached(statement)?;
    rows::read_page(select.query((set.id, score, &range.lower[..], range.upper.as_deref(), range.skip))?, most)
}

#[async_trait]
impl SortedSetLex for SortedSets {
    async fn get_range_by_lex(&self, _: &Context, request: GetRangeByLexRequest) -> Result<Messages<GetRangeByLexResponse>, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let range = LexRange::new(&request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { keyspace: self.keyspace.clone(), key: request.key, range, remaining };
        Ok(stream_pages(reader, MemberReader::page))
    }
}
