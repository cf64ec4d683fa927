//! `timeseries_basic`

use std::collections::BTreeMap;

use prism::proto::models::timeseries::v1::{
    DuplicatePolicy, InsertRequest, LabelOperator, Point, QueryRequest, QueryResponse, Series, SeriesPoints,
};

use super::{labels, matching, points, range, selector, series};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, now, stream_refusal, timestamp},
};

suite! { "timeseries_basic":
    points_come_in_the_order_of_time;
    a_point_replaces_another_at_its_time;
    a_point_may_be_kept;
    series_are_told_apart_by_labels;
    an_empty_label_is_no_label;
    matchers_select_series;
    ranges_include_their_start;
    any_time_and_any_finite_value;
    finer_times_are_cut_off;
    limits_end_the_stream;
    the_newest_of_every_series;
    a_long_series_comes_in_parts;
    a_stream_continues_after_each_message;
    a_cursor_stays_valid_when_its_points_are_replaced;
    one_request_for_many_series;
    keyspaces_are_apart;
    survives_being_opened_again;
    concurrent_writers;
    points_that_stay_come_once_while_others_write;
    nothing_is_no_error;
    bad_requests_are_refused;
}

fn query(name: &str) -> QueryRequest {
    QueryRequest { selector: selector(name), ..Default::default() }
}

/// The labels of all series that came, in order and each once.
fn series_of(messages: &[QueryResponse]) -> Vec<String> {
    let mut found: Vec<String> = messages.iter().map(|message| labels(message.series.as_ref().unwrap().series.as_ref())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn count(messages: &[QueryResponse]) -> usize {
    messages.iter().map(|message| message.series.as_ref().unwrap().points.len()).sum()
}

async fn points_come_in_the_order_of_time(s: Subject) {
    assert_eq!(s.insert_points("cpu", &[], &[(3000, 3.0), (1000, 1.0), (2000, 2.0)]).await, (3, 0));
    assert_eq!(s.insert_points("cpu", &[], &[(1500, 1.5), (-1000, -1.0)]).await, (2, 0));
    assert_eq!(s.all_points("cpu").await, "-1000:-1 1000:1 1500:1.5 2000:2 3000:3");
    let reverse = QueryRequest { reverse: true, ..query("cpu") };
    assert_eq!(s.query_text(reverse).await, "3000:3 2000:2 1500:1.5 1000:1 -1000:-1");
}

async fn a_point_replaces_another_at_its_time(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 1.0)]).await;
    assert_eq!(s.insert_points("cpu", &[], &[(1000, 2.0), (2000, 1.0), (2000, 3.0)]).await, (2, 1));
    assert_eq!(s.all_points("cpu").await, "1000:2 2000:3");
}

async fn a_point_may_be_kept(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 1.0)]).await;
    let given = [(1000, 2.0), (2000, 1.0), (2000, 3.0)];
    assert_eq!(s.insert_with(DuplicatePolicy::Keep, "cpu", &[], &given).await, (1, 2));
    assert_eq!(s.all_points("cpu").await, "1000:1 2000:1");
}

async fn series_are_told_apart_by_labels(s: Subject) {
    s.insert_points("cpu", &[("host", "a")], &[(1000, 1.0)]).await;
    s.insert_points("cpu", &[("host", "b")], &[(1000, 2.0)]).await;
    s.insert_points("cpu", &[("host", "a"), ("core", "0")], &[(1000, 3.0)]).await;
    s.insert_points("cpu", &[], &[(1000, 4.0)]).await;
    s.insert_points("mem", &[("host", "a")], &[(1000, 5.0)]).await;
    let found = s.query(query("cpu")).await;
    assert_eq!(series_of(&found), ["", "core=0,host=a", "host=a", "host=b"]);
    assert_eq!(found.len(), 4);
    // The order of series stays the same.
    assert_eq!(s.query(query("cpu")).await, found);
    assert_eq!(s.all_points("mem").await, "1000:5");
}

async fn an_empty_label_is_no_label(s: Subject) {
    s.insert_points("cpu", &[("host", "a"), ("zone", "")], &[(1000, 1.0)]).await;
    s.insert_points("cpu", &[("host", "a")], &[(2000, 2.0)]).await;
    let found = s.query(query("cpu")).await;
    assert_eq!((found.len(), series_of(&found)), (1, vec!["host=a".to_owned()]));
    assert_eq!(s.all_points("cpu").await, "1000:1 2000:2");
}

