//! The time-series interfaces.

mod aggregation;
mod basic;
mod interpolation;
mod retention;

use prism::proto::models::timeseries::v1::{
    DuplicatePolicy, InsertRequest, LabelMatcher, LabelOperator, Point, QueryRequest, QueryResponse, Series, SeriesPoints, SeriesSelector,
    TimeRange,
};

use crate::{
    subject::Subject,
    suite::Suite,
    support::{all, since_1970, timestamp},
};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&aggregation::SUITE, &basic::SUITE, &interpolation::SUITE, &retention::SUITE];

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn series(name: &str, labels: &[(&str, &str)]) -> Option<Series> {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
    Some(Series { name: name.to_owned(), labels })
}

fn points(points: &[(i64, f64)]) -> Vec<Point> {
    points.iter().map(|(millis, value)| Point { point_time: Some(timestamp(*millis)), value: *value }).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn selector(name: &str) -> Option<SeriesSelector> {
    Some(SeriesSelector { name: name.to_owned(), matchers: vec![] })
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn matching(name: &str, label: &str, operator: LabelOperator, values: &[&str]) -> Option<SeriesSelector> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let matchers = vec![LabelMatcher { label: label.to_owned(), operator: operator.into(), values }];
    Some(SeriesSelector { name: name.to_owned(), matchers })
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn range(start: i64, end: i64) -> Option<TimeRange> {
    Some(TimeRange { start_time: Some(timestamp(start)), end_time: Some(timestamp(end)) })
}

/// Labels as `label=value`.
fn labels(series: Option<&Series>) -> String {
    let labels = &series.expect("a series is always present").labels;
    labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",")
}

/// Points as `time:value`.
fn point_text(points: &[Point]) -> String {
    let texts = points.iter().map(|point| format!("{}:{}", since_1970(point.point_time.as_ref()), point.value));
    texts.collect::<Vec<_>>().join(" ")
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn insert_points(&self, name: &str, labels: &[(&str, &str)], given: &[(i64, f64)]) -> (u64, u64) {
        self.insert_with(DuplicatePolicy::Unspecified, name, labels, given).await
    }

    async fn insert_with(&self, policy: DuplicatePolicy, name: &str, labels: &[(&str, &str)], given: &[(i64, f64)]) -> (u64, u64) {
        let series = vec![SeriesPoints { series: series(name, labels), points: points(given) }];
        let request = InsertRequest { series, duplicate_policy: policy.into() };
        let answer = self.timeseries_basic().insert(&self.context, request).await.unwrap();
        (answer.written, answer.skipped)
    }

    async fn query(&self, request: QueryRequest) -> Vec<QueryResponse> {
        all(self.timeseries_basic().query(&self.context, request).await.unwrap()).await
    }

    /// All points of the only series that a query finds.
    async fn query_text(&self, request: QueryRequest) -> String {
        let messages = self.query(request).await;
        let found: Vec<&SeriesPoints> = messages.iter().map(|message| message.series.as_ref().unwrap()).collect();
        assert!(found.windows(2).all(|pair| pair[0].series == pair[1].series), "several series");
        found.iter().map(|series| point_text(&series.points)).collect::<Vec<_>>().join(" ")
    }

    /// All points of a name that has one series.
    async fn all_points(&self, name: &str) -> String {
        self.query_text(QueryRequest { selector: selector(name), ..Default::default() }).await
    }
}
