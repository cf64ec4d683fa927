//! `timeseries_aggregation`. Windows are computed in the order of time, some at a time, so that neither their number nor the number of points
//! is limited by the memory.

use std::{collections::VecDeque, sync::Arc};

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
        AggregateFunction, AggregateRequest, AggregateResponse, RollupRequest, RollupResponse, TimeSeriesAggregation,
    },
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    results::ResultBytes,
    time::Millis,
    timeseries::{
        Labels, NewPoints, PAGE_POINTS, Span,
        aggregation::{AggregationPlan, MAX_GROUPS, WindowMap, group, too_many_groups},
        series,
    },
};

/// Points that one read passes over. The number is limited because a long read prevents checkpoints.
const POINTS_PER_READ: usize = 200_000;
/// Series that one read looks at.
const SERIES_PER_READ: usize = 10_000;
/// Windows that are computed together.
const WINDOWS: i64 = 1000;

/// The series of a selector.
async fn select(keyspace: &Arc<KeyspaceHandle>, plan: &Arc<AggregationPlan>) -> Result<Vec<(Labels, i64)>, Error> {
    let plan = plan.clone();
    let read = keyspace.read(move |connection, keyspace| {
        let snapshot = connection.unchecked_transaction()?;
        let mut selected = Vec::new();
        let Some(name) = names::find(&snapshot, keyspace, &plan.selector.name)? else { return Ok(selected) };
        rows::visit_series(&snapshot, name, &plan.selector, &SeriesStart::First, usize::MAX, |StoredSeries { id, labels }, _| {
            if selected.len() == MAX_GROUPS {
                return Err(too_many_groups().into());
            }
            selected.push((labels, id));
            Ok(true)
        })?;
        Ok(selected)
    });
    read.await
}

/// Computes the windows of a group of series, from the oldest to the newest.
struct GroupWindows {
    keyspace: Arc<KeyspaceHandle>,
    plan: Arc<AggregationPlan>,
    series: Arc<[i64]>,
    /// The time from which on no windows were computed yet.
    from: Millis,
    /// Number of points that were read.
    points: u64,
}

/// Windows that are being computed.
struct Slice {
    span: Span,
    /// The series that is read, and the time of its next point.
    at: usize,
    from: Millis,
    windows: WindowMap,
    /// The memory of the values for quantiles.
    values: ResultBytes,
    points: u64,
}

impl GroupWindows {
    fn new(keyspace: &Arc<KeyspaceHandle>, plan: &Arc<AggregationPlan>, series: Vec<i64>) -> Self {
        Self { keyspace: keyspace.clone(), plan: plan.clone(), series: series.into(), from: plan.span.start, points: 0 }
    }