async fn matchers_select_series(s: Subject) {
    for (host, zone) in [("a", "x"), ("b", "x"), ("c", "y"), ("größe 🙂", "")] {
        s.insert_points("cpu", &[("host", host), ("zone", zone)], &[(1000, 1.0)]).await;
    }
    let find = async |label: &str, operator, values: &[&str]| {
        let request = QueryRequest { selector: matching("cpu", label, operator, values), ..Default::default() };
        series_of(&s.query(request).await).join(" ")
    };
    assert_eq!(find("host", LabelOperator::In, &["a", "c", "z"]).await, "host=a,zone=x host=c,zone=y");
    assert_eq!(find("zone", LabelOperator::NotIn, &["x"]).await, "host=c,zone=y host=größe 🙂");
    assert_eq!(find("zone", LabelOperator::Present, &[]).await, "host=a,zone=x host=b,zone=x host=c,zone=y");
    assert_eq!(find("zone", LabelOperator::Absent, &[]).await, "host=größe 🙂");
    assert_eq!(find("host", LabelOperator::Unspecified, &["größe 🙂"]).await, "host=größe 🙂");
    assert_eq!(find("host", LabelOperator::In, &["A"]).await, "");
}

async fn ranges_include_their_start(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]).await;
    let within = async |range| s.query_text(QueryRequest { range, ..query("cpu") }).await;
    assert_eq!(within(range(1000, 3000)).await, "1000:1 2000:2");
    assert_eq!(within(range(1001, 3001)).await, "2000:2 3000:3");
    assert_eq!(within(range(2000, 2000)).await, "");
    assert_eq!(within(range(3000, 1000)).await, "");
    assert_eq!(within(range(2000, 2001)).await, "2000:2");
    let mut open = range(2000, 0).unwrap();
    open.end_time = None;
    assert_eq!(within(Some(open)).await, "2000:2 3000:3");
}

async fn any_time_and_any_finite_value(s: Subject) {
    let (first, last) = (-62_135_596_800_000, 253_402_300_799_999);
    let values = [(first, f64::MAX), (-1, -5e-324), (0, 0.0), (now(), 0.1 + 0.2), (last, f64::MIN)];
    s.insert_points("cpu", &[], &values).await;
    let found = s.query(query("cpu")).await;
    assert!(found[0].series.as_ref().unwrap().points == points(&values), "{found:?}");
}

async fn finer_times_are_cut_off(s: Subject) {
    let point = |seconds, nanos| Point { point_time: Some(prost_types::Timestamp { seconds, nanos }), value: 1.0 };
    let given = vec![point(1, 5_999_999), point(-1, 1)];
    let request = InsertRequest { series: vec![SeriesPoints { series: series("cpu", &[]), points: given }], duplicate_policy: 0 };
    s.timeseries_basic().insert(&s.context, request).await.unwrap();
    let found = s.query(query("cpu")).await;
    let times: Vec<i64> =
        found[0].series.as_ref().unwrap().points.iter().map(|point| crate::support::since_1970(point.point_time.as_ref())).collect();
    // A backend may be more precise than a millisecond.
    assert!(times[0] == -1000 && times[1] == 1005, "{times:?}");
}

async fn limits_end_the_stream(s: Subject) {
    for host in ["a", "b", "c"] {
        s.insert_points("cpu", &[("host", host)], &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]).await;
    }
    for limit in [1, 3, 4, 8, 9, 100] {
        assert_eq!(count(&s.query(QueryRequest { limit, ..query("cpu") }).await), limit.min(9) as usize);
    }
    let found = s.query(QueryRequest { limit_per_series: 2, ..query("cpu") }).await;
    assert_eq!((found.len(), count(&found)), (3, 6));
    let found = s.query(QueryRequest { limit_per_series: 2, limit: 3, ..query("cpu") }).await;
    assert_eq!(count(&found), 3);
}

async fn the_newest_of_every_series(s: Subject) {
    for (host, value) in [("a", 1.0), ("b", 2.0)] {
        s.insert_points("cpu", &[("host", host)], &[(1000, 0.0), (2000, value)]).await;
    }
    let found = s.query(QueryRequest { reverse: true, limit_per_series: 1, ..query("cpu") }).await;
    assert_eq!(series_of(&found), ["host=a", "host=b"]);
    for message in found {
        let newest = message.series.unwrap().points;
        assert!(newest.len() == 1 && newest[0].value > 0.0);
    }
}

