//! `sortedset_lex`: the members that have the least score of their sorted set, in the order of their bytes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::{SortedSets, next_member};
use crate::{columns::read_bytes, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{GetRangeByLexRequest, GetRangeByLexResponse, SortedSetLex},
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    sortedset::{PAGE_MEMBERS, encode_lex_cursor, lex_start},
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

/// A range of members. It gets smaller during the stream.
struct MemberRange {
    /// The lower end, inclusive.
    lower: Bytes,
    /// The upper end, exclusive; `None` = no bound.
    upper: Option<Bytes>,
    reverse: bool,
    /// Members to leave out at the beginning.
    skip: i64,
}

impl MemberRange {
    fn new(request: &GetRangeByLexRequest) -> Result<Self, Error> {
        let after = lex_start(request.reverse, request.skip, &request.cursor)?;
        let lower =
            request.min.as_ref().map_or_else(Bytes::new, |min| if min.exclusive { next_member(&min.member) } else { min.member.clone() });
        let upper = request.max.as_ref().map(|max| if max.exclusive { max.member.clone() } else { next_member(&max.member) });
        let mut range = Self { lower, upper, reverse: request.reverse, skip: i64::try_from(request.skip).unwrap_or(i64::MAX) };
        if let Some(member) = after {
            range.continue_after(&member);
        }
        Ok(range)
    }

    fn continue_after(&mut self, member: &Bytes) {
        self.skip = 0;
        if !self.reverse {
            self.lower = next_member(member).max(std::mem::take(&mut self.lower));
        } else if self.upper.as_ref().is_none_or(|upper| upper > member) {
            self.upper = Some(member.clone());
        }
    }

    fn statement(&self) -> &'static Sql {
        match (self.upper.is_some(), self.reverse) {
            (true, false) => &UP,
            (true, true) => &DOWN,
            (false, false) => &UP_UNBOUNDED,
            (false, true) => &DOWN_UNBOUNDED,
        }
    }
}

/// The state of a range of members that is read.
struct MemberReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    key: Bytes,
    range: MemberRange,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    async fn page(mut self) -> Result<Page<GetRangeByLexResponse, Self>, Error> {
        let id = self.keyspace.id(&self.context).await?;
        let most = i64::try_from(self.remaining.min(PAGE_MEMBERS)).unwrap_or(1);
        let upper = self.range.upper.as_deref();
        let parameters: crate::database::Parameters<'_> = &[&id, &&self.key[..], &&self.range.lower[..], &upper, &most, &self.range.skip];
        let rows = self.keyspace.database.query(&self.context, self.range.statement(), parameters).await?;
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
        let range = MemberRange::new(&request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { keyspace: self.keyspace.clone(), context: context.clone(), key: request.key, range, remaining };
        Ok(stream_pages(reader, MemberReader::page))
    }
}