    /// The next windows with points, at most [`WINDOWS`]; `None` at the end.
    async fn next(&mut self) -> Result<Option<WindowMap>, Error> {
        while let Some(span) = self.next_span().await? {
            let mut slice = Slice { span, at: 0, from: span.start, windows: WindowMap::new(), values: self.keyspace.result(), points: 0 };
            while slice.at < self.series.len() {
                let (plan, series) = (self.plan.clone(), self.series.clone());
                slice = self.keyspace.read(move |connection, keyspace| slice.read(connection, keyspace, &plan, &series)).await?;
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
    async fn next_span(&self) -> Result<Option<Span>, Error> {
        let mut oldest: Option<Millis> = None;
        let rest = Span { start: self.from, end: self.plan.span.end };
        for start in (0..self.series.len()).step_by(SERIES_PER_READ).filter(|_| !rest.is_empty()) {
            let (plan, series) = (self.plan.clone(), self.series.clone());
            let read = self.keyspace.read(move |connection, keyspace| {
                let snapshot = connection.unchecked_transaction()?;
                let Some(name) = names::find(&snapshot, keyspace, &plan.selector.name)? else { return Ok(None) };
                let mut visible = name.visible(rest);
                for id in series[start..].iter().take(SERIES_PER_READ) {
                    // Only an older point is of interest after the first one.
                    visible.end = rows::first_time(&snapshot, *id, visible)?.unwrap_or(visible.end);
                }
                Ok((visible.end < rest.end).then_some(visible.end))
            });
            oldest = oldest.into_iter().chain(read.await?).min();
        }
        Ok(oldest.map(|start| {
            let end = self.plan.windows.map_or(Millis::MAX, |windows| windows.end(windows.start(start), WINDOWS));
            Span { start, end: end.min(self.plan.span.end) }
        }))
    }
}

impl Slice {
    /// Adds at most [`POINTS_PER_READ`] points to the windows.
    fn read(mut self, connection: &Connection, keyspace: i64, plan: &AggregationPlan, series: &[i64]) -> DatabaseResult<Self> {
        let snapshot = connection.unchecked_transaction()?;
        let Some(name) = names::find(&snapshot, keyspace, &plan.selector.name)? else {
            self.at = series.len();
            return Ok(self);
        };
        let keeps_values = plan.aggregations.iter().any(|aggregation| aggregation.function() == AggregateFunction::Quantile);
        let mut read = 0;
        while let Some(id) = series.get(self.at)
            && read < POINTS_PER_READ
        {
            let (visible, first) = (name.visible(Span { start: self.from, ..self.span }), read);
            rows::visit_points(&snapshot, *id, visible, false, |time, value| {
                plan.add(&mut self.windows, time, value);
                self.from = time.saturating_add(1);
                read += 1;
                read < POINTS_PER_READ
            })?;
            self.points += (read - first) as u64;
            if keeps_values {
                self.values.add((read - first) * size_of::<f64>())?;
            }
            if read < POINTS_PER_READ {
                self.at += 1;
                self.from = self.span.start;
            }
        }
        drop(snapshot);
        Ok(self)
    }
}

/// The state of a stream of windows.
struct GroupReader {
    keyspace: Arc<KeyspaceHandle>,
    plan: Arc<AggregationPlan>,
    /// The groups that are left: the labels of the reply, and the series of the group.
    groups: VecDeque<(Labels, Vec<i64>)>,
    /// The current group, and its labels.
    current: Option<(Labels, GroupWindows)>,
    /// Windows until the limit of the request.
    remaining: usize,
}

impl GroupReader {
    async fn page(mut self) -> Result<Page<AggregateResponse, Self>, Error> {
        loop {
            let (labels, mut group) = match self.current.take() {
                Some(current) => current,
                None => match self.groups.pop_front() {
                    Some((labels, members)) => (labels, GroupWindows::new(&self.keyspace, &self.plan, members)),
                    None => return Ok((Vec::new(), None)),
                },
            };
            let Some(mut windows) = group.next().await? else { continue };
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

#[async_trait]
impl TimeSeriesAggregation for TimeSeries {
    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let remaining = check::limit_or_all(request.limit);
        let (plan, grouping) = AggregationPlan::aggregate(request)?;
        let plan = Arc::new(plan);
        let groups = group(select(&self.keyspace, &plan).await?, grouping.as_deref());
        let reader = GroupReader { keyspace: self.keyspace.clone(), plan, groups, current: None, remaining };
        Ok(stream_pages(reader, GroupReader::page))
    }

    async fn rollup(&self, _: &Context, request: RollupRequest) -> Result<RollupResponse, Error> {
        let (plan, destination) = AggregationPlan::rollup(request)?;
        let plan = Arc::new(plan);
        let mut response = RollupResponse::default();
        for (labels, id) in select(&self.keyspace, &plan).await? {
            let mut group = GroupWindows::new(&self.keyspace, &plan, vec![id]);
            while let Some(windows) = group.next().await? {
                let new = NewPoints { name: destination.clone(), labels: labels.clone(), points: plan.rolled_up(windows) };
                let write = self.keyspace.write(move |tx, keyspace| rows::insert(tx, keyspace, &new, false));
                response.points_written += write.await?.0;
            }
            response.points_read += group.points;
        }
        Ok(response)
    }
}