async fn a_long_series_comes_in_parts(s: Subject) {
    let given: Vec<(i64, f64)> = (0..9000_i32).map(|number| (i64::from(number) * 10, f64::from(number))).collect();
    assert_eq!(s.insert_points("cpu", &[], &given).await, (9000, 0));
    for reverse in [false, true] {
        let found = s.query(QueryRequest { reverse, ..query("cpu") }).await;
        assert!(found.iter().all(|message| (1..=1000).contains(&message.series.as_ref().unwrap().points.len())));
        let values: Vec<f64> = found.into_iter().flat_map(|message| message.series.unwrap().points).map(|point| point.value).collect();
        let expected: Vec<f64> = (0..9000).map(|number| f64::from(if reverse { 8999 - number } else { number })).collect();
        assert!(values == expected, "{} values", values.len());
    }
}

async fn a_stream_continues_after_each_message(s: Subject) {
    for host in ["a", "b", "c"] {
        let given: Vec<(i64, f64)> = (0..2500_i32).map(|number| (i64::from(number), f64::from(number))).collect();
        s.insert_points("cpu", &[("host", host)], &given).await;
    }
    for (reverse, limit_per_series) in [(false, 0), (true, 0), (false, 1500)] {
        let request = QueryRequest { reverse, limit_per_series, ..query("cpu") };
        let whole = s.query(request.clone()).await;
        let flat = |messages: &[QueryResponse]| -> Vec<(String, Point)> {
            let series = messages.iter().map(|message| message.series.as_ref().unwrap());
            series.flat_map(|series| series.points.iter().map(|point| (labels(series.series.as_ref()), *point))).collect()
        };
        for (at, message) in whole.iter().enumerate() {
            let rest = s.query(QueryRequest { cursor: message.cursor.clone(), ..request.clone() }).await;
            assert!(flat(&rest) == flat(&whole[at + 1..]), "after message {at}, reverse: {reverse}");
        }
    }
}

async fn a_cursor_stays_valid_when_its_points_are_replaced(s: Subject) {
    s.insert_points("cpu", &[], &[(1000, 1.0), (2000, 2.0), (3000, 3.0)]).await;
    let first = s.query(QueryRequest { limit: 2, ..query("cpu") }).await;
    s.insert_points("cpu", &[], &[(1500, 9.0), (2000, 9.0), (2500, 9.0)]).await;
    let rest = QueryRequest { cursor: first.last().unwrap().cursor.clone(), ..query("cpu") };
    assert_eq!(s.query_text(rest).await, "2500:9 3000:3");
}

async fn one_request_for_many_series(s: Subject) {
    let given = (0..100).map(|number| {
        let host = (number % 50).to_string();
        SeriesPoints { series: series("cpu", &[("host", &host)]), points: points(&[(i64::from(number), 1.0), (1000, 2.0)]) }
    });
    let request = InsertRequest { series: given.collect(), duplicate_policy: 0 };
    let answer = s.timeseries_basic().insert(&s.context, request).await.unwrap();
    assert_eq!((answer.written, answer.skipped), (150, 50));
    assert_eq!(series_of(&s.query(query("cpu")).await).len(), 50);
}

async fn keyspaces_are_apart(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    for (number, subject) in [(1.0, &s), (2.0, &other), (3.0, &slot)] {
        subject.insert_points("cpu", &[], &[(0, number)]).await;
    }
    for (number, subject) in [(1, &s), (2, &other), (3, &slot)] {
        assert_eq!(subject.all_points("cpu").await, format!("0:{number}"));
    }
}

async fn survives_being_opened_again(s: Subject) {
    s.insert_points("cpu", &[], &[(0, 1.0)]).await;
    s.reopened().insert_points("cpu", &[], &[(1000, 2.0)]).await;
    assert_eq!(s.all_points("cpu").await, "0:1 1000:2");
}

async fn concurrent_writers(s: Subject) {
    let workers: Vec<_> = (0..8_i32)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    let time = i64::from(worker * 20 + number);
                    s.insert_points("cpu", &[], &[(time, f64::from(worker)), (1_000_000, f64::from(worker))]).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(count(&s.query(query("cpu")).await), 161);
}

