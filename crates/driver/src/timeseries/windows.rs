//! Windows that are computed in the order of time, some at a time, so that neither their number nor the number of points is limited by the memory.
//!
//! A driver implements [`PointSource`], which reads points in pages.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;

use super::{
    Labels, NewPoints, PAGE_POINTS, Span,
    aggregation::{AggregationPlan, WindowMap, group},
    series,
};
use crate::{
    check,
    pages::{Page, stream_pages},
    results::ResultBytes,
    time::Millis,
};
use prism_call::{
    Error, Messages,
    proto::models::timeseries::v1::{AggregateFunction, AggregateRequest, AggregateResponse, RollupRequest, RollupResponse},
};

/// Windows that are computed together.
const WINDOWS: i64 = 1000;

/// Reads the points of series, which have numbers.
#[async_trait]
pub trait PointSource: Send + Sync + 'static {
    /// Returns the labels and numbers of the series of a plan, at most [`MAX_GROUPS`](super::aggregation::MAX_GROUPS).
    async fn select(&self, plan: &Arc<AggregationPlan>) -> Result<Vec<(Labels, i64)>, Error>;

    /// Returns the time of the oldest point of some series in a span.
    async fn oldest(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, span: Span) -> Result<Option<Millis>, Error>;

    /// Adds some points to a slice, in the order of series and of time, and calls [`Slice::end`] after the last one.
    async fn read(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, slice: Slice) -> Result<Slice, Error>;

    /// Writes points. Returns how many were written.
    async fn write(&self, points: NewPoints) -> Result<u64, Error>;

    /// An empty result that is computed as a whole.
    fn result(&self) -> ResultBytes;
}

/// Windows that are being computed.
pub struct Slice {
    /// The time of the windows.
    pub span: Span,
    /// The place of the series that is read, and the time from which on its points are missing.
    pub at: usize,
    /// See `at`.
    pub from: Millis,
    windows: WindowMap,
    keeps_values: bool,
    /// The memory of the values for quantiles.
    values: ResultBytes,
    points: u64,
}

impl Slice {
    fn new(plan: &AggregationPlan, span: Span, values: ResultBytes) -> Self {
        let keeps_values = plan.aggregations.iter().any(|aggregation| aggregation.function() == AggregateFunction::Quantile);
        Self { span, at: 0, from: span.start, windows: WindowMap::new(), keeps_values, values, points: 0 }
    }

    /// Adds a point of the series at a place.
    pub fn add(&mut self, plan: &AggregationPlan, at: usize, time: Millis, value: f64) -> Result<(), Error> {
        (self.at, self.from) = (at, time.saturating_add(1));
        self.points += 1;
        plan.add(&mut self.windows, time, value);
        if self.keeps_values { self.values.add(size_of::<f64>()) } else { Ok(()) }
    }

    /// Says that all points of the series before a place were added.
    pub fn end(&mut self, at: usize) {
        (self.at, self.from) = (at, self.span.start);
    }
}

/// Computes the windows of a group of series, from the oldest to the newest.
struct GroupWindows {
    series: Arc<[i64]>,
    /// The time from which on no windows were computed yet.
    from: Millis,
    /// Number of points that were read.
    points: u64,
}

impl GroupWindows {
    fn new(plan: &AggregationPlan, series: Vec<i64>) -> Self {
        Self { series: series.into(), from: plan.span.start, points: 0 }
    }

    /// The next windows with points, at most [`WINDOWS`]; `None` at the end.
    async fn next(&mut self, source: &impl PointSource, plan: &Arc<AggregationPlan>) -> Result<Option<WindowMap>, Error> {
        while let Some(span) = self.next_span(source, plan).await? {
            let mut slice = Slice::new(plan, span, source.result());
            while slice.at < self.series.len() {
                slice = source.read(plan, &self.series, slice).await?;
            }
            self.from = span.end;
            self.points += slice.points;
            if !slice.windows.is_empty() {
                return Ok(Some(slice.windows));
            }
        }
        Ok(None)
    }

    /// The time of the next windows, which begins with the oldest point that is left; `None` if none is left.
    async fn next_span(&self, source: &impl PointSource, plan: &Arc<AggregationPlan>) -> Result<Option<Span>, Error> {
        let rest = Span { start: self.from, end: plan.span.end };
        if rest.is_empty() {
            return Ok(None);
        }
        let oldest = source.oldest(plan, &self.series, rest).await?;
        Ok(oldest.map(|start| {
            let end = plan.windows.map_or(Millis::MAX, |windows| windows.end(windows.start(start), WINDOWS));
            Span { start, end: end.min(plan.span.end) }
        }))
    }
}

/// The state of a stream of windows.
struct GroupReader<S> {
    source: S,
    plan: Arc<AggregationPlan>,
    /// The groups that are left: the labels of the reply, and the series of the group.
    groups: VecDeque<(Labels, Vec<i64>)>,
    /// The current group, and its labels.
    current: Option<(Labels, GroupWindows)>,
    /// Windows until the limit of the request.
    remaining: usize,
}

impl<S: PointSource> GroupReader<S> {
    async fn page(mut self) -> Result<Page<AggregateResponse, Self>, Error> {
        loop {
            let (labels, mut group) = match self.current.take() {
                Some(current) => current,
                None => match self.groups.pop_front() {
                    Some((labels, members)) => (labels, GroupWindows::new(&self.plan, members)),
                    None => return Ok((Vec::new(), None)),
                },
            };
            let Some(mut windows) = group.next(&self.source, &self.plan).await? else { continue };
            let series = series(&self.plan.selector.name, &labels);
            let mut page = Vec::new();
            while self.remaining > 0 && !windows.is_empty() {
                let taken = self.plan.take_windows(&mut windows, self.remaining.min(PAGE_POINTS));
                self.remaining -= taken.len();
                page.push(AggregateResponse { series: Some(series.clone()), windows: taken });
            }
            self.current = Some((labels, group));
            return Ok((page, (self.remaining > 0).then_some(self)));
        }
    }
}

/// Serves Aggregate.
pub async fn aggregate(source: impl PointSource, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
    let remaining = check::limit_or_all(request.limit);
    let (plan, grouping) = AggregationPlan::aggregate(request)?;
    let plan = Arc::new(plan);
    let groups = group(source.select(&plan).await?, grouping.as_deref());
    Ok(stream_pages(GroupReader { source, plan, groups, current: None, remaining }, GroupReader::page))
}

/// Serves Rollup.
pub async fn rollup(source: impl PointSource, request: RollupRequest) -> Result<RollupResponse, Error> {
    let (plan, destination) = AggregationPlan::rollup(request)?;
    let plan = Arc::new(plan);
    let mut response = RollupResponse::default();
    for (labels, id) in source.select(&plan).await? {
        let mut group = GroupWindows::new(&plan, vec![id]);
        while let Some(windows) = group.next(&source, &plan).await? {
            let new = NewPoints { name: destination.clone(), labels: labels.clone(), points: plan.rolled_up(windows) };
            response.points_written += source.write(new).await?;
        }
        response.points_read += group.points;
    }
    Ok(response)
}
