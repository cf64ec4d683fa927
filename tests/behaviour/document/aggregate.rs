//! `document_query`: groups and accumulators.

use prism::{
    call::Code,
    proto::models::document::v1::{Accumulator, AccumulatorFunction, AggregateRequest, ComparisonOperator, Condition, GroupKey},
};
use serde_json::{Value as Json, json};

use super::{COLLECTION, compare, equal, json_of_object, not, sort_key};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, refused, stream_refusal},
};

suite! { "document_query":
    all_documents_are_one_group;
    documents_are_grouped_by_values;
    accumulators_pass_over_what_does_not_fit;
    rows_are_filtered_and_sorted;
    columns_have_names;
    no_documents_are_one_row_or_none;
    each_document_may_be_a_group;
    bad_aggregations_name_their_field;
}

fn group(path: &str, name: &str) -> GroupKey {
    GroupKey { path: path.to_owned(), name: name.to_owned() }
}

fn column(name: &str, function: AccumulatorFunction, path: &str) -> Accumulator {
    Accumulator { name: name.to_owned(), function: function.into(), path: path.to_owned() }
}

fn count() -> Accumulator {
    column("count", AccumulatorFunction::Unspecified, "")
}

fn request(filter: Option<Condition>, group_by: Vec<GroupKey>, accumulators: Vec<Accumulator>) -> AggregateRequest {
    AggregateRequest { collection: COLLECTION.to_owned(), filter, group_by, accumulators, ..Default::default() }
}

/// The rows in the order in which they come.
async fn rows(s: &Subject, request: AggregateRequest) -> Vec<Json> {
    let rows = all(s.document_query().aggregate(&s.context, request).await.unwrap()).await;
    rows.iter().map(|row| json_of_object(row.row.as_ref().expect("a row is always present"))).collect()
}

/// The rows in the order of their texts.
async fn row_set(s: &Subject, request: AggregateRequest) -> Vec<String> {
    let mut texts: Vec<String> = rows(s, request).await.iter().map(Json::to_string).collect();
    texts.sort_unstable();
    texts
}

async fn all_documents_are_one_group(s: Subject) {
    s.put_documents(&[json!({"n": 4}), json!({"n": 1.5}), json!({"n": -2}), json!({})]).await;
    let columns = vec![
        count(),
        column("with", AccumulatorFunction::Count, "n"),
        column("different", AccumulatorFunction::CountDistinct, "n"),
        column("sum", AccumulatorFunction::Sum, "n"),
        column("mean", AccumulatorFunction::Average, "n"),
        column("least", AccumulatorFunction::Min, "n"),
        column("most", AccumulatorFunction::Max, "n"),
    ];
    let expected = json!({"count": 4, "with": 3, "different": 3, "sum": 3.5, "mean": 3.5 / 3.0, "least": -2, "most": 4});
    assert_eq!(rows(&s, request(None, vec![], columns.clone())).await, [expected]);
    let some = Some(compare("n", ComparisonOperator::Greater, &json!(1)));
    let expected = json!({"count": 2, "with": 2, "different": 2, "sum": 5.5, "mean": 2.75, "least": 1.5, "most": 4});
    assert_eq!(rows(&s, request(some, vec![], columns)).await, [expected]);
}

