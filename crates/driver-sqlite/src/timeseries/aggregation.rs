//! `timeseries_aggregation`

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

/// Points that one read passes over. The number is limited because a long read prevents checkpoints.
const POINTS_PER_READ: usize = 200_000;
/// Series that one read looks at.
const SERIES_PER_READ: usize = 10_000;

/// Reads the points of a keyspace.
struct Source {
    keyspace: Arc<KeyspaceHandle>,
}

#[async_trait]
impl PointSource for Source {
    async fn select(&self, plan: &Arc<AggregationPlan>) -> Result<Vec<(Labels, i64)>, Error> {
        let plan = plan.clone();
        let read = self.keyspace.read(move |connection, keyspace| {
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

    async fn oldest(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, span: Span) -> Result<Option<Millis>, Error> {
        let mut oldest: Option<Millis> = None;
        for start in (0..series.len()).step_by(SERIES_PER_READ) {
            let (plan, series) = (plan.clone(), series.clone());
            let read = self.keyspace.read(move |connection, keyspace| {
                let snapshot = connection.unchecked_transaction()?;
                let Some(name) = names::find(&snapshot, keyspace, &plan.selector.name)? else { return Ok(None) };
                let mut visible = name.visible(span);
                for id in series[start..].iter().take(SERIES_PER_READ) {
                    // Only an older point is of interest after the first one.
                    visible.end = rows::first_time(&snapshot, *id, visible)?.unwrap_or(visible.end);
                }
                Ok((visible.end < span.end).then_some(visible.end))
            });
            oldest = oldest.into_iter().chain(read.await?).min();
        }
        Ok(oldest)
    }

    async fn read(&self, plan: &Arc<AggregationPlan>, series: &Arc<[i64]>, slice: Slice) -> Result<Slice, Error> {
        let (plan, series) = (plan.clone(), series.clone());
        self.keyspace.read(move |connection, keyspace| read_points(connection, keyspace, &plan, &series, slice)).await
    }

    async fn write(&self, points: NewPoints) -> Result<u64, Error> {
        Ok(self.keyspace.write(move |tx, keyspace| rows::insert(tx, keyspace, &points, false)).await?.0)
    }

    fn result(&self) -> ResultBytes {
        self.keyspace.result()
    }
}

/// Adds at most [`POINTS_PER_READ`] points to a slice.
fn read_points(connection: &Connection, keyspace: i64, plan: &AggregationPlan, series: &[i64], mut slice: Slice) -> DatabaseResult<Slice> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(name) = names::find(&snapshot, keyspace, &plan.selector.name)? else {
        slice.end(series.len());
        return Ok(slice);
    };
    let mut read = 0;
    while let Some(id) = series.get(slice.at)
        && read < POINTS_PER_READ
    {
        let (at, visible) = (slice.at, name.visible(Span { start: slice.from, ..slice.span }));
        let mut added = Ok(());
        rows::visit_points(&snapshot, *id, visible, false, |time, value| {
            added = slice.add(plan, at, time, value);
            read += 1;
            read < POINTS_PER_READ && added.is_ok()
        })?;
        added?;
        if read < POINTS_PER_READ {
            slice.end(at + 1);
        }
    }
    drop(snapshot);
    Ok(slice)
}

impl TimeSeries {
    fn source(&self) -> Source {
        Source { keyspace: self.keyspace.clone() }
    }
}

#[async_trait]
impl TimeSeriesAggregation for TimeSeries {
    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        aggregate(self.source(), request).await
    }

    async fn rollup(&self, _: &Context, request: RollupRequest) -> Result<RollupResponse, Error> {
        rollup(self.source(), request).await
    }
}
