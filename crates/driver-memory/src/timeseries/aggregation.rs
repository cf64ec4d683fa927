//! `timeseries_aggregation`. Points are read in pages, so no lock is held for long.

use std::{collections::VecDeque, ops::Bound};

use async_trait::async_trait;
use futures::stream;

use super::TimeSeries;
use prism_call::{
    Context, Error, Messages,
    proto::models::timeseries::v1::{AggregateRequest, AggregateResponse, RollupRequest, RollupResponse, TimeSeriesAggregation},
};
use prism_driver::{
    check,
    timeseries::{
        Labels, NewPoints,
        aggregation::{AggregationPlan, MAX_GROUPS, WindowMap, group, too_many_groups},
        selector::Selector,
        series,
    },
};

/// Points that are read while the lock is held once.
const POINTS_PER_LOCK: usize = 10_000;

impl TimeSeries {
    /// The series of a selector.
    async fn select(&self, selector: &Selector) -> Result<Vec<Labels>, Error> {
        let mut selected = Vec::new();
        let mut last: Option<Labels> = None;
        loop {
            tokio::task::consume_budget().await;
            let store = self.store()?;
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let Some((labels, points)) = store.next_series(selector, from) else { return Ok(selected) };
            let labels = labels.clone();
            if points.is_some() {
                if selected.len() == MAX_GROUPS {
                    return Err(too_many_groups());
                }
                selected.push(labels.clone());
            }
            last = Some(labels);
        }
    }

    /// Adds the points of a series to the windows of its group. Returns how many points there were.
    async fn accumulate(&self, plan: &AggregationPlan, labels: &Labels, windows: &mut WindowMap) -> Result<u64, Error> {
        let mut span = plan.span;
        let mut count = 0;
        loop {
            tokio::task::consume_budget().await;
            let store = self.store()?;
            let visible = store.visible(&plan.selector.name, span);
            let Some(points) = store.points(&plan.selector.name, labels).filter(|_| !visible.is_empty()) else { return Ok(count) };
            let mut read = 0;
            for (time, value) in points.range(visible.start..visible.end).take(POINTS_PER_LOCK) {
                plan.add(windows, *time, *value);
                span.start = time.saturating_add(1);
                read += 1;
            }
            count += read as u64;
            if read < POINTS_PER_LOCK {
                return Ok(count);
            }
        }
    }
}

/// The state of a stream of windows.
struct GroupReader {
    series: TimeSeries,
    plan: AggregationPlan,
    /// The groups that are left: the labels of the reply, and the series of the group.
    groups: VecDeque<(Labels, Vec<Labels>)>,
    /// The windows of the current group that are left, and its labels.
    current: (Labels, WindowMap),
    /// Windows until the limit of the request.
    remaining: usize,
}

impl GroupReader {
    async fn next(mut self) -> Result<Option<(AggregateResponse, Self)>, Error> {
        if self.remaining == 0 {
            return Ok(None);
        }
        while self.current.1.is_empty() {
            let Some((labels, members)) = self.groups.pop_front() else { return Ok(None) };
            let mut windows = WindowMap::new();
            for member in &members {
                self.series.accumulate(&self.plan, member, &mut windows).await?;
            }
            self.current = (labels, windows);
        }
        let (labels, windows) = &mut self.current;
        let page = self.plan.take_windows(windows, self.remaining);
        self.remaining -= page.len();
        let response = AggregateResponse { series: Some(series(&self.plan.selector.name, labels)), windows: page };
        Ok(Some((response, self)))
    }
}

#[async_trait]
impl TimeSeriesAggregation for TimeSeries {
    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let limit = request.limit;
        let (plan, grouping) = AggregationPlan::aggregate(request)?;
        let selected = self.select(&plan.selector).await?.into_iter().map(|labels| (labels.clone(), labels)).collect();
        let groups = group(selected, grouping.as_deref());
        let remaining = check::limit_or_all(limit);
        let reader = GroupReader { series: self.clone(), plan, groups, current: (Labels::new(), WindowMap::new()), remaining };
        Ok(Box::pin(stream::try_unfold(reader, GroupReader::next)))
    }

    async fn rollup(&self, _: &Context, request: RollupRequest) -> Result<RollupResponse, Error> {
        let (plan, destination) = AggregationPlan::rollup(request)?;
        let mut response = RollupResponse::default();
        for labels in self.select(&plan.selector).await? {
            let mut windows = WindowMap::new();
            response.points_read += self.accumulate(&plan, &labels, &mut windows).await?;
            let new = NewPoints { name: destination.clone(), labels, points: plan.rolled_up(windows) };
            response.points_written += self.store()?.insert(vec![new], false)?.0;
        }
        Ok(response)
    }
}
