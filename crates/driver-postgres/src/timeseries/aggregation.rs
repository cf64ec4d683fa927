//! `timeseries_aggregation`: points are read in pages, and numbers are computed in the gateway, as in every other driver.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    TimeSeries,
    points::{PointQuery, SeriesStart, read_oldest, read_points, read_series},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{AggregateRequest, AggregateResponse, RollupRequest, RollupResponse, TimeSeriesAggregation},
};
use prism_driver::{
    results::ResultBytes,
    time::Millis,
    timeseries::{
        Labels, NewPoints, Span,
        aggregation::{AggregationPlan, MAX_GROUPS, too_many_groups},
        windows::{PointSource, Slice, aggregate, rollup},
    },
};

/// Points that one statement reads.
const POINTS_PER_READ: usize = 20_000;
/// Series that one statement looks at.
const SERIES_PER_READ: usize = 1000;

/// Reads the points of a keyspace, until the deadline of the call.
struct Source {
    series: TimeSeries,
    context: Context,
}

#[async_trait]
impl PointSource for Source {
    async fn select(&self, plan: &Arc<AggregationPlan>) -> Result<Vec<(Labels, i64)>, Error> {
        let mut selected = Vec::new();
        let Some(name) = self.series.find_name(&self.context, &plan.selector.name).await? else { return Ok(selected) };
        let database = &self.series.keyspace.database;
        let mut next = Some(SeriesStart::After(Vec::new()));
        while let Some(start) = next {
            let page = read_series(database, &self.context, name, &plan.selector, &start, SERIES_PER_READ).await?;
            selected.extend(page.selected.into_iter().map(|series| (series.labels, series.id)));
            if selected.len() > MAX_GROUPS {
                return Err(too_many_groups());
            }
            next = page.last.map(SeriesStart::After);
        }
        Ok(selected)
    }

    async fn oldest(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, span: Span) -> Result<Option<Millis>, Error> {
        let Some(name) = self.series.find_name(&self.context, &plan.selector.name).await? else { return Ok(None) };
        let database = &self.series.keyspace.database;
        let (mut oldest, mut span) = (None, span);
        for series in series.chunks(SERIES_PER_READ) {
            if let Some(time) = read_oldest(database, &self.context, name, series, span).await? {
                // Only an older point is of interest after the first one.
                (oldest, span.end) = (Some(time), time);
            }
        }
        Ok(oldest)
    }

    async fn read(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, mut slice: Slice) -> Result<Slice, Error> {
        let Some(name) = self.series.find_name(&self.context, &plan.selector.name).await? else {
            slice.end(series.len());
            return Ok(slice);
        };
        let start = slice.at;
        let members = &series[start..series.len().min(start + SERIES_PER_READ)];
        let query = PointQuery {
            name,
            series: members,
            span: slice.span,
            first_span: Span { start: slice.from, ..slice.span },
            reverse: false,
            per_series: POINTS_PER_READ,
            limit: POINTS_PER_READ,
        };
        let points = read_points(&self.series.keyspace.database, &self.context, &query).await?;
        for (place, time, value) in &points {
            slice.add(plan, start + place, *time, *value)?;
        }
        if points.len() < POINTS_PER_READ {
            slice.end(start + members.len());
        }
        Ok(slice)
    }

    async fn write(&self, points: NewPoints) -> Result<u64, Error> {
        self.series.insert_points(&self.context, &[points], false).await
    }

    fn result(&self) -> ResultBytes {
        self.series.keyspace.results.result()
    }
}

impl TimeSeries {
    fn source(&self, context: &Context) -> Source {
        Source { series: self.clone(), context: context.clone() }
    }
}

#[async_trait]
impl TimeSeriesAggregation for TimeSeries {
    async fn aggregate(&self, context: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        aggregate(self.source(context), request).await
    }

    async fn rollup(&self, context: &Context, request: RollupRequest) -> Result<RollupResponse, Error> {
        rollup(self.source(context), request).await
    }
}