async fn documents_are_grouped_by_values(s: Subject) {
    for (number, body) in [
        json!({"k": 1, "a": {"b": "x"}}),
        json!({"k": "1", "a": {"b": "x"}}),
        json!({"k": 1.0}),
        json!({"k": null}),
        json!({}),
        json!({"k": [1]}),
        json!({"k": [1], "a": {"b": "x"}}),
        json!({"a": {"b": "\0"}}),
        json!({"k": {"y": 1, "x": 2}}),
        json!({"k": {"x": 2, "y": 1}}),
        json!({"k": false}),
    ]
    .iter()
    .enumerate()
    {
        s.put_document(&format!("{number:02}"), body).await;
    }
    assert_eq!(
        row_set(&s, request(None, vec![group("k", "")], vec![count()])).await,
        [
            r#"{"count":1,"k":"1"}"#,
            r#"{"count":1,"k":false}"#,
            r#"{"count":1,"k":null}"#,
            r#"{"count":2,"k":1}"#,
            r#"{"count":2,"k":[1]}"#,
            r#"{"count":2,"k":{"x":2,"y":1}}"#,
            r#"{"count":2}"#,
        ]
    );
    assert_eq!(
        row_set(&s, request(Some(not(equal("k", &json!(false)))), vec![group("a.b", "b")], vec![count()])).await,
        [r#"{"b":"\u0000","count":1}"#, r#"{"b":"x","count":3}"#, r#"{"count":6}"#]
    );
    let both = row_set(&s, request(None, vec![group("k", ""), group("a.b", "")], vec![])).await;
    assert_eq!(both.len(), 10, "{both:?}");
    assert!(both.contains(&r#"{"a.b":"x","k":1}"#.to_owned()) && both.contains(&"{}".to_owned()), "{both:?}");
}

async fn accumulators_pass_over_what_does_not_fit(s: Subject) {
    s.put_documents(&[
        json!({"n": "7"}),
        json!({"n": null}),
        json!({"n": true}),
        json!({"n": [1, 2]}),
        json!({"n": "7"}),
        json!({"l": [3, 4]}),
        json!({"l": [3], "huge": f64::MAX}),
        json!({"huge": f64::MAX}),
    ])
    .await;
    let columns = vec![
        column("with", AccumulatorFunction::Count, "n"),
        column("different", AccumulatorFunction::CountDistinct, "n"),
        column("sum", AccumulatorFunction::Sum, "n"),
        column("mean", AccumulatorFunction::Average, "n"),
        column("least", AccumulatorFunction::Min, "n"),
        column("most", AccumulatorFunction::Max, "n"),
        column("first", AccumulatorFunction::Sum, "l.0"),
        column("huge", AccumulatorFunction::Sum, "huge"),
    ];
    let expected = json!({"with": 5, "different": 4, "sum": 0, "mean": null, "least": null, "most": null, "first": 6, "huge": f64::MAX});
    assert_eq!(rows(&s, request(None, vec![], columns)).await, [expected]);
}

async fn rows_are_filtered_and_sorted(s: Subject) {
    for number in 0..30 {
        s.put_document(&format!("{number:02}"), &json!({"k": {"name": format!("k{}", number % 7)}, "n": number})).await;
    }
    let base = request(None, vec![group("k.name", "")], vec![count(), column("sum", AccumulatorFunction::Sum, "n")]);
    let having = Some(compare("count", ComparisonOperator::GreaterOrEqual, &json!(5)));
    let found = rows(&s, AggregateRequest { having, order: vec![sort_key("sum", true)], ..base.clone() }).await;
    assert_eq!(found, [json!({"k.name": "k1", "count": 5, "sum": 75}), json!({"k.name": "k0", "count": 5, "sum": 70})]);
    let found = rows(&s, AggregateRequest { order: vec![sort_key(r"k\.name", false)], limit: 2, ..base.clone() }).await;
    assert_eq!(found, [json!({"k.name": "k0", "count": 5, "sum": 70}), json!({"k.name": "k1", "count": 5, "sum": 75})]);
    let having = Some(equal(r"k\.name", &json!("k3")));
    assert_eq!(rows(&s, AggregateRequest { having, ..base.clone() }).await, [json!({"k.name": "k3", "count": 4, "sum": 54})]);
    assert_eq!(rows(&s, AggregateRequest { limit: 3, ..base }).await.len(), 3);
}

async fn columns_have_names(s: Subject) {
    s.put_documents(&[json!({"a": 1})]).await;
    let found = rows(&s, request(None, vec![group("a", "größe")], vec![column("a", AccumulatorFunction::Max, "a")])).await;
    assert_eq!(found, [json!({"größe": 1, "a": 1})]);
}

async fn no_documents_are_one_row_or_none(s: Subject) {
    let sum = column("sum", AccumulatorFunction::Sum, "n");
    let mean = column("mean", AccumulatorFunction::Average, "n");
    assert_eq!(rows(&s, request(None, vec![], vec![count(), sum.clone(), mean])).await, [json!({"count": 0, "sum": 0, "mean": null})]);
    assert_eq!(rows(&s, request(None, vec![group("k", "")], vec![count()])).await, Vec::<Json>::new());
    s.put_documents(&[json!({"n": 1})]).await;
    let none = Some(equal("n", &json!(2)));
    assert_eq!(rows(&s, request(none, vec![], vec![sum])).await, [json!({"sum": 0})]);
}

async fn each_document_may_be_a_group(s: Subject) {
    let workers: Vec<_> = (0..20)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..10 {
                    s.put_document(&format!("{worker}-{number}"), &json!({"k": worker * 10 + number})).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(rows(&s, request(None, vec![group("k", "")], vec![count()])).await.len(), 200);
}

async fn bad_aggregations_name_their_field(s: Subject) {
    let good = || request(None, vec![group("k", "")], vec![count()]);
    let ask = async |request| stream_refusal(s.document_query().aggregate(&s.context, request).await).await;
    let odd = Accumulator { function: 99, ..count() };
    for (request, field) in [
        (request(None, vec![], vec![]), "accumulators"),
        (request(None, vec![group("", "x")], vec![]), "group_by[0].path"),
        (request(None, vec![group("k", ""), group("k", "")], vec![]), "group_by[1].name"),
        (request(None, vec![group("k", &"n".repeat(256))], vec![]), "group_by[0].name"),
        (request(None, vec![group("k", ""); 9], vec![]), "group_by"),
        (request(None, vec![], vec![column("", AccumulatorFunction::Count, "")]), "accumulators[0].name"),
        (request(None, vec![group("k", "count")], vec![count()]), "accumulators[0].name"),
        (request(None, vec![], vec![column("a", AccumulatorFunction::Sum, "")]), "accumulators[0].path"),
        (request(None, vec![], vec![odd]), "accumulators[0].function"),
        (request(None, vec![], vec![count(); 33]), "accumulators"),
        (AggregateRequest { order: vec![sort_key("", false)], ..good() }, "order[0].path"),
        (AggregateRequest { order: vec![sort_key("a", false); 9], ..good() }, "order"),
    ] {
        invalid(ask(request).await, "INVALID_FIELD", field);
    }
    invalid(ask(AggregateRequest { collection: "-".to_owned(), ..good() }).await, "INVALID_COLLECTION", "collection");
    let empty = Some(Condition { test: None });
    refused(ask(AggregateRequest { filter: empty.clone(), ..good() }).await, Code::InvalidArgument, "INVALID_CONDITION");
    invalid(ask(AggregateRequest { having: empty, ..good() }).await, "INVALID_CONDITION", "having");
}
