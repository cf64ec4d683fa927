//! `timeseries_interpolation`

use std::ops::Bound;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::{TimeSeries, store::Points};
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{
        GridPoint, InterpolateLinearRequest, InterpolateLinearResponse, InterpolateStepRequest, InterpolateStepResponse, Series,
        TimeSeriesInterpolation,
    },
};
use prism_driver::{
    time::Millis,
    timeseries::{
        Labels, PAGE_POINTS, Span,
        grid::{Method, TimeGrid},
        selector::Selector,
        series,
    },
};

/// The state of a stream of values.
struct GridReader {
    series: TimeSeries,
    selector: Selector,
    grid: TimeGrid,
    /// The labels of the current series, and its next step.
    current: Option<(Labels, i64)>,
    done: bool,
}

/// Values of one series.
type Values = (Series, Vec<GridPoint>);

impl GridReader {
    /// Computes the values at the next [`PAGE_POINTS`] times of the current series, or goes on to the next one.
    fn next(&mut self) -> Result<Option<Values>, Error> {
        let store = self.series.store()?;
        let (from, step) = match &self.current {
            None => (Bound::Unbounded, 0),
            Some((labels, step)) if *step < self.grid.steps => (Bound::Included(labels), *step),
            Some((labels, _)) => (Bound::Excluded(labels), 0),
        };
        let Some((labels, points)) = store.next_series(&self.selector, from) else {
            drop(store);
            self.done = true;
            return Ok(None);
        };
        // The current series may be gone since its last page.
        let same = self.current.as_ref().is_some_and(|(current, _)| current == labels);
        let step = if same { step } else { 0 };
        let labels = labels.clone();
        let until = self.grid.steps.min(step + i64::try_from(PAGE_POINTS).unwrap_or(1));
        let visible = store.visible(&self.selector.name, Span { start: Millis::MIN, end: Millis::MAX });
        let values = points.map_or_else(Vec::new, |points| {
            (step..until).filter_map(|step| value(points, visible, self.grid, self.grid.time(step))).collect()
        });
        let until = if points.is_some() { until } else { self.grid.steps };
        drop(store);
        let found = series(&self.selector.name, &labels);
        self.current = Some((labels, until));
        Ok((!values.is_empty()).then_some((found, values)))
    }
}

fn value(points: &Points, visible: Span, grid: TimeGrid, time: Millis) -> Option<GridPoint> {
    if time < visible.start {
        return None;
    }
    let pair = |(time, value): (&Millis, &f64)| (*time, *value);
    let before = points.range(visible.start..=time).next_back().map(pair);
    let after = points.range((Bound::Excluded(time), Bound::Unbounded)).next().map(pair);
    grid.value(time, before, after)
}

impl TimeSeries {
    fn interpolate(&self, selector: Selector, grid: TimeGrid) -> Messages<Values> {
        let reader = GridReader { series: self.clone(), selector, grid, current: None, done: grid.steps == 0 };
        Box::pin(stream::try_unfold(reader, |mut reader| async move {
            while !reader.done {
                tokio::task::consume_budget().await;
                if let Some(values) = reader.next()? {
                    return Ok(Some((values, reader)));
                }
            }
            Ok(None)
        }))
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
        Ok(self.interpolate(selector, grid).map(move |values| values.map(message)).boxed())
    }

    async fn interpolate_step(&self, _: &Context, request: InterpolateStepRequest) -> Result<Messages<InterpolateStepResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        let grid = TimeGrid::new(Method::Step, request.grid.as_ref(), request.max_gap.as_ref())?;
        let message = |(series, points)| InterpolateStepResponse { series: Some(series), points };
        Ok(self.interpolate(selector, grid).map(move |values| values.map(message)).boxed())
    }
}
