//! Regular times, and values at them computed from the points around them.

use super::{Span, whole_millis};
use crate::time::{self, Millis};
use prism_call::{
    Error,
    proto::models::timeseries::v1::{Grid, GridPoint},
};

/// Most steps of a grid.
const MAX_STEPS: i64 = 100_000;

/// How values between points are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// On the straight line between the points.
    Linear,
    /// The value of the point before.
    Step,
}

/// The times of a request.
#[derive(Clone, Copy, Debug)]
pub struct TimeGrid {
    start: Millis,
    step: Millis,
    /// Number of times.
    pub steps: i64,
    max_gap: Option<Millis>,
    method: Method,
}

/// A point: its time and its value.
pub type TimedValue = (Millis, f64);

impl TimeGrid {
    /// Checks the fields `grid` and `max_gap` of a request.
    pub fn new(method: Method, grid: Option<&Grid>, max_gap: Option<&prost_types::Duration>) -> Result<Self, Error> {
        let invalid = |field: &str, problem: &str| Error::invalid(field, problem).with_reason("INVALID_GRID");
        let grid = grid.ok_or_else(|| invalid("grid", "must be set"))?;
        let range = grid.range.as_ref().filter(|range| range.start_time.is_some() && range.end_time.is_some());
        let range = range.ok_or_else(|| invalid("grid.range", "must have start_time and end_time"))?;
        let Span { start, end } = Span::new(Some(range)).map_err(|error| error.with_reason("INVALID_GRID"))?;
        let step = grid.step.as_ref().and_then(whole_millis);
        let step = step.ok_or_else(|| invalid("grid.step", "must be at least one millisecond, and a whole number of them"))?;
        let steps = if start < end { (end - start - 1) / step + 1 } else { 0 };
        if steps > MAX_STEPS {
            return Err(invalid("grid.step", "makes more than 100000 steps in the range"));
        }
        let max_gap = match max_gap {
            None => None,
            Some(gap) => Some(time::ceil_millis(time::positive("max_gap", gap).map_err(|error| error.with_reason("INVALID_GRID"))?)),
        };
        Ok(Self { start, step, steps, max_gap, method })
    }

    /// The time of a step.
    pub fn time(&self, step: i64) -> Millis {
        self.start + step * self.step
    }

    /// The value at a time; `None` if there is none. `before` is the last point up to the time, `after` the first one behind it.
    pub fn value(&self, time: Millis, before: Option<TimedValue>, after: Option<TimedValue>) -> Option<GridPoint> {
        let (earlier, value) = before?;
        let point = |value: f64, interpolated| Some(GridPoint { point_time: Some(time::timestamp(time)), value, interpolated });
        if earlier == time {
            return point(value, false);
        }
        let near = |gap: Millis| self.max_gap.is_none_or(|max_gap| gap <= max_gap);
        match self.method {
            Method::Step => near(time - earlier).then(|| point(value, true)).flatten(),
            Method::Linear => {
                let (later, next) = after?;
                near(later.saturating_sub(earlier)).then(|| point(between(time, (earlier, value), (later, next)), true)).flatten()
            }
        }
    }
}

/// The value at a time on the line between two points.
#[expect(clippy::cast_precision_loss, reason = "spans of time are far below 2^53 milliseconds")]
fn between(time: Millis, (earlier, value): TimedValue, (later, next): TimedValue) -> f64 {
    let part = (time - earlier) as f64 / (later - earlier) as f64;
    // Not value + (next - value) * part, whose difference may be infinite.
    value * (1.0 - part) + next * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::proto::models::timeseries::v1::TimeRange;

    fn grid(method: Method, end: i64, step: i64, max_gap: Option<i64>) -> Result<TimeGrid, Error> {
        let range = TimeRange { start_time: Some(time::timestamp(0)), end_time: Some(time::timestamp(end)) };
        let grid = Grid { range: Some(range), step: Some(time::duration(step)) };
        TimeGrid::new(method, Some(&grid), max_gap.map(time::duration).as_ref())
    }

    #[test]
    fn values_come_from_the_points_around() {
        let linear = grid(Method::Linear, 100, 10, Some(20)).unwrap();
        let value = |grid: TimeGrid, time, before, after| grid.value(time, before, after).map(|point| (point.value, point.interpolated));
        assert_eq!(value(linear, 10, Some((10, 5.0)), None), Some((5.0, false)));
        assert_eq!(value(linear, 15, Some((10, 5.0)), Some((20, 7.0))), Some((6.0, true)));
        assert_eq!(value(linear, 15, Some((10, f64::MAX)), Some((20, -f64::MAX))), Some((0.0, true)));
        assert_eq!(value(linear, 15, Some((10, 5.0)), Some((31, 7.0))), None);
        assert_eq!(value(linear, 15, Some((10, 5.0)), None), None);
        assert_eq!(value(linear, 15, None, Some((20, 7.0))), None);
        let step = grid(Method::Step, 100, 10, Some(20)).unwrap();
        assert_eq!(value(step, 30, Some((10, 5.0)), None), Some((5.0, true)));
        assert_eq!(value(step, 31, Some((10, 5.0)), None), None);
    }

    #[test]
    fn the_last_time_is_before_the_end() {
        assert_eq!([1, 10, 11, 0, -5].map(|end| grid(Method::Step, end, 10, None).unwrap().steps), [1, 1, 2, 0, 0]);
        assert_eq!(grid(Method::Step, 100_000, 1, None).unwrap().steps, 100_000);
        assert_eq!(grid(Method::Step, 100_001, 1, None).unwrap_err().reason(), "INVALID_GRID");
        assert_eq!(grid(Method::Step, 10, 0, None).unwrap_err().reason(), "INVALID_GRID");
        assert_eq!(grid(Method::Step, 10, 1, Some(0)).unwrap_err().reason(), "INVALID_GRID");
    }
}
