//! `timeseries_interpolation`: for each time of the grid, the points before and after it are looked up.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use rusqlite::Connection;

use super::{
    TimeSeries,
    names::{self, SeriesName},
    rows::{self, SeriesStart},
};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{
        GridPoint, InterpolateLinearRequest, InterpolateLinearResponse, InterpolateStepRequest, InterpolateStepResponse, Series,
        TimeSeriesInterpolation,
    },
};
use prism_driver::pages::{Page, stream_pages};
use prism_driver::timeseries::{
    PAGE_POINTS,
    grid::{Method, TimeGrid},
    selector::Selector,
    series,
};

/// Values of one series.
type Values = (Series, Vec<GridPoint>);

/// The state of a stream of values.
struct GridReader {
    keyspace: Arc<KeyspaceHandle>,
    selector: Arc<Selector>,
    grid: TimeGrid,
    /// The encoded labels of the series that continues, and its next step.
    within: Option<(Vec<u8>, i64)>,
    /// Where to begin if no series continues.
    start: SeriesStart,
}

impl GridReader {
    async fn page(self) -> Result<Page<Values, Self>, Error> {
        let handle = self.keyspace.clone();
        handle.read(move |connection, keyspace| self.read(connection, keyspace)).await
    }

    /// Computes the values at [`PAGE_POINTS`] times, of one or of several series.
    fn read(mut self, connection: &Connection, keyspace: i64) -> DatabaseResult<Page<Values, Self>> {
        let snapshot = connection.unchecked_transaction()?;
        let mut page = Vec::new();
        let Some(name) = names::find(&snapshot, keyspace, &self.selector.name)? else { return Ok((page, None)) };
        let start = match &self.within {
            Some((labels, _)) => SeriesStart::At(labels.clone()),
            None => std::mem::replace(&mut self.start, SeriesStart::First),
        };
        let mut room = i64::try_from(PAGE_POINTS).unwrap_or(1);
        let selector = self.selector.clone();
        let last = rows::visit_series(&snapshot, name, &selector, &start, PAGE_POINTS, |found, encoded| {
            let from = self.within.take().filter(|(labels, _)| labels == encoded).map_or(0, |(_, step)| step);
            let until = self.grid.steps.min(from + room);
            room -= until - from;
            let values = self.values(&snapshot, name, found.id, from..until)?;
            if !values.is_empty() {
                page.push((series(&selector.name, &found.labels), values));
            }
            self.within = (until < self.grid.steps).then(|| (encoded.to_vec(), until));
            Ok(room > 0)
        })?;
        drop(snapshot);
        let Some(last) = last else { return Ok((page, None)) };
        self.start = SeriesStart::After(last);
        Ok((page, Some(self)))
    }

    fn values(
        &self,
        connection: &Connection,
        name: SeriesName,
        series: i64,
        steps: std::ops::Range<i64>,
    ) -> DatabaseResult<Vec<GridPoint>> {
        let oldest = name.oldest();
        let mut values = Vec::new();
        for step in steps {
            let time = self.grid.time(step);
            let Some(before) = rows::point_before(connection, series, oldest, time)? else { continue };
            let after = if before.0 == time { None } else { rows::point_after(connection, series, time)? };
            values.extend(self.grid.value(time, Some(before), after));
        }
        Ok(values)
    }
}

impl TimeSeries {
    fn interpolate(&self, selector: Selector, grid: TimeGrid) -> Messages<Values> {
        if grid.steps == 0 {
            return futures::stream::empty().boxed();
        }
        let (keyspace, selector) = (self.keyspace.clone(), Arc::new(selector));
        stream_pages(GridReader { keyspace, selector, grid, within: None, start: SeriesStart::First }, GridReader::page)
    }
}

#[async_trait]
impl TimeSeriesInterpolation for TimeSeries {
    async fn interpolate_linear(
        &self,
        _: &Context,
        request: InterpolateLinearRequest,
    ) -> Result<Messages<InterpolateLinearResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let grid = TimeGrid::new(Method::Linear, request.grid.as_ref(), request.max_gap.as_ref())?;
        let message = |(series, points)| InterpolateLinearResponse { series: Some(series), points };
        Ok(self.interpolate(selector, grid).map_ok(message).boxed())
    }

    async fn interpolate_step(&self, _: &Context, request: InterpolateStepRequest) -> Result<Messages<InterpolateStepResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let grid = TimeGrid::new(Method::Step, request.grid.as_ref(), request.max_gap.as_ref())?;
        let message = |(series, points)| InterpolateStepResponse { series: Some(series), points };
        Ok(self.interpolate(selector, grid).map_ok(message).boxed())
    }
}
