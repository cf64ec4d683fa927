//! `timeseries_aggregation`

use prism::{
    call::Error,
    proto::models::timeseries::v1::{
        AggregateFunction, AggregateRequest, AggregateResponse, Aggregation, Grouping, QueryRequest, RollupRequest, RollupResponse, Windows,
    },
};

use super::{labels, matching, range, selector};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, millis, since_1970, stream_refusal, timestamp},
};

suite! { "timeseries_aggregation":
    every_function;
    windows_without_points_have_no_result;
    windows_may_begin_anywhere;
    one_window_for_everything;
    ranges_cut_windows;
    each_series_by_itself;
    series_are_grouped;
    first_and_last_in_a_group;
    quantiles;
    limits_end_the_stream;
    many_windows_come_in_parts;
    rolls_up;
    a_rollup_may_be_repeated;
    nothing_is_no_error;
    bad_requests_are_refused;
}

use AggregateFunction::{Average, Count, First, Last, Max, Min, Quantile, Spread, StandardDeviation, Sum, Unspecified};

fn aggregations(functions: &[AggregateFunction]) -> Vec<Aggregation> {
    functions.iter().map(|function| Aggregation { function: (*function).into(), quantile: None }).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn windows(length: i64, origin: Option<i64>) -> Option<Windows> {
    Some(Windows { length: Some(millis(length)), origin_time: origin.map(timestamp) })
}

fn request(functions: &[AggregateFunction]) -> AggregateRequest {
    AggregateRequest { selector: selector("cpu"), aggregations: aggregations(functions), ..Default::default() }
}

/// Windows as `start=value/value`, after the labels of their group.
fn text(messages: &[AggregateResponse]) -> String {
    let mut lines: Vec<String> = messages
        .iter()
        .map(|message| {
            let windows = message.windows.iter().map(|window| {
                let values: Vec<String> = window.values.iter().map(ToString::to_string).collect();
                format!("{}={}", since_1970(window.start_time.as_ref()), values.join("/"))
            });
            format!("{}[{}]", labels(message.series.as_ref()), windows.collect::<Vec<_>>().join(" "))
        })
        .collect();
    lines.sort_unstable();
    lines.join(" ")
}

impl Subject {
    async fn aggregate(&self, request: AggregateRequest) -> Vec<AggregateResponse> {
        all(self.timeseries_aggregation().aggregate(&self.context, request).await.unwrap()).await
    }

    async fn aggregate_text(&self, request: AggregateRequest) -> String {
        text(&self.aggregate(request).await)
    }

    async fn rollup(&self, request: RollupRequest) -> Result<RollupResponse, Error> {
        self.timeseries_aggregation().rollup(&self.context, request).await
    }
}

async fn every_function(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 4.0), (1, 2.0), (2, 9.0), (3, 5.0), (4, 5.0), (5, 4.0), (6, 4.0), (7, 7.0), (1000, -1.0)]).await;
    let functions = [Average, Sum, Min, Max, Count, First, Last, Spread, StandardDeviation, Quantile, Unspecified];
    let found = s.aggregate_text(AggregateRequest { windows: windows(1000, None), ..request(&functions) }).await;
    assert_eq!(found, "[0=5/40/2/9/8/4/7/7/2/4.5/5 1000=-1/-1/-1/-1/1/-1/-1/0/0/-1/-1]");
}

async fn windows_without_points_have_no_result(s: Subject) {
    s.insert_points("cpu", &[], &[(-1500, 1.0), (500, 2.0), (5999, 3.0)]).await;
    let found = s.aggregate_text(AggregateRequest { windows: windows(1000, None), ..request(&[Sum]) }).await;
    assert_eq!(found, "[-2000=1 0=2 5000=3]");
}

async fn windows_may_begin_anywhere(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 1.0), (249, 2.0), (250, 3.0), (1250, 4.0)]).await;
    for origin in [250, 5250, -1750] {
        let found = s.aggregate_text(AggregateRequest { windows: windows(1000, Some(origin)), ..request(&[Count]) }).await;
        assert_eq!(found, "[-750=2 250=1 1250=1]", "{origin}");
    }
}

async fn one_window_for_everything(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]).await;
    assert_eq!(s.aggregate_text(request(&[Sum, Count])).await, "[1000=6/3]");
    let found = s.aggregate_text(AggregateRequest { range: range(1500, 9000), ..request(&[Sum]) }).await;
    assert_eq!(found, "[1500=5]");
}

