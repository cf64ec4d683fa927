//! `timeseries_basic`

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    TimeSeries, names,
    rows::{self, SeriesStart, StoredSeries},
};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{
        DuplicatePolicy, InsertRequest, InsertResponse, Point, QueryRequest, QueryResponse, SeriesPoints, TimeSeriesBasic,
    },
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    time,
    timeseries::{Labels, PAGE_POINTS, Span, check_insert, position::QueryPosition, selector::Selector, series},
};

/// Most series that one read looks at.
const PAGE_SERIES: usize = 1000;

/// The state of a query.
struct QueryReader {
    keyspace: Arc<KeyspaceHandle>,
    selector: Arc<Selector>,
    span: Span,
    reverse: bool,
    /// Points until the limit of the request, and of each series.
    remaining: usize,
    per_series: usize,
    /// The point after which the current series continues.
    within: Option<QueryPosition>,
    /// Where to begin if no series continues.
    start: SeriesStart,
}

impl QueryReader {
    async fn page(self) -> Result<Page<QueryResponse, Self>, Error> {
        let handle = self.keyspace.clone();
        handle.read(move |connection, keyspace| self.read(connection, keyspace)).await
    }

    /// Reads at most [`PAGE_POINTS`] points, of one or of several series.
    fn read(mut self, connection: &Connection, keyspace: i64) -> DatabaseResult<Page<QueryResponse, Self>> {
        let snapshot = connection.unchecked_transaction()?;
        let mut page = Vec::new();
        let Some(name) = names::find(&snapshot, keyspace, &self.selector.name)? else { return Ok((page, None)) };
        let visible = name.visible(self.span);
        let mut room = PAGE_POINTS;
        let start = match &self.within {
            Some(position) => SeriesStart::At(rows::encode_labels(&position.labels)),
            None => std::mem::replace(&mut self.start, SeriesStart::First),
        };
        let selector = self.selector.clone();
        let last = rows::visit_series(&snapshot, name, &selector, &start, PAGE_SERIES, |found, _| {
            let StoredSeries { id, labels } = found;
            let within = self.within.take().filter(|position| position.labels == labels);
            let sent = within.as_ref().map_or(0, |position| position.sent);
            let most = self.per_series.saturating_sub(sent as usize).min(self.remaining);
            let points = read_points(&snapshot, id, visible, within.as_ref(), self.reverse, most.min(room))?;
            room -= points.len();
            self.remaining -= points.len();
            let is_full = points.len() < most && room == 0;
            let position = self.push(&mut page, labels, points, sent);
            // The next page continues this series, which may have more points.
            self.within = if is_full { position.or(within) } else { None };
            Ok(room > 0 && self.remaining > 0)
        })?;
        drop(snapshot);
        let Some(last) = last.filter(|_| self.remaining > 0) else { return Ok((page, None)) };
        self.start = SeriesStart::After(last);
        Ok((page, Some(self)))
    }

    /// Adds a message with points of a series to a page. Returns the position after them.
    fn push(&self, page: &mut Vec<QueryResponse>, labels: Labels, points: Vec<Point>, sent: u32) -> Option<QueryPosition> {
        let last = points.last()?.point_time.as_ref().map(time::millis)?;
        let sent = sent.saturating_add(u32::try_from(points.len()).unwrap_or(u32::MAX));
        let position = QueryPosition { labels, time: last, sent };
        let series = Some(series(&self.selector.name, &position.labels));
        page.push(QueryResponse {
            cursor: position.encode(self.reverse, &self.selector.name),
            series: Some(SeriesPoints { series, points }),
        });
        Some(position)
    }
}

/// The next points of a series, after a position in it.
fn read_points(
    connection: &Connection,
    series: i64,
    mut span: Span,
    after: Option<&QueryPosition>,
    reverse: bool,
    most: usize,
) -> DatabaseResult<Vec<Point>> {
    match after.map(|position| position.time) {
        Some(last) if reverse => span.end = span.end.min(last),
        Some(last) => span.start = span.start.max(last.saturating_add(1)),
        None => {}
    }
    let mut points = Vec::new();
    if most > 0 && !span.is_empty() {
        rows::visit_points(connection, series, span, reverse, |time, value| {
            points.push(Point { point_time: Some(time::timestamp(time)), value });
            points.len() < most
        })?;
    }
    Ok(points)
}

#[async_trait]
impl TimeSeriesBasic for TimeSeries {
    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let keep = request.duplicate_policy() == DuplicatePolicy::Keep;
        let (series, overruled) = check_insert(request)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let mut response = InsertResponse { written: 0, skipped: overruled };
            for new in &series {
                let (written, skipped) = rows::insert(tx, keyspace, new, keep)?;
                response.written += written;
                response.skipped += skipped;
            }
            Ok(response)
        });
        write.await
    }

    async fn query(&self, _: &Context, request: QueryRequest) -> Result<Messages<QueryResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let reader = QueryReader {
            keyspace: self.keyspace.clone(),
            span: Span::new(request.range.as_ref())?,
            within: QueryPosition::decode(request.reverse, &selector.name, &request.cursor)?,
            selector: Arc::new(selector),
            reverse: request.reverse,
            remaining: check::limit_or_all(request.limit),
            per_series: check::limit_or_all(request.limit_per_series),
            start: SeriesStart::First,
        };
        Ok(stream_pages(reader, QueryReader::page))
    }
}
