//! `sortedset_lex`: the members that have the least score of their sorted set, in the order of their bytes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::SortedSets;
use crate::{columns::read_bytes, database::Parameters, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{GetRangeByLexRequest, GetRangeByLexResponse, SortedSetLex},
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    sortedset::{LexRange, PAGE_MEMBERS, encode_lex_cursor},
};

/// A page of members, up to 4 MiB or one larger member. Comparisons of the first bytes are for the index.
macro_rules! page {
    ($upper:expr, $direction:literal) => {
        Sql {
            text: concat!(
                "SELECT member FROM (
                     SELECT member, row_number() OVER page - 1 AS number, sum(octet_length(member)) OVER page - octet_length(member) AS before FROM (
                         SELECT member FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2
                             AND score = (SELECT min(score) FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2)
                             AND ",
                start!("member"),
                " >= ",
                start!("$3"),
                " AND member >= $3 AND ",
                $upper,
                " ORDER BY ",
                start!("member"),
                " ",
                $direction,
                ", member ",
                $direction,
                " LIMIT $5 OFFSET $6) AS members
                     WINDOW page AS (ORDER BY member ",
                $direction,
                ")) AS sized WHERE before < 4194304 ORDER BY number"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::INT8, Type::INT8],
        }
    };
}

macro_rules! bounded {
    () => {
        concat!(start!("member"), " <= ", start!("$4"), " AND member < $4")
    };
}

static UP: Sql = page!(bounded!(), "ASC");
static DOWN: Sql = page!(bounded!(), "DESC");
static UP_UNBOUNDED: Sql = page!("$4 IS NULL", "ASC");
static DOWN_UNBOUNDED: Sql = page!("$4 IS NULL", "DESC");

/// The statement for a page of a range.
fn statement(range: &LexRange) -> &'static Sql {
    match (range.upper.is_some(), range.reverse) {
        (true, false) => &UP,
        (true, true) => &DOWN,
        (false, false) => &UP_UNBOUNDED,
        (false, true) => &DOWN_UNBOUNDED,
    }
}

/// The state of a range of members that is read.
struct MemberReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    key: Bytes,
    range: LexRange,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    async fn page(mut self) -> Result<Page<GetRangeByLexResponse, Self>, Error> {
        let id = self.keyspace.id(&self.context).await?;
        let most = i64::try_from(self.remaining.min(PAGE_MEMBERS)).unwrap_or(1);
        let upper = self.range.upper.as_deref();
        let parameters: Parameters<'_> = &[&id, &&self.key[..], &&self.range.lower[..], &upper, &most, &self.range.skip];
        let rows = self.keyspace.database.query(&self.context, statement(&self.range), parameters).await?;
        let members: Vec<Bytes> = rows.iter().map(|row| read_bytes(row, 0)).collect();
        self.remaining -= members.len();
        let is_end = members.is_empty() || self.remaining == 0;
        if let Some(last) = members.last() {
            self.range.continue_after(last);
        }
        let reverse = self.range.reverse;
        let message = |member: Bytes| GetRangeByLexResponse { cursor: encode_lex_cursor(reverse, &member), member };
        Ok((members.into_iter().map(message).collect(), (!is_end).then_some(self)))
    }
}

#[async_trait]
impl SortedSetLex for SortedSets {
    async fn get_range_by_lex(&self, context: &Context, request: GetRangeByLexRequest) -> Result<Messages<GetRangeByLexResponse>, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let range = LexRange::new(&request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { keyspace: self.keyspace.clone(), context: context.clone(), key: request.key, range, remaining };
        Ok(stream_pages(reader, MemberReader::page))
    }
}
