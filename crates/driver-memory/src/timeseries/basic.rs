//! `timeseries_basic`

use std::ops::Bound;

use async_trait::async_trait;
use futures::stream;

use super::{TimeSeries, store::Points};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{
        DuplicatePolicy, InsertRequest, InsertResponse, Point, QueryRequest, QueryResponse, SeriesPoints, TimeSeriesBasic,
    },
};
use prism_driver::{
    check,
    time::{self, Millis},
    timeseries::{Labels, PAGE_POINTS, Span, check_insert, position::QueryPosition, selector::Selector, series},
};

/// The state of a query.
struct QueryReader {
    series: TimeSeries,
    selector: Selector,
    span: Span,
    reverse: bool,
    /// Points until the limit of the request, and of each series.
    remaining: usize,
    per_series: usize,
    position: Position,
}

/// A position in the order of a query.
enum Position {
    Start,
    Within(QueryPosition),
    /// Behind a series.
    After(Labels),
    End,
}

impl QueryReader {
    fn next(&mut self) -> Result<Option<QueryResponse>, Error> {
        let store = self.series.store()?;
        let (from, sent) = match &self.position {
            Position::Start => (Bound::Unbounded, None),
            Position::Within(QueryPosition { labels, time, sent }) => (Bound::Included(labels), Some((labels, *time, *sent))),
            Position::After(labels) => (Bound::Excluded(labels), None),
            Position::End => return Ok(None),
        };
        let Some((labels, points)) = store.next_series(&self.selector, from) else {
            drop(store);
            self.position = Position::End;
            return Ok(None);
        };
        let labels = labels.clone();
        let sent = sent.filter(|(within, ..)| **within == labels).map(|(_, time, sent)| (time, sent));
        let page = points.map_or_else(Vec::new, |points| {
            let most = self.per_series.saturating_sub(sent.map_or(0, |(_, sent)| sent as usize));
            let span = store.visible(&self.selector.name, self.span);
            read(points, span, sent.map(|(time, _)| time), self.reverse, most.min(self.remaining).min(PAGE_POINTS))
        });
        drop(store);
        let Some((last, _)) = page.last() else {
            self.position = Position::After(labels);
            return Ok(None);
        };
        let sent = sent.map_or(0, |(_, sent)| sent).saturating_add(u32::try_from(page.len()).unwrap_or(u32::MAX));
        let position = QueryPosition { labels, time: *last, sent };
        let cursor = position.encode(self.reverse, &self.selector.name);
        self.remaining -= page.len();
        let points = page.iter().map(|(time, value)| Point { point_time: Some(time::timestamp(*time)), value: *value }).collect();
        let response =
            QueryResponse { series: Some(SeriesPoints { series: Some(series(&self.selector.name, &position.labels)), points }), cursor };
        self.position = if self.remaining == 0 { Position::End } else { Position::Within(position) };
        Ok(Some(response))
    }
}

/// The next points of a series behind the last one that was sent.
fn read(points: &Points, span: Span, last: Option<Millis>, reverse: bool, most: usize) -> Vec<(Millis, f64)> {
    let mut span = span;
    match last {
        Some(last) if reverse => span.end = span.end.min(last),
        Some(last) => span.start = span.start.max(last.saturating_add(1)),
        None => {}
    }
    if span.is_empty() {
        return Vec::new();
    }
    let range = points.range(span.start..span.end).map(|(time, value)| (*time, *value));
    if reverse { range.rev().take(most).collect() } else { range.take(most).collect() }
}

#[async_trait]
impl TimeSeriesBasic for TimeSeries {
    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let keep = request.duplicate_policy() == DuplicatePolicy::Keep;
        let (series, overruled) = check_insert(request)?;
        let (written, skipped) = self.store()?.insert(series, keep)?;
        Ok(InsertResponse { written, skipped: skipped + overruled })
    }

    async fn query(&self, _: &Context, request: QueryRequest) -> Result<Messages<QueryResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let reader = QueryReader {
            span: Span::new(request.range.as_ref())?,
            position: QueryPosition::decode(request.reverse, &selector.name, &request.cursor)?.map_or(Position::Start, Position::Within),
            series: self.clone(),
            selector,
            reverse: request.reverse,
            remaining: check::limit_or_all(request.limit),
            per_series: check::limit_or_all(request.limit_per_series),
        };
        Ok(Box::pin(stream::try_unfold(reader, |mut reader| async move {
            while !matches!(reader.position, Position::End) {
                tokio::task::consume_budget().await;
                if let Some(response) = reader.next()? {
                    return Ok(Some((response, reader)));
                }
            }
            Ok(None)
        })))
    }
}
