//! What is computed from which points: the checked requests of `timeseries_aggregation`.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Labels, PAGE_POINTS, Span, WindowGrid,
    accumulator::{Accumulator, check_aggregation},
    check_name,
    selector::Selector,
};
use crate::{
    check,
    time::{self, Millis},
};
use prism_call::{
    Code, Error,
    proto::models::timeseries::v1::{AggregateRequest, AggregatedWindow, Aggregation, RollupRequest},
};

/// Most series, and so most groups, of one call.
pub const MAX_GROUPS: usize = 100_000;
/// Most aggregations of one call, and labels of a grouping.
const MAX_AGGREGATIONS: u32 = 16;
const MAX_GROUPING_LABELS: usize = 16;

/// The windows of a group by their start.
pub type WindowMap = BTreeMap<Millis, Accumulator>;

/// What is computed from which points.
#[derive(Clone, Debug)]
pub struct AggregationPlan {
    /// The series.
    pub selector: Selector,
    /// The range of time.
    pub span: Span,
    /// The windows. `None` = one window for the whole range.
    pub windows: Option<WindowGrid>,
    /// The numbers for each window.
    pub aggregations: Vec<Aggregation>,
}

impl AggregationPlan {
    /// Checks Aggregate. Returns the labels of its grouping too.
    pub fn aggregate(request: AggregateRequest) -> Result<(Self, Option<Vec<String>>), Error> {
        let selector = Selector::new(request.selector)?;
        check::count("aggregations", request.aggregations.len(), MAX_AGGREGATIONS)?;
        for (index, aggregation) in request.aggregations.iter().enumerate() {
            check_aggregation(&format!("aggregations[{index}]"), aggregation)?;
        }
        let grouping = request.grouping.map(|grouping| grouping.labels);
        if grouping.as_ref().is_some_and(|labels| labels.len() > MAX_GROUPING_LABELS) {
            return Err(Error::invalid("grouping.labels", "has more than 16 items"));
        }
        let plan = Self {
            span: Span::new(request.range.as_ref())?,
            windows: request.windows.as_ref().map(WindowGrid::new).transpose()?,
            aggregations: request.aggregations,
            selector,
        };
        Ok((plan, grouping))
    }

    /// Checks Rollup. Returns the name of the series that it writes too.
    pub fn rollup(request: RollupRequest) -> Result<(Self, String), Error> {
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
        check_borders(span, windows)?;
        Ok((Self { selector, span, windows: Some(windows), aggregations: vec![aggregation] }, request.destination_name))
    }

    /// Adds a point to its window. Returns whether the window is new.
    pub fn add(&self, windows: &mut WindowMap, time: Millis, value: f64) -> bool {
        let before = windows.len();
        let start = self.windows.map_or(self.span.start, |windows| windows.start(time));
        windows.entry(start).or_insert_with(|| Accumulator::new(&self.aggregations)).add(time, value);
        windows.len() > before
    }

    /// Takes the first windows for a message: at most `limit`, and at most [`PAGE_POINTS`].
    pub fn take_windows(&self, windows: &mut WindowMap, limit: usize) -> Vec<AggregatedWindow> {
        let mut page = Vec::new();
        while page.len() < PAGE_POINTS.min(limit)
            && let Some((start, accumulator)) = windows.pop_first()
        {
            // Without windows and without a start of the range, the window begins with its oldest point.
            let start = if self.windows.is_none() && start == Millis::MIN { accumulator.first_time() } else { start };
            let values = accumulator.finish(&self.aggregations);
            page.push(AggregatedWindow { start_time: Some(time::timestamp(start)), values });
        }
        page
    }

    /// The points that a roll-up writes for some windows.
    pub fn rolled_up(&self, windows: WindowMap) -> BTreeMap<Millis, f64> {
        // A sum may be too large for a point, which must be finite.
        let number = |accumulator: Accumulator| accumulator.finish(&self.aggregations).first().map(|sum| sum.clamp(f64::MIN, f64::MAX));
        windows.into_iter().filter_map(|(start, accumulator)| Some((start, number(accumulator)?))).collect()
    }
}

/// Groups series by the values of some labels. Each group has the labels of the reply and its series. Without a grouping, each series is a
/// group by itself.
pub fn group<S>(selected: Vec<(Labels, S)>, grouping: Option<&[String]>) -> VecDeque<(Labels, Vec<S>)> {
    let Some(by) = grouping else { return selected.into_iter().map(|(labels, series)| (labels, vec![series])).collect() };
    let mut groups: BTreeMap<Labels, Vec<S>> = BTreeMap::new();
    for (labels, series) in selected {
        let key = labels.into_iter().filter(|(label, _)| by.contains(label)).collect();
        groups.entry(key).or_default().push(series);
    }
    groups.into_iter().collect()
}

/// `RESOURCE_EXHAUSTED TOO_MANY_GROUPS`
pub fn too_many_groups() -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_GROUPS",
        format!("more than {MAX_GROUPS} series are selected; select fewer with matchers"),
    )
    .with("limit", MAX_GROUPS.to_string())
}

/// Checks the range of a roll-up, whose ends must be borders of windows.
fn check_borders(range: Span, windows: WindowGrid) -> Result<(), Error> {
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
