//! Limits and checks of time-series requests that are the same in every driver. Times are milliseconds.

pub mod accumulator;
pub mod aggregation;
pub mod grid;
pub mod position;
pub mod selector;
pub mod windows;

use std::collections::{BTreeMap, HashMap};

use crate::time::{self, Millis};
use prism_call::{
    Error,
    proto::models::timeseries::v1::{DuplicatePolicy, InsertRequest, Series, TimeRange, Windows},
};

/// Labels of a series by name. None of them is empty.
pub type Labels = BTreeMap<String, String>;

/// Most points of one message of a reply.
pub const PAGE_POINTS: usize = 1000;
/// Most points of one request.
const MAX_POINTS: usize = 10_000;
/// Most labels of a series.
const MAX_LABELS: usize = 32;
/// Longest name of a series or a label, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Longest value of a label, in bytes.
const MAX_LABEL_BYTES: usize = 1024;
/// The first and the last second that a Timestamp can hold.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The points of one series in a request. No two have the same time.
pub struct NewPoints {
    /// Name of the series.
    pub name: String,
    /// Labels of the series.
    pub labels: Labels,
    /// The points in order of time.
    pub points: BTreeMap<Millis, f64>,
}

/// Checks Insert, and returns the points of each series and how many points were overruled by others of the request.
pub fn check_insert(request: InsertRequest) -> Result<(Vec<NewPoints>, u64), Error> {
    let total: usize = request.series.iter().map(|series| series.points.len()).sum();
    if total == 0 || total > MAX_POINTS {
        return Err(Error::invalid("series", format!("has {total} points; 1 to {MAX_POINTS} are allowed"))
            .with_reason("BATCH_SIZE")
            .with("limit", MAX_POINTS.to_string()));
    }
    let keep = request.duplicate_policy() == DuplicatePolicy::Keep;
    let mut series: Vec<NewPoints> = Vec::with_capacity(request.series.len());
    let mut known: HashMap<(String, Labels), usize> = HashMap::new();
    let mut overruled = 0;
    for (index, given) in request.series.into_iter().enumerate() {
        let (name, labels) = check_series(&format!("series[{index}].series"), given.series.unwrap_or_default())?;
        let number = *known.entry((name.clone(), labels.clone())).or_insert(series.len());
        if number == series.len() {
            series.push(NewPoints { name, labels, points: BTreeMap::new() });
        }
        let points = &mut series[number].points;
        for (at, point) in given.points.into_iter().enumerate() {
            let field = || format!("series[{index}].points[{at}]");
            let when = point.point_time.as_ref().and_then(point_time).ok_or_else(|| invalid_point(&field(), "has no valid point_time"))?;
            if !point.value.is_finite() {
                return Err(invalid_point(&field(), "has a value that is not finite"));
            }
            let former = points.get(&when).copied();
            overruled += u64::from(former.is_some());
            points.insert(when, former.filter(|_| keep).unwrap_or(point.value));
        }
    }
    Ok((series, overruled))
}

fn invalid_point(field: &str, problem: &str) -> Error {
    Error::invalid(field, problem).with_reason("INVALID_POINT")
}

/// The time of a point, rounded down to the millisecond; `None` if it is not a valid Timestamp.
fn point_time(time: &prost_types::Timestamp) -> Option<Millis> {
    let valid = TIMESTAMP_SECONDS.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    valid.then(|| time::millis(time))
}

/// Checks a series, and returns its name and its labels without those that are empty.
fn check_series(field: &str, series: Series) -> Result<(String, Labels), Error> {
    check_name(&format!("{field}.name"), &series.name)?;
    let invalid = |problem: String| Err(Error::invalid(format!("{field}.labels"), problem).with_reason("INVALID_SERIES"));
    let mut labels = series.labels;
    labels.retain(|_, value| !value.is_empty());
    if labels.len() > MAX_LABELS {
        return invalid(format!("has {} labels; at most {MAX_LABELS} are allowed", labels.len()));
    }
    for (label, value) in &labels {
        if label.is_empty() || label.len() > MAX_NAME_BYTES {
            return invalid(format!("the name of a label must have 1 to {MAX_NAME_BYTES} bytes, not {}", label.len()));
        }
        if value.len() > MAX_LABEL_BYTES {
            return invalid(format!("the value of {label:?} has {} bytes; at most {MAX_LABEL_BYTES} are allowed", value.len()));
        }
    }
    Ok((series.name, labels))
}

/// Checks the name of a series: 1 to 255 bytes. The error is `INVALID_ARGUMENT INVALID_SERIES`.
pub fn check_name(field: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let problem = format!("must have 1 to {MAX_NAME_BYTES} bytes, not {}", name.len());
        return Err(Error::invalid(field, problem).with_reason("INVALID_SERIES"));
    }
    Ok(())
}

/// Checks a name that may be empty.
pub fn check_optional_name(field: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() { Ok(()) } else { check_name(field, name) }
}

/// A span of time in milliseconds: `start` ≤ time < `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first millisecond. `Millis::MIN` = no bound.
    pub start: Millis,
    /// The millisecond after the last one. `Millis::MAX` = no bound.
    pub end: Millis,
}

impl Span {
    /// The field `range` of a request.
    pub fn new(range: Option<&TimeRange>) -> Result<Self, Error> {
        let edge = |field: &str, time: Option<&prost_types::Timestamp>, absent: Millis| match time {
            None => Ok(absent),
            Some(time) if point_time(time).is_none() => Err(Error::invalid(field, "is not a time that a Timestamp can hold")),
            // Points have whole milliseconds, so a point is before a time if it is before the time rounded up.
            Some(time) => Ok(time::millis_up(time)),
        };
        let range = range.copied().unwrap_or_default();
        Ok(Self {
            start: edge("range.start_time", range.start_time.as_ref(), Millis::MIN)?,
            end: edge("range.end_time", range.end_time.as_ref(), Millis::MAX)?,
        })
    }

