//! `sortedset_range`, in pages.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::{SortedSets, read_member};
use crate::{columns::unsigned, database::Parameters, error, keyspace::KeyspaceHandle, sql::Sql};
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

/// Members of a page, up to 4 MiB or one larger member. Columns: member, score, and the number of the member in the page.
macro_rules! sized {
    ($page:expr, $direction:literal) => {
        concat!(
            "SELECT member, score, number FROM (
                 SELECT member, score, row_number() OVER page - 1 AS number, sum(octet_length(member)) OVER page - octet_length(member) AS before
                 FROM (SELECT member, score FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2 ",
            $page,
            ") AS members WINDOW page AS (ORDER BY score ",
            $direction,
            ", member ",
            $direction,
            ")) AS sized WHERE before < 4194304 ORDER BY number"
        )
    };
}

macro_rules! order {
    ($direction:literal) => {
        concat!(" ORDER BY score ", $direction, ", ", start!("member"), " ", $direction, ", member ", $direction)
    };
}

/// A page of a range of ranks, with the first rank and the one after the last. Always at least one row.
macro_rules! ranks {
    ($direction:literal) => {
        Sql {
            text: concat!(
                "WITH total AS MATERIALIZED (SELECT count(*) AS size FROM {schema}.sorted_set_members WHERE keyspace = $1 AND key = $2),
                 span AS MATERIALIZED (
                     SELECT CASE WHEN $3 < 0 THEN greatest($3 + size, 0) ELSE $3 END AS first,
                         least(size, CASE WHEN $4 IS NULL THEN size WHEN $4 < 0 THEN $4 + size + 1 ELSE $4 + 1 END) AS last FROM total)
                 SELECT span.first, span.last, page.member, page.score FROM span LEFT JOIN (",
                sized!(
                    concat!(
                        order!($direction),
                        " LIMIT (SELECT greatest(0, least(last - first, $5)) FROM span) OFFSET (SELECT first FROM span)"
                    ),
                    $direction
                ),
                ") AS page ON true ORDER BY page.number"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::INT8, Type::INT8],
        }
    };
}

static RANKS: Sql = ranks!("ASC");
static REVERSE_RANKS: Sql = ranks!("DESC");

/// From a score and a member on, up to a score.
static SCORES_UP: Sql = Sql {
    text: sized!(
        concat!(
            "AND (score, ",
            start!("member"),
            ", member) >= ($3, ",
            start!("$4"),
            ", $4) AND score <= $5",
            order!("ASC"),
            " LIMIT $6 OFFSET $7"
        ),
        "ASC"
    ),
    types: &[Type::INT8, Type::BYTEA, Type::FLOAT8, Type::BYTEA, Type::FLOAT8, Type::INT8, Type::INT8],
};

/// From before a score and a member, down to a score.
static SCORES_DOWN_AFTER: Sql = Sql {
    text: sized!(
        concat!(
            "AND (score, ",
            start!("member"),
            ", member) < ($3, ",
            start!("$4"),
            ", $4) AND score >= $5",
            order!("DESC"),
            " LIMIT $6 OFFSET $7"
        ),
        "DESC"
    ),
    types: &[Type::INT8, Type::BYTEA, Type::FLOAT8, Type::BYTEA, Type::FLOAT8, Type::INT8, Type::INT8],
};

/// From a score on, down to a score.
static SCORES_DOWN: Sql = Sql {
    text: sized!(concat!("AND score <= $3 AND $4 IS NOT NULL AND score >= $5", order!("DESC"), " LIMIT $6 OFFSET $7"), "DESC"),
    types: &[Type::INT8, Type::BYTEA, Type::FLOAT8, Type::BYTEA, Type::FLOAT8, Type::INT8, Type::INT8],
};

/// The state of a range of ranks that is read.
struct RankReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
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
        let id = self.keyspace.id(&self.context).await?;
        let most = i64::try_from(self.remaining.min(RANK_PAGE_MEMBERS)).unwrap_or(1);
        let statement = if self.reverse { &REVERSE_RANKS } else { &RANKS };
        let parameters: Parameters<'_> = &[&id, &&self.key[..], &self.start, &self.stop, &most];
        let rows = self.keyspace.database.query(&self.context, statement, parameters).await?;
        let row = rows.first().ok_or_else(error::unexpected_reply)?;
        let (first, last): (i64, i64) = (row.get(0), row.get(1));
        let members = rows.iter().filter(|row| row.get::<_, Option<f64>>(3).is_some()).map(|row| read_member(row, 2));
        let page: Vec<_> =
            (first..).zip(members).map(|(rank, entry)| GetRangeResponse { entry: Some(entry), rank: unsigned(rank) }).collect();
        self.remaining -= page.len();
        self.start = first + i64::try_from(page.len()).unwrap_or(0);
        self.stop = Some(last - 1);
        let is_end = page.is_empty() || self.start >= last || self.remaining == 0;
        Ok((page, (!is_end).then_some(self)))
    }
}

/// The state of a range of scores that is read.
struct ScoreReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    key: Bytes,
    range: ScoreRange,
    /// Members until the limit of the request.
    remaining: usize,
}

impl ScoreReader {
    async fn page(mut self) -> Result<Page<GetRangeByScoreResponse, Self>, Error> {
        let Some((least, greatest)) = self.range.interval() else { return Ok((Vec::new(), None)) };
        let id = self.keyspace.id(&self.context).await?;
        let (statement, score, member, end) = match (&self.range.after, self.range.reverse) {
            (Some((score, member)), false) if *score >= least => (&SCORES_UP, *score, Bytes::from(next_after(member)), greatest),
            (_, false) => (&SCORES_UP, least, Bytes::new(), greatest),
            (Some((score, member)), true) if *score <= greatest => (&SCORES_DOWN_AFTER, *score, member.clone(), least),
            (_, true) => (&SCORES_DOWN, greatest, Bytes::new(), least),
        };
        let most = i64::try_from(self.remaining.min(PAGE_MEMBERS)).unwrap_or(1);
        let skip = i64::try_from(self.range.skip).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> = &[&id, &&self.key[..], &score, &&member[..], &end, &most, &skip];
        let rows = self.keyspace.database.query(&self.context, statement, parameters).await?;
        let members: Vec<ScoredMember> = rows.iter().map(|row| read_member(row, 0)).collect();
        self.remaining -= members.len();
        let is_end = members.is_empty() || self.remaining == 0;
        self.range.skip = 0;
        self.range.after = members.last().map(|last| (last.score, last.member.clone()));
        let message =
            |entry: ScoredMember| GetRangeByScoreResponse { cursor: self.range.cursor(entry.score, &entry.member), entry: Some(entry) };
        let page = members.into_iter().map(message).collect();
        Ok((page, (!is_end).then_some(self)))
    }
}

#[async_trait]
impl SortedSetRange for SortedSets {
    async fn get_range(&self, context: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let reader = RankReader {
            keyspace: self.keyspace.clone(),
            context: context.clone(),
            key: request.key,
            start: index::clamp(request.start),
            stop: request.stop.map(index::clamp),
            reverse: request.reverse,
            remaining: check::limit_or_all(request.limit),
        };
        Ok(stream_pages(reader, RankReader::page))
    }

    async fn get_range_by_score(
        &self,
        context: &Context,
        request: GetRangeByScoreRequest,
    ) -> Result<Messages<GetRangeByScoreResponse>, Error> {
        let range = ScoreRange::new(&self.keyspace.limits, &request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = ScoreReader { keyspace: self.keyspace.clone(), context: context.clone(), key: request.key, range, remaining };
        Ok(stream_pages(reader, ScoreReader::page))
    }
}
