//! `timeseries_retention`

use prism::proto::models::timeseries::v1::{
    AggregateFunction, AggregateRequest, Aggregation, CompactRequest, CompactResponse, SetRetentionRequest,
};

use super::selector;
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, eventually, invalid, now, seconds},
};

suite! { "timeseries_retention":
    old_points_are_not_found;
    old_points_are_not_written;
    points_become_too_old;
    a_longer_age_and_none;
    retention_is_set_by_name;
    compacting_keeps_what_can_be_found;
    aggregations_see_no_old_points needs "timeseries_aggregation";
    bad_requests_are_refused;
}

impl Subject {
    /// Sets the greatest age in seconds, and returns the former one.
    async fn retain_points(&self, name: &str, max_age: Option<i64>) -> Option<i64> {
        let request = SetRetentionRequest { name: name.to_owned(), max_age: max_age.map(seconds) };
        let answer = self.timeseries_retention().set_retention(&self.context, request).await.unwrap();
        answer.previous_max_age.map(|age| age.seconds)
    }

    async fn compact_points(&self, name: &str) -> CompactResponse {
        self.timeseries_retention().compact(&self.context, CompactRequest { name: name.to_owned() }).await.unwrap()
    }
}

async fn old_points_are_not_found(s: Subject) {
    let now = now();
    s.insert_points("cpu", &[], &[(now - 200_000, 1.0), (now - 50_000, 2.0), (now + 50_000, 3.0)]).await;
    assert_eq!(s.retain_points("cpu", Some(100)).await, None);
    assert_eq!(s.all_points("cpu").await, format!("{}:2 {}:3", now - 50_000, now + 50_000));
}

async fn old_points_are_not_written(s: Subject) {
    s.retain_points("cpu", Some(100)).await;
    let now = now();
    assert_eq!(s.insert_points("cpu", &[], &[(now - 200_000, 1.0), (now, 2.0)]).await, (1, 1));
    assert_eq!(s.all_points("cpu").await, format!("{now}:2"));
    assert_eq!(s.insert_points("cpu", &[("host", "a")], &[(0, 1.0)]).await, (0, 1));
}

async fn points_become_too_old(s: Subject) {
    s.retain_points("cpu", Some(1)).await;
    s.insert_points("cpu", &[], &[(now(), 1.0)]).await;
    let subject = &s;
    eventually("the point is too old", || async move { subject.all_points("cpu").await.is_empty() }).await;
}

async fn a_longer_age_and_none(s: Subject) {
    let now = now();
    assert_eq!(s.retain_points("cpu", Some(1000)).await, None);
    assert_eq!(s.retain_points("cpu", Some(2000)).await, Some(1000));
    s.insert_points("cpu", &[], &[(now - 1_500_000, 1.0)]).await;
    assert_eq!(s.all_points("cpu").await, format!("{}:1", now - 1_500_000));
    assert_eq!(s.retain_points("cpu", None).await, Some(2000));
    assert_eq!(s.retain_points("cpu", None).await, None);
    assert_eq!(s.insert_points("cpu", &[], &[(0, 2.0)]).await, (1, 0));
}

async fn retention_is_set_by_name(s: Subject) {
    s.retain_points("cpu", Some(100)).await;
    for name in ["cpu", "mem"] {
        for host in ["a", "b"] {
            s.insert_points(name, &[("host", host)], &[(0, 1.0)]).await;
        }
    }
    assert_eq!(s.all_points("cpu").await, "");
    let found = s.query(prism::proto::models::timeseries::v1::QueryRequest { selector: selector("mem"), ..Default::default() }).await;
    assert_eq!(found.len(), 2);
}

async fn compacting_keeps_what_can_be_found(s: Subject) {
    let now = now();
    for name in ["cpu", "mem"] {
        s.insert_points(name, &[("host", "a")], &[(now - 200_000, 1.0), (now, 2.0)]).await;
        s.insert_points(name, &[("host", "b")], &[(now - 300_000, 1.0), (now - 200_000, 1.0)]).await;
        s.retain_points(name, Some(100)).await;
    }
    let first = s.compact_points("cpu").await;
    // Points that the backend has removed by itself are not counted; it may also not count at all.
    assert!(first.points_removed.is_none_or(|points| points <= 3) && first.series_removed.is_none_or(|series| series <= 1));
    s.compact_points("").await;
    for name in ["cpu", "mem"] {
        assert_eq!(s.all_points(name).await, format!("{now}:2"));
        assert!(s.compact_points(name).await.points_removed.is_none_or(|points| points == 0));
    }
    s.compact_points("none").await;
}

async fn aggregations_see_no_old_points(s: Subject) {
    let now = now();
    s.insert_points("cpu", &[], &[(now - 200_000, 1.0), (now, 2.0)]).await;
    s.retain_points("cpu", Some(100)).await;
    let aggregations = vec![Aggregation { function: AggregateFunction::Sum.into(), quantile: None }];
    let request = AggregateRequest { selector: selector("cpu"), aggregations, ..Default::default() };
    let found = all(s.timeseries_aggregation().aggregate(&s.context, request).await.unwrap()).await;
    assert_eq!(found[0].windows[0].values, vec![2.0]);
}

async fn bad_requests_are_refused(s: Subject) {
    let series = s.timeseries_retention();
    let set = |name: &str, max_age| SetRetentionRequest { name: name.to_owned(), max_age };
    let long = "n".repeat(256);
    for name in ["", &long] {
        invalid(series.set_retention(&s.context, set(name, Some(seconds(1)))).await, "INVALID_SERIES", "name");
    }
    invalid(series.set_retention(&s.context, set("cpu", Some(seconds(0)))).await, "INVALID_FIELD", "max_age");
    invalid(series.set_retention(&s.context, set("cpu", Some(seconds(-1)))).await, "INVALID_FIELD", "max_age");
    invalid(series.compact(&s.context, CompactRequest { name: long.clone() }).await, "INVALID_SERIES", "name");
}