    /// Returns whether no time is in the span.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// A series with these labels, for replies.
pub fn series(name: &str, labels: &Labels) -> Series {
    Series { name: name.to_owned(), labels: labels.clone() }
}

/// Windows of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowGrid {
    length: Millis,
    origin: Millis,
}

impl WindowGrid {
    /// The field `windows` of a request.
    pub fn new(windows: &Windows) -> Result<Self, Error> {
        let problem = |problem: &str| Error::invalid("windows.length", problem).with_reason("INVALID_WINDOW");
        let length = windows.length.as_ref().ok_or_else(|| problem("must be set, for example 60s"))?;
        let length = whole_millis(length).ok_or_else(|| problem("must be at least one millisecond, and a whole number of them"))?;
        let origin = match &windows.origin_time {
            None => 0,
            Some(time) => {
                let whole = time.nanos % 1_000_000 == 0;
                point_time(time).filter(|_| whole).ok_or_else(|| {
                    Error::invalid("windows.origin_time", "must be a time in whole milliseconds").with_reason("INVALID_WINDOW")
                })?
            }
        };
        Ok(Self { length, origin })
    }

    /// The start of the window of a time. A window that began before the first time of a Timestamp starts there.
    pub fn start(&self, time: Millis) -> Millis {
        let start = time.saturating_sub(time.saturating_sub(self.origin).rem_euclid(self.length));
        start.max(TIMESTAMP_SECONDS.start() * 1000)
    }

    /// The end of the last of `count` windows, the first of which begins at `start`; `Millis::MAX` if it is later than any time.
    pub fn end(&self, start: Millis, count: i64) -> Millis {
        let end = self.length.checked_mul(count).and_then(|length| start.checked_add(length));
        end.map_or(Millis::MAX, |end| self.start(end))
    }
}

/// A duration of whole milliseconds, greater than zero.
pub(crate) fn whole_millis(duration: &prost_types::Duration) -> Option<Millis> {
    if duration.nanos % 1_000_000 != 0 {
        return None;
    }
    let millis = duration.seconds.checked_mul(1000)?.checked_add(i64::from(duration.nanos / 1_000_000))?;
    (millis > 0).then_some(millis)
}

/// The field `max_age` of SetRetention.
pub fn max_age(max_age: Option<&prost_types::Duration>) -> Result<Option<Millis>, Error> {
    let millis = max_age.map(|age| time::positive("max_age", age)).transpose()?;
    Ok(millis.map(time::ceil_millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::proto::models::timeseries::v1::{Point, SeriesPoints};

    fn insert(points: &[(i64, f64)], policy: DuplicatePolicy) -> Result<(Vec<NewPoints>, u64), Error> {
        let points = points.iter().map(|(millis, value)| Point { point_time: Some(time::timestamp(*millis)), value: *value }).collect();
        let labels = Labels::from([("host".to_owned(), "a".to_owned()), ("empty".to_owned(), String::new())]);
        let series = Some(Series { name: "cpu".to_owned(), labels });
        check_insert(InsertRequest { series: vec![SeriesPoints { series, points }], duplicate_policy: policy.into() })
    }

    #[test]
    fn of_two_points_at_one_time_one_counts() {
        let points = [(1000, 1.0), (-5, 2.0), (1000, 3.0)];
        let (series, overruled) = insert(&points, DuplicatePolicy::Unspecified).unwrap();
        assert_eq!((series[0].points.clone(), overruled), (BTreeMap::from([(-5, 2.0), (1000, 3.0)]), 1));
        assert_eq!(series[0].labels.len(), 1);
        assert_eq!(insert(&points, DuplicatePolicy::Keep).unwrap().0[0].points.get(&1000), Some(&1.0));
        assert_eq!(insert(&[(0, f64::NAN)], DuplicatePolicy::Keep).err().unwrap().reason(), "INVALID_POINT");
        assert_eq!(insert(&[], DuplicatePolicy::Keep).err().unwrap().reason(), "BATCH_SIZE");
    }

    #[test]
    fn windows_begin_at_multiples_of_their_length() {
        let windows = |seconds, origin: Option<i64>| {
            let length = Some(prost_types::Duration { seconds, nanos: 0 });
            WindowGrid::new(&Windows { length, origin_time: origin.map(time::timestamp) })
        };
        let minute = windows(60, None).unwrap();
        assert_eq!([0, 59_999, 60_000, -1].map(|time| minute.start(time)), [0, 0, 60_000, -60_000]);
        let shifted = windows(60, Some(90_500)).unwrap();
        assert_eq!([0, 30_499, 30_500].map(|time| shifted.start(time)), [-29_500, -29_500, 30_500]);
        assert_eq!([(0, 2), (-60_000, 1)].map(|(start, count)| minute.end(start, count)), [120_000, 0]);
        assert_eq!(minute.end(minute.start(i64::MIN), 1), minute.start(i64::MIN) + 60_000);
        let longest = windows(i64::MAX / 1000, Some(1000)).unwrap();
        assert_eq!([1, 1000].map(|count| longest.end(longest.start(5000), count)), [Millis::MAX, Millis::MAX]);
        assert_eq!(windows(1 << 50, None).unwrap().start(-1), TIMESTAMP_SECONDS.start() * 1000);
        assert_eq!(windows(0, None).unwrap_err().reason(), "INVALID_WINDOW");
    }
}
