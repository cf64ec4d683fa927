//! `list_range`, in pages.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::Lists;
use crate::{
    columns::{read_bytes, unsigned},
    database::Parameters,
    error,
    keyspace::KeyspaceHandle,
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::list::v1::{GetRangeRequest, GetRangeResponse, ListRange, TrimRequest, TrimResponse},
};
use prism_driver::{
    check, index,
    list::PAGE_ELEMENTS,
    pages::{Page, stream_pages},
};

/// A page of a range, up to 4 MiB or one larger element, with its first index and the one after the last of the range. Always at least one row.
static PAGE: Sql = Sql {
    text: "WITH list AS MATERIALIZED (
               SELECT coalesce(min(position), 0) AS origin, coalesce(max(position) - min(position) + 1, 0) AS length
               FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2),
           span AS MATERIALIZED (
               SELECT origin, CASE WHEN $3 < 0 THEN greatest($3 + length, 0) ELSE $3 END AS first,
                   least(length, CASE WHEN $4 IS NULL THEN length WHEN $4 < 0 THEN $4 + length + 1 ELSE $4 + 1 END) AS last FROM list)
           SELECT span.first, span.last, page.value FROM span LEFT JOIN LATERAL (
               SELECT position, value FROM (
                   SELECT position, value, sum(octet_length(value)) OVER (ORDER BY position) - octet_length(value) AS before
                   FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2
                       AND position >= span.origin + span.first AND position < span.origin + least(span.last, span.first + $5)) AS sized
               WHERE before < 4194304) AS page ON true ORDER BY page.position",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::INT8, Type::INT8],
};

static TRIM: Sql = Sql {
    text: "DELETE FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2 AND (position < $3 OR position >= $4)",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::INT8],
};

/// The state of a range that is read.
struct RangeReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    key: Bytes,
    /// The next index to read and the last one, negative ones from the right until the first page is read.
    start: i64,
    stop: Option<i64>,
    /// Elements until the limit of the request.
    remaining: usize,
}

impl RangeReader {
    /// Reads the next page. From then on, the range counts from the left.
    async fn page(mut self) -> Result<Page<GetRangeResponse, Self>, Error> {
        let id = self.keyspace.id(&self.context).await?;
        let most = i64::try_from(self.remaining.min(PAGE_ELEMENTS)).unwrap_or(1);
        let parameters: Parameters<'_> = &[&id, &&self.key[..], &self.start, &self.stop, &most];
        let rows = self.keyspace.database.query(&self.context, &PAGE, parameters).await?;
        let row = rows.first().ok_or_else(error::unexpected_reply)?;
        let (first, last): (i64, i64) = (row.get(0), row.get(1));
        let values = rows.iter().filter(|row| row.get::<_, Option<&[u8]>>(2).is_some()).map(|row| read_bytes(row, 2));
        let page: Vec<_> = (first..).zip(values).map(|(index, value)| GetRangeResponse { index: unsigned(index), value }).collect();
        self.remaining -= page.len();
        self.start = first + i64::try_from(page.len()).unwrap_or(0);
        self.stop = Some(last - 1);
        let is_end = page.is_empty() || self.start >= last || self.remaining == 0;
        Ok((page, (!is_end).then_some(self)))
    }
}

#[async_trait]
impl ListRange for Lists {
    async fn get_range(&self, context: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let reader = RangeReader {
            keyspace: self.keyspace.clone(),
            context: context.clone(),
            key: request.key,
            start: index::clamp(request.start),
            stop: request.stop.map(index::clamp),
            remaining: check::limit_or_all(request.limit),
        };
        Ok(stream_pages(reader, RangeReader::page))
    }

    async fn trim(&self, context: &Context, request: TrimRequest) -> Result<TrimResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let (id, key) = (self.keyspace.id(context).await?, &request.key[..]);
        let (session, list) = self.lock(context, id, key).await?;
        let kept = index::span(request.start, request.stop, list.len());
        let (first, last) = (list.at(kept.start), list.at(kept.end));
        session.commit([(&TRIM, &[&id, &key, &first, &last])]).await?;
        let length = kept.len() as u64;
        Ok(TrimResponse { removed: unsigned(list.length) - length, length })
    }
}
