//! `timeseries_aggregation`. Points are read in pages, so no lock is held for long.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use async_trait::async_trait;
use futures::stream;

use super::{TimeSeries, store::series};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::timeseries::v1::{
        AggregateRequest, AggregateResponse, AggregatedWindow, Aggregation, RollupRequest, RollupResponse, TimeSeriesAggregation,
    },
};
use prism_driver::{
    check,
    time::{self, Millis},
    timeseries::{
        Labels, NewPoints, PAGE_POINTS, Span, WindowGrid,
        accumulator::{Accumulator, check_aggregation},
        check_name,
        selector::Selector,
    },
};

/// Points that are read while the lock is held once.
const POINTS_PER_LOCK: usize = 10_000;
/// Most groups of one call.
const MAX_GROUPS: usize = 100_000;
/// Most aggregations of one call, and labels of a grouping.
const MAX_AGGREGATIONS: u32 = 16;
const MAX_GROUPING_LABELS: usize = 16;

/// The windows of a group by their start.
type Windows = BTreeMap<Millis, Accumulator>;

/// What is computed from which points.
struct Plan {
    selector: Selector,
    span: Span,
    windows: Option<WindowGrid>,
    aggregations: Vec<Aggregation>,
}

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
                    return Err(Error::new(
                        Code::ResourceExhausted,
                        "TOO_MANY_GROUPS",
                        format!("more than {MAX_GROUPS} series are selected; select fewer with matchers"),
                    )
                    .with("limit", MAX_GROUPS.to_string()));
                }
                selected.push(labels.clone());
            }
            last = Some(labels);
        }
    }

    /// Adds the points of a series to the windows of its group. Returns how many points there were.
    async fn accumulate(&self, plan: &Plan, labels: &Labels, windows: &mut Windows) -> Result<u64, Error> {
        let mut span = plan.span;
        let mut count = 0;
        loop {
            tokio::task::consume_budget().await;
            let store = self.store()?;
            let visible = store.visible(&plan.selector.name, span);
            let Some(points) = store.points(&plan.selector.name, labels).filter(|_| !visible.is_empty()) else { return Ok(count) };
            let mut read = 0;
            for (time, value) in points.range(visible.start..visible.end).take(POINTS_PER_LOCK) {
                let start = plan.windows.map_or(plan.span.start, |windows| windows.start(*time));
                windows.entry(start).or_insert_with(|| Accumulator::new(&plan.aggregations)).add(*time, *value);
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
    plan: Plan,
    /// The groups that are left: the labels of the reply, and the series of the group.
    groups: VecDeque<(Labels, Vec<Labels>)>,
    /// The windows of the current group that are left, and its labels.
    current: (Labels, Windows),
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
            let mut windows = Windows::new();
            for member in &members {
                self.series.accumulate(&self.plan, member, &mut windows).await?;
            }
            self.current = (labels, windows);
        }
        let (labels, windows) = &mut self.current;
        let mut page = Vec::new();
        while page.len() < PAGE_POINTS.min(self.remaining)
            && let Some((start, accumulator)) = windows.pop_first()
        {
            // Without windows and without a start of the range, the window begins with its oldest point.
            let start = if self.plan.windows.is_none() && start == Millis::MIN { accumulator.first_time() } else { start };
            let values = accumulator.finish(&self.plan.aggregations);
            page.push(AggregatedWindow { start_time: Some(time::timestamp(start)), values });
        }
        self.remaining -= page.len();
        let response = AggregateResponse { series: Some(series(&self.plan.selector.name, labels)), windows: page };
        Ok(Some((response, self)))
    }
}

/// Groups series by the values of some labels. Without a grouping, each is a group by itself.
fn group(selected: Vec<Labels>, grouping: Option<&[String]>) -> VecDeque<(Labels, Vec<Labels>)> {
    let Some(by) = grouping else { return selected.into_iter().map(|labels| (labels.clone(), vec![labels])).collect() };
    let mut groups: BTreeMap<Labels, Vec<Labels>> = BTreeMap::new();
    for labels in selected {
        let key = labels.iter().filter(|(label, _)| by.contains(label)).map(|(label, value)| (label.clone(), value.clone())).collect();
        groups.entry(key).or_default().push(labels);
    }
    groups.into_iter().collect()
}

/// The range of a roll-up, whose ends must be borders of windows.
fn bordered(range: Span, windows: WindowGrid) -> Result<(), Error> {
    for (field, edge) in [("range.start_time", range.start), ("range.end_time", range.end)] {
        let problem = if edge == Millis::MIN || edge == Millis::MAX {
            "must be set".to_owned()
        } else if windows.start(edge) == edge {
            continue;
        } else {
            format!("is not the border of a window; the nearest one before it is {}", time::timestamp(windows.start(edge)))
        };
        return Err(Error::invalid(field, problem).with_reason("INVALID_RANGE"));
    }
    Ok(())
}

#[async_trait]
impl TimeSeriesAggregation for TimeSeries {
    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let selector = Selector::new(request.selector)?;
        check::count("aggregations", request.aggregations.len(), MAX_AGGREGATIONS)?;
        for (index, aggregation) in request.aggregations.iter().enumerate() {
            check_aggregation(&format!("aggregations[{index}]"), aggregation)?;
        }
        let grouping = request.grouping.map(|grouping| grouping.labels);
        if grouping.as_ref().is_some_and(|labels| labels.len() > MAX_GROUPING_LABELS) {
            return Err(Error::invalid("grouping.labels", "has more than 16 items"));
        }
        let plan = Plan {
            span: Span::new(request.range.as_ref())?,
            windows: request.windows.as_ref().map(WindowGrid::new).transpose()?,
            aggregations: request.aggregations,
            selector,
        };
        let groups = group(self.select(&plan.selector).await?, grouping.as_deref());
        let remaining = check::limit_or_all(request.limit);
        let reader = GroupReader { series: self.clone(), plan, groups, current: (Labels::new(), Windows::new()), remaining };
        Ok(Box::pin(stream::try_unfold(reader, GroupReader::next)))
    }

    async fn rollup(&self, _: &Context, request: RollupRequest) -> Result<RollupResponse, Error> {
        let selector = Selector::new(request.selector)?;
        check_name("destination_name", &request.destination_name)?;
        if request.destination_name == selector.name {
            let error = Error::invalid("destination_name", "must be another name than that of the source");
            return Err(error.with_reason("INVALID_SERIES"));
        }
        let aggregation = request.aggregation.unwrap_or_default();
        check_aggregation("aggregation", &aggregation)?;
        let windows = WindowGrid::new(&request.windows.unwrap_or_default())?;
        let span = Span::new(request.range.as_ref())?;
        bordered(span, windows)?;
        let plan = Plan { selector, span, windows: Some(windows), aggregations: vec![aggregation] };
        let mut response = RollupResponse::default();
        for labels in self.select(&plan.selector).await? {
            let mut windows = Windows::new();
            response.points_read += self.accumulate(&plan, &labels, &mut windows).await?;
            // A sum may be too large for a point, which must be finite.
            let number = |accumulator: Accumulator| accumulator.finish(&plan.aggregations).first().map(|sum| sum.clamp(f64::MIN, f64::MAX));
            let points = windows.into_iter().filter_map(|(start, accumulator)| Some((start, number(accumulator)?))).collect();
            let new = NewPoints { name: request.destination_name.clone(), labels, points };
            response.points_written += self.store()?.insert(vec![new], false)?.0;
        }
        Ok(response)
    }
}