async fn ranges_cut_windows(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 1.0), (500, 2.0), (1000, 3.0), (1500, 4.0)]).await;
    let cut = AggregateRequest { range: range(500, 1500), windows: windows(1000, None), ..request(&[Sum]) };
    assert_eq!(s.aggregate_text(cut).await, "[0=2 1000=3]");
    let empty = AggregateRequest { range: range(500, 500), windows: windows(1000, None), ..request(&[Sum]) };
    assert_eq!(s.aggregate_text(empty).await, "");
}

async fn three_hosts(s: &Subject) {
    for (host, zone, value) in [("a", "x", 1.0), ("b", "x", 2.0), ("c", "y", 4.0)] {
        s.insert_points("cpu", &[("host", host), ("zone", zone)], &[(0, value), (1000, value * 10.0)]).await;
    }
}

async fn each_series_by_itself(s: Subject) {
    three_hosts(&s).await;
    let found = s.aggregate_text(AggregateRequest { windows: windows(1000, None), ..request(&[Sum]) }).await;
    assert_eq!(found, "host=a,zone=x[0=1 1000=10] host=b,zone=x[0=2 1000=20] host=c,zone=y[0=4 1000=40]");
    let one = AggregateRequest {
        selector: matching("cpu", "host", prism::proto::models::timeseries::v1::LabelOperator::In, &["b"]),
        ..request(&[Sum])
    };
    assert_eq!(s.aggregate_text(one).await, "host=b,zone=x[0=22]");
}

async fn series_are_grouped(s: Subject) {
    three_hosts(&s).await;
    s.insert_points("cpu", &[("host", "d")], &[(0, 8.0)]).await;
    let by = async |by: &[&str]| {
        let grouping = Some(Grouping { labels: by.iter().map(|label| (*label).to_owned()).collect() });
        s.aggregate_text(AggregateRequest { grouping, windows: windows(1000, None), ..request(&[Sum, Count]) }).await
    };
    assert_eq!(by(&["zone"]).await, "[0=8/1] zone=x[0=3/2 1000=30/2] zone=y[0=4/1 1000=40/1]");
    assert_eq!(by(&[]).await, "[0=15/4 1000=70/3]");
    assert_eq!(by(&["none"]).await, "[0=15/4 1000=70/3]");
}

async fn first_and_last_in_a_group(s: Subject) {
    s.insert_points("cpu", &[("host", "a")], &[(0, 5.0), (10, 1.0), (20, 3.0)]).await;
    s.insert_points("cpu", &[("host", "b")], &[(0, 4.0), (15, 9.0), (20, 2.0)]).await;
    let grouping = Some(Grouping::default());
    assert_eq!(s.aggregate_text(AggregateRequest { grouping, ..request(&[First, Last]) }).await, "[0=4/3]");
}

async fn quantiles(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 30.0), (1, 10.0), (2, 20.0), (3, 40.0)]).await;
    let aggregations = [0.0, 0.5, 0.9, 1.0].map(|quantile| Aggregation { function: Quantile.into(), quantile: Some(quantile) }).to_vec();
    assert_eq!(s.aggregate_text(AggregateRequest { aggregations, ..request(&[]) }).await, "[0=10/25/37/40]");
}

async fn limits_end_the_stream(s: Subject) {
    three_hosts(&s).await;
    for limit in [1, 3, 6, 9] {
        let found = s.aggregate(AggregateRequest { limit, windows: windows(1000, None), ..request(&[Sum]) }).await;
        assert_eq!(found.iter().map(|message| message.windows.len()).sum::<usize>(), limit.min(6) as usize);
    }
}

async fn many_windows_come_in_parts(s: Subject) {
    let given: Vec<(i64, f64)> = (0..5000_i32).map(|number| (i64::from(number) * 500, 1.0)).collect();
    s.insert_points("cpu", &[], &given).await;
    let found = s.aggregate(AggregateRequest { windows: windows(1000, None), ..request(&[Count]) }).await;
    assert!(found.iter().all(|message| (1..=1000).contains(&message.windows.len())));
    let starts: Vec<i64> = found.iter().flat_map(|message| &message.windows).map(|window| since_1970(window.start_time.as_ref())).collect();
    assert!(starts == (0..2500).map(|number| number * 1000).collect::<Vec<i64>>());
    assert!(found.iter().flat_map(|message| &message.windows).all(|window| window.values == vec![2.0]));
}