async fn points_that_stay_come_once_while_others_write(s: Subject) {
    let given: Vec<(i64, f64)> = (0..3000_i32).map(|number| (i64::from(number) * 2, 1.0)).collect();
    s.insert_points("cpu", &[], &given).await;
    let mut stream = s.timeseries_basic().query(&s.context, query("cpu")).await.unwrap();
    let mut messages = vec![next(&mut stream).await];
    let odd: Vec<(i64, f64)> = (0..3000_i32).map(|number| (i64::from(number) * 2 + 1, 2.0)).collect();
    s.insert_points("cpu", &[], &odd).await;
    s.insert_points("cpu", &[("host", "a")], &odd).await;
    messages.extend(all(stream).await);
    let mut seen = BTreeMap::new();
    for message in &messages {
        let series = message.series.as_ref().unwrap();
        for point in series.points.iter().filter(|point| point.value < 1.5) {
            *seen.entry(crate::support::since_1970(point.point_time.as_ref())).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 3000 && seen.values().all(|times| *times == 1), "{} points", seen.len());
}

async fn nothing_is_no_error(s: Subject) {
    assert!(s.query(query("none")).await.is_empty());
    s.insert_points("cpu", &[("host", "a")], &[(1000, 1.0)]).await;
    let request = QueryRequest { selector: matching("cpu", "host", LabelOperator::In, &["b"]), ..Default::default() };
    assert!(s.query(request).await.is_empty());
}

async fn bad_requests_are_refused(s: Subject) {
    let series_of =
        |series: Option<Series>, points: Vec<Point>| InsertRequest { series: vec![SeriesPoints { series, points }], duplicate_policy: 0 };
    let insert = async |request| s.timeseries_basic().insert(&s.context, request).await;
    let one = points(&[(0, 1.0)]);
    let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|label| (label.as_str(), "x")).collect();
    let long = "n".repeat(256);
    invalid(insert(InsertRequest::default()).await, "BATCH_SIZE", "series");
    invalid(insert(series_of(series("cpu", &[]), vec![one[0]; 10_001])).await, "BATCH_SIZE", "series");
    invalid(insert(series_of(None, one.clone())).await, "INVALID_SERIES", "series[0].series.name");
    invalid(insert(series_of(series(&long, &[]), one.clone())).await, "INVALID_SERIES", "series[0].series.name");
    for labels in [&[("", "x")][..], &[(&long, "x")], &many] {
        invalid(insert(series_of(series("cpu", labels), one.clone())).await, "INVALID_SERIES", "series[0].series.labels");
    }
    for point in [
        Point { point_time: None, value: 1.0 },
        Point { point_time: Some(timestamp(0)), value: f64::NAN },
        Point { point_time: Some(timestamp(0)), value: f64::INFINITY },
        Point { point_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), value: 1.0 },
    ] {
        invalid(insert(series_of(series("cpu", &[]), vec![one[0], point])).await, "INVALID_POINT", "series[0].points[1]");
    }
    assert!(s.query(query("cpu")).await.is_empty());

    s.insert_points("cpu", &[], &[(0, 1.0), (1, 1.0)]).await;
    let cursor = s.query(QueryRequest { limit: 1, ..query("cpu") }).await[0].cursor.clone();
    for (request, reason, field) in [
        (QueryRequest::default(), "INVALID_SELECTOR", "selector.name"),
        (
            QueryRequest { selector: matching("cpu", "", LabelOperator::Present, &[]), ..Default::default() },
            "INVALID_SELECTOR",
            "selector.matchers[0].label",
        ),
        (
            QueryRequest { selector: matching("cpu", "a", LabelOperator::In, &[]), ..Default::default() },
            "INVALID_SELECTOR",
            "selector.matchers[0].values",
        ),
        (QueryRequest { cursor: cursor.clone(), reverse: true, ..query("cpu") }, "INVALID_CURSOR", "cursor"),
        (QueryRequest { cursor, ..query("mem") }, "INVALID_CURSOR", "cursor"),
        (QueryRequest { cursor: "AAAA".to_owned(), ..query("cpu") }, "INVALID_CURSOR", "cursor"),
    ] {
        invalid(stream_refusal(s.timeseries_basic().query(&s.context, request).await).await, reason, field);
    }
}
