//! `timeseries_interpolation`

use prism::proto::models::timeseries::v1::{
    Grid, GridPoint, InterpolateLinearRequest, InterpolateStepRequest, LabelOperator, SeriesSelector, TimeRange,
};

use super::{labels, matching, range, selector};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, millis, seconds, since_1970, stream_refusal},
};

suite! { "timeseries_interpolation":
    draws_a_line;
    holds_a_step;
    points_outside_of_the_range_count;
    gaps_that_are_too_long_stay;
    series_by_series;
    a_long_grid_comes_in_parts;
    nothing_is_no_error;
    bad_requests_are_refused;
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn grid(start: i64, end: i64, step: i64) -> Option<Grid> {
    Some(Grid { range: range(start, end), step: Some(millis(step)) })
}

/// Values as `time:value`, with `~` in front if they are computed.
fn text(points: &[GridPoint]) -> String {
    let texts = points
        .iter()
        .map(|point| format!("{}{}:{}", if point.interpolated { "~" } else { "" }, since_1970(point.point_time.as_ref()), point.value));
    texts.collect::<Vec<_>>().join(" ")
}

impl Subject {
    async fn linear(&self, selector: Option<SeriesSelector>, grid: Option<Grid>, max_gap: Option<i64>) -> String {
        let request = InterpolateLinearRequest { selector, grid, max_gap: max_gap.map(millis) };
        let messages = all(self.timeseries_interpolation().interpolate_linear(&self.context, request).await.unwrap()).await;
        let mut lines: Vec<String> =
            messages.iter().map(|message| format!("{}[{}]", labels(message.series.as_ref()), text(&message.points))).collect();
        lines.sort_unstable();
        lines.join(" ")
    }

    async fn step(&self, grid: Option<Grid>, max_gap: Option<i64>) -> String {
        let request = InterpolateStepRequest { selector: selector("cpu"), grid, max_gap: max_gap.map(millis) };
        let messages = all(self.timeseries_interpolation().interpolate_step(&self.context, request).await.unwrap()).await;
        messages.iter().map(|message| text(&message.points)).collect::<Vec<_>>().join(" ")
    }
}

async fn draws_a_line(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 10.0), (2000, 20.0), (4000, 0.0)]).await;
    let found = s.linear(selector("cpu"), grid(0, 5000, 500), None).await;
    assert_eq!(found, "[1000:10 ~1500:15 2000:20 ~2500:15 ~3000:10 ~3500:5 4000:0]");
}

async fn holds_a_step(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 10.0), (2000, 20.0)]).await;
    assert_eq!(s.step(grid(0, 3500, 500), None).await, "1000:10 ~1500:10 2000:20 ~2500:20 ~3000:20");
}

async fn points_outside_of_the_range_count(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 0.0), (10_000, 100.0)]).await;
    assert_eq!(s.linear(selector("cpu"), grid(4000, 6000, 1000), None).await, "[~4000:40 ~5000:50]");
    assert_eq!(s.step(grid(4000, 6000, 1000), None).await, "~4000:0 ~5000:0");
    assert_eq!(s.step(grid(11_000, 12_000, 500), None).await, "~11000:100 ~11500:100");
    assert_eq!(s.linear(selector("cpu"), grid(11_000, 12_000, 500), None).await, "");
}

async fn gaps_that_are_too_long_stay(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 0.0), (1000, 10.0), (4000, 40.0)]).await;
    assert_eq!(s.linear(selector("cpu"), grid(0, 4001, 500), Some(1000)).await, "[0:0 ~500:5 1000:10 4000:40]");
    assert_eq!(s.step(grid(0, 4001, 500), Some(1500)).await, "0:0 ~500:0 1000:10 ~1500:10 ~2000:10 ~2500:10 4000:40");
}

async fn series_by_series(s: Subject) {
    s.insert_points("cpu", &[("host", "a")], &[(0, 0.0), (2000, 2.0)]).await;
    s.insert_points("cpu", &[("host", "b")], &[(1000, 1.0)]).await;
    s.insert_points("cpu", &[("host", "c")], &[(0, 5.0), (2000, 5.0)]).await;
    let found = s.linear(selector("cpu"), grid(0, 3000, 1000), None).await;
    assert_eq!(found, "host=a[0:0 ~1000:1 2000:2] host=b[1000:1] host=c[0:5 ~1000:5 2000:5]");
    let some = matching("cpu", "host", LabelOperator::NotIn, &["a", "b"]);
    assert_eq!(s.linear(some, grid(500, 1500, 1000), None).await, "host=c[~500:5]");
}

async fn a_long_grid_comes_in_parts(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 0.0), (5000, 5000.0)]).await;
    let request = InterpolateLinearRequest { selector: selector("cpu"), grid: grid(-100, 5000, 1), max_gap: None };
    let messages = all(s.timeseries_interpolation().interpolate_linear(&s.context, request).await.unwrap()).await;
    assert!(messages.iter().all(|message| (1..=1000).contains(&message.points.len())));
    let points: Vec<&GridPoint> = messages.iter().flat_map(|message| &message.points).collect();
    assert_eq!(points.len(), 5000);
    for (number, point) in (0_i32..).zip(points) {
        assert_eq!(since_1970(point.point_time.as_ref()), i64::from(number));
        assert!((point.value - f64::from(number)).abs() < 1e-6, "{point:?}");
    }
}

async fn nothing_is_no_error(s: Subject) {
    assert_eq!(s.linear(selector("cpu"), grid(0, 1000, 100), None).await, "");
    s.insert_points("cpu", &[], &[(0, 0.0)]).await;
    assert_eq!(s.linear(selector("cpu"), grid(1000, 1000, 100), None).await, "");
    assert_eq!(s.linear(selector("cpu"), grid(2000, 1000, 100), None).await, "");
}

async fn bad_requests_are_refused(s: Subject) {
    let open = TimeRange { end_time: None, ..range(0, 1).unwrap() };
    let good = (selector("cpu"), grid(0, 1000, 100));
    for ((selector, grid, max_gap), reason, field) in [
        ((None, good.1, None), "INVALID_SELECTOR", "selector.name"),
        ((good.0.clone(), None, None), "INVALID_GRID", "grid"),
        ((good.0.clone(), Some(Grid { range: Some(open), step: Some(seconds(1)) }), None), "INVALID_GRID", "grid.range"),
        ((good.0.clone(), Some(Grid { range: range(0, 1), step: None }), None), "INVALID_GRID", "grid.step"),
        ((good.0.clone(), grid(0, 1000, 0), None), "INVALID_GRID", "grid.step"),
        ((good.0.clone(), grid(0, 1000, -5), None), "INVALID_GRID", "grid.step"),
        ((good.0.clone(), grid(0, 100_001, 1), None), "INVALID_GRID", "grid.step"),
        ((good.0.clone(), good.1, Some(seconds(0))), "INVALID_GRID", "max_gap"),
        ((good.0.clone(), good.1, Some(seconds(-1))), "INVALID_GRID", "max_gap"),
    ] {
        let series = s.timeseries_interpolation();
        let request = InterpolateLinearRequest { selector: selector.clone(), grid, max_gap };
        invalid(stream_refusal(series.interpolate_linear(&s.context, request).await).await, reason, field);
        let request = InterpolateStepRequest { selector, grid, max_gap };
        invalid(stream_refusal(series.interpolate_step(&s.context, request).await).await, reason, field);
    }
}