fn hourly() -> RollupRequest {
    RollupRequest {
        selector: selector("cpu"),
        range: range(0, 3000),
        windows: windows(1000, None),
        aggregation: Some(Aggregation { function: Sum.into(), quantile: None }),
        destination_name: "cpu:sum".to_owned(),
    }
}

async fn rolls_up(s: Subject) {
    three_hosts(&s).await;
    s.insert_points("cpu", &[("host", "a"), ("zone", "x")], &[(500, 0.5), (3000, 100.0)]).await;
    let answer = s.rollup(hourly()).await.unwrap();
    assert_eq!((answer.points_read, answer.points_written), (7, 6));
    let request = QueryRequest {
        selector: matching("cpu:sum", "host", prism::proto::models::timeseries::v1::LabelOperator::In, &["a"]),
        ..Default::default()
    };
    assert_eq!(s.query_text(request).await, "0:1.5 1000:10");
    let average = RollupRequest { aggregation: None, destination_name: "cpu:avg".to_owned(), ..hourly() };
    assert_eq!(s.rollup(average).await.unwrap().points_written, 6);
}

async fn a_rollup_may_be_repeated(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 1.0), (2500, 2.0)]).await;
    s.rollup(hourly()).await.unwrap();
    s.insert_points("cpu", &[], &[(999, 4.0)]).await;
    assert_eq!(s.rollup(hourly()).await.unwrap().points_written, 2);
    assert_eq!(s.all_points("cpu:sum").await, "0:5 2000:2");
}

async fn nothing_is_no_error(s: Subject) {
    assert!(s.aggregate(request(&[Sum])).await.is_empty());
    let answer = s.rollup(hourly()).await.unwrap();
    assert_eq!((answer.points_read, answer.points_written), (0, 0));
}

async fn bad_requests_are_refused(s: Subject) {
    let good = request(&[Sum]);
    let quantile = |function: AggregateFunction, quantile| vec![Aggregation { function: function.into(), quantile: Some(quantile) }];
    for (request, reason, field) in [
        (AggregateRequest { selector: None, ..good.clone() }, "INVALID_SELECTOR", "selector.name"),
        (AggregateRequest { windows: windows(0, None), ..good.clone() }, "INVALID_WINDOW", "windows.length"),
        (AggregateRequest { windows: windows(-1000, None), ..good.clone() }, "INVALID_WINDOW", "windows.length"),
        (AggregateRequest { windows: Some(Windows::default()), ..good.clone() }, "INVALID_WINDOW", "windows.length"),
        (AggregateRequest { aggregations: vec![], ..good.clone() }, "BATCH_SIZE", "aggregations"),
        (AggregateRequest { aggregations: aggregations(&[Sum; 17]), ..good.clone() }, "BATCH_SIZE", "aggregations"),
        (AggregateRequest { aggregations: quantile(Quantile, 1.1), ..good.clone() }, "INVALID_FIELD", "aggregations[0].quantile"),
        (AggregateRequest { aggregations: quantile(Sum, 0.5), ..good }, "INVALID_FIELD", "aggregations[0].quantile"),
    ] {
        invalid(stream_refusal(s.timeseries_aggregation().aggregate(&s.context, request).await).await, reason, field);
    }
    let good = hourly();
    for (request, reason, field) in [
        (RollupRequest { selector: selector(""), ..good.clone() }, "INVALID_SELECTOR", "selector.name"),
        (RollupRequest { windows: None, ..good.clone() }, "INVALID_WINDOW", "windows.length"),
        (RollupRequest { range: None, ..good.clone() }, "INVALID_RANGE", "range.start_time"),
        (RollupRequest { range: range(500, 2000), ..good.clone() }, "INVALID_RANGE", "range.start_time"),
        (RollupRequest { range: range(0, 2001), ..good.clone() }, "INVALID_RANGE", "range.end_time"),
        (RollupRequest { destination_name: "cpu".to_owned(), ..good.clone() }, "INVALID_SERIES", "destination_name"),
        (RollupRequest { destination_name: String::new(), ..good.clone() }, "INVALID_SERIES", "destination_name"),
        (RollupRequest { aggregation: Some(quantile(Quantile, -0.1)[0]), ..good }, "INVALID_FIELD", "aggregation.quantile"),
    ] {
        invalid(s.rollup(request).await, reason, field);
    }
}
