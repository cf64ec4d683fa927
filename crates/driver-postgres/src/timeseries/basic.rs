//! `timeseries_basic`

use async_trait::async_trait;

use super::{
    TimeSeries,
    insert::encode_labels,
    points::{PointQuery, SeriesStart, StoredSeries, read_points, read_series},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{
        DuplicatePolicy, InsertRequest, InsertResponse, Point, QueryRequest, QueryResponse, SeriesPoints, TimeSeriesBasic,
    },
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    time::{self, Millis},
    timeseries::{PAGE_POINTS, Span, check_insert, position::QueryPosition, selector::Selector, series},
};

/// Most series that one statement looks at.
const PAGE_SERIES: usize = 1000;

/// The state of a query.
struct QueryReader {
    series: TimeSeries,
    context: Context,
    selector: Selector,
    span: Span,
    reverse: bool,
    /// Points until the limit of the request, and of each series.
    remaining: usize,
    per_series: usize,
    /// The point after which the current series continues.
    within: Option<QueryPosition>,
    start: SeriesStart,
}

impl QueryReader {
    async fn page(mut self) -> Result<Page<QueryResponse, Self>, Error> {
        let Some(name) = self.series.find_name(&self.context, &self.selector.name).await? else { return Ok((Vec::new(), None)) };
        let database = self.series.keyspace.database.clone();
        // While a series continues, no other one is needed.
        let most = if self.within.is_some() { 1 } else { PAGE_SERIES };
        let found = read_series(&database, &self.context, name, &self.selector, &self.start, most).await?;
        let within = self.within.take().filter(|position| found.selected.first().is_some_and(|first| first.labels == position.labels));
        let sent = within.as_ref().map_or(0, |position| position.sent as usize);
        let ids: Vec<i64> = found.selected.iter().map(|series| series.id).collect();
        let limit = self.remaining.min(PAGE_POINTS);
        let query = PointQuery {
            name,
            series: &ids,
            span: self.span,
            first_span: rest(self.span, within.as_ref(), self.reverse),
            reverse: self.reverse,
            // The series that continues is alone.
            per_series: self.per_series.saturating_sub(sent).min(limit),
            limit,
        };
        let points = if ids.is_empty() { Vec::new() } else { read_points(&database, &self.context, &query).await? };
        self.remaining -= points.len();
        let mut page = Vec::new();
        let mut last = None;
        for points in points.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((series, position)) = points.first().and_then(|(place, ..)| found.selected.get(*place)).zip(points.last()) else {
                continue;
            };
            let sent = u32::try_from(sent + points.len()).unwrap_or(u32::MAX);
            let position = QueryPosition { labels: series.labels.clone(), time: position.1, sent };
            page.push(self.message(points, &position));
            last = Some((series, position));
        }
        let is_full = points.len() == limit;
        let next = match last {
            // The next page continues the last series, if it may have more points.
            Some((series, position)) if is_full => Some(self.after(series, position)),
            _ => found.last.map(SeriesStart::After),
        };
        let Some(start) = next.filter(|_| self.remaining > 0) else { return Ok((page, None)) };
        self.start = start;
        Ok((page, Some(self)))
    }

    /// Where the page after a full one begins.
    fn after(&mut self, series: &StoredSeries, position: QueryPosition) -> SeriesStart {
        if position.sent as usize >= self.per_series {
            return SeriesStart::After(series.digest.clone());
        }
        let start = SeriesStart::At(encode_labels(&position.labels));
        self.within = Some(position);
        start
    }

    fn message(&self, points: &[(usize, Millis, f64)], position: &QueryPosition) -> QueryResponse {
        let series = Some(series(&self.selector.name, &position.labels));
        let points = points.iter().map(|(_, time, value)| Point { point_time: Some(time::timestamp(*time)), value: *value }).collect();
        QueryResponse { cursor: position.encode(self.reverse, &self.selector.name), series: Some(SeriesPoints { series, points }) }
    }
}

/// The part of a span that comes after a position.
fn rest(mut span: Span, after: Option<&QueryPosition>, reverse: bool) -> Span {
    match after.map(|position| position.time) {
        Some(last) if reverse => span.end = span.end.min(last),
        Some(last) => span.start = span.start.max(last.saturating_add(1)),
        None => {}
    }
    span
}

#[async_trait]
impl TimeSeriesBasic for TimeSeries {
    async fn insert(&self, context: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let keep = request.duplicate_policy() == DuplicatePolicy::Keep;
        let (series, overruled) = check_insert(request)?;
        let points: usize = series.iter().map(|new| new.points.len()).sum();
        let written = self.insert_points(context, &series, keep).await?;
        Ok(InsertResponse { written, skipped: (points as u64).saturating_sub(written) + overruled })
    }

    async fn query(&self, context: &Context, request: QueryRequest) -> Result<Messages<QueryResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let within = QueryPosition::decode(request.reverse, &selector.name, &request.cursor)?;
        let reader = QueryReader {
            series: self.clone(),
            context: context.clone(),
            span: Span::new(request.range.as_ref())?,
            start: within
                .as_ref()
                .map_or_else(|| SeriesStart::After(Vec::new()), |position| SeriesStart::At(encode_labels(&position.labels))),
            within,
            selector,
            reverse: request.reverse,
            remaining: check::limit_or_all(request.limit),
            per_series: check::limit_or_all(request.limit_per_series),
        };
        Ok(stream_pages(reader, QueryReader::page))
    }
}
