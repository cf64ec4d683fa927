//! `document_basic`: changes of documents.

use prism::{
    call::Code,
    proto::models::document::v1::{FieldChange, FieldChangeList, UpdateRequest, field_change::Operation, update_request::Change},
};
use prost_types::Value;
use serde_json::{Value as Json, json};

use super::{body_of, list, object, replacement, update_request, value};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, refused, seconds},
};

suite! { "document_basic":
    a_replacement_is_the_new_body;
    a_merge_patch_changes_parts;
    fields_are_changed_one_by_one;
    a_change_that_does_not_fit_changes_nothing;
    what_is_not_there_is_not_changed;
    an_update_may_insert;
    a_revision_may_be_expected;
    the_document_comes_back;
    a_body_may_not_grow_too_large;
    concurrent_increments_add_up;
    cancelled_updates_change_all_or_nothing;
    bad_updates_name_their_field;
}

fn changes(changes: &[(&str, Operation)]) -> Change {
    let changes = changes.iter().map(|(path, operation)| FieldChange { path: (*path).to_owned(), operation: Some(operation.clone()) });
    Change::FieldChanges(FieldChangeList { changes: changes.collect() })
}

fn set(json: &Json) -> Operation {
    Operation::SetValue(value(json))
}

async fn a_replacement_is_the_new_body(s: Subject) {
    let first = s.put_document("a", &json!({"a": 1, "b": 2})).await;
    let answer = s.try_update("a", replacement(&json!({"b": [3]}))).await.unwrap();
    assert!(answer.updated && !answer.inserted && answer.revision != first && answer.document.is_none(), "{answer:?}");
    let document = s.document("a").await.unwrap();
    assert_eq!((body_of(&document), document.revision), (json!({"b": [3]}), answer.revision));
}

async fn a_merge_patch_changes_parts(s: Subject) {
    s.put_document("a", &json!({"title": "Goodbye!", "author": {"given": "John", "family": "Doe"}, "tags": ["example", "sample"], "n": 1}))
        .await;
    let patch = json!({"title": "Hello!", "phone": "+01", "author": {"family": null}, "tags": ["example"], "none": null});
    s.try_update("a", Change::MergePatch(object(&patch))).await.unwrap();
    let expected = json!({"title": "Hello!", "author": {"given": "John"}, "tags": ["example"], "n": 1, "phone": "+01"});
    assert_eq!(s.body("a").await, expected);
}

async fn fields_are_changed_one_by_one(s: Subject) {
    s.put_document("a", &json!({"n": 1, "l": [1, "1", 1, [2]], "o": {"x": null}, "r": 1, "q": [1, 2, 3]})).await;
    let change = changes(&[
        ("n", Operation::Increment(1.5)),
        ("new.n", Operation::Increment(-2.0)),
        ("o.x", set(&json!({"y": []}))),
        ("l.1", Operation::Remove(true)),
        ("r", Operation::Remove(true)),
        ("none.at.all", Operation::Remove(true)),
        ("l.3", Operation::Append(list(&json!([3, null])))),
        ("new.l", Operation::Append(list(&json!(["\0"])))),
        ("q", Operation::RemoveValues(list(&json!([1, 3, "2"])))),
        (r"dotted\.name", set(&json!(true))),
    ]);
    s.try_update("a", change).await.unwrap();
    let expected = json!({
        "n": 2.5, "new": {"n": -2, "l": ["\0"]}, "o": {"x": {"y": []}}, "l": [1, null, 1, [2, 3, null]], "q": [2], "dotted.name": true,
    });
    assert_eq!(s.body("a").await, expected);
}

async fn a_change_that_does_not_fit_changes_nothing(s: Subject) {
    let body = json!({"s": "text", "l": [1], "n": f64::MAX});
    let revision = s.put_document("a", &body).await;
    for (path, operation) in [
        ("s", Operation::Increment(1.0)),
        ("s", Operation::Append(list(&json!([1])))),
        ("l.0", Operation::RemoveValues(list(&json!([1])))),
        ("s.x", set(&json!(1))),
        ("l.1", set(&json!(1))),
        ("l.-1", set(&json!(1))),
        ("l.00", set(&json!(1))),
        ("n", Operation::Increment(f64::MAX)),
    ] {
        let change = changes(&[("first", set(&json!(1))), (path, operation)]);
        let error = refused(s.try_update("a", change).await, Code::FailedPrecondition, "FIELD_TYPE");
        assert_eq!(error.get("path"), Some(path));
    }
    let document = s.document("a").await.unwrap();
    assert_eq!((body_of(&document), document.revision), (body, revision));
}

async fn what_is_not_there_is_not_changed(s: Subject) {
    for change in [replacement(&json!({})), Change::MergePatch(object(&json!({"a": 1}))), changes(&[("a", Operation::Increment(1.0))])] {
        let answer = s.try_update("a", change).await.unwrap();
        assert!(!answer.updated && !answer.inserted && answer.revision == 0, "{answer:?}");
    }
    assert_eq!(s.document("a").await, None);
}

async fn an_update_may_insert(s: Subject) {
    let insert = |id: &str, change| UpdateRequest { insert_if_absent: true, ..update_request(id, change) };
    for (id, change, expected) in [
        ("a", replacement(&json!({"x": 1})), json!({"x": 1})),
        ("b", Change::MergePatch(object(&json!({"x": {"y": null, "z": 1}}))), json!({"x": {"z": 1}})),
        ("c", changes(&[("x.y", Operation::Increment(2.0))]), json!({"x": {"y": 2}})),
    ] {
        let answer = s.update_document(insert(id, change.clone())).await;
        assert!(answer.updated && answer.inserted && answer.revision > 0, "{answer:?}");
        let document = s.document(id).await.unwrap();
        assert_eq!((body_of(&document), document.revision), (expected, answer.revision));
        let answer = s.update_document(insert(id, change)).await;
        assert!(answer.updated && !answer.inserted, "{answer:?}");
    }
    assert_eq!(s.body("c").await, json!({"x": {"y": 4}}));
    let request = UpdateRequest { ttl: Some(seconds(1000)), ..insert("d", replacement(&json!({}))) };
    assert!(s.update_document(request).await.inserted);
    assert!(s.document("d").await.unwrap().expire_time.is_some());
}

async fn a_revision_may_be_expected(s: Subject) {
    let first = s.put_document("a", &json!({"n": 0})).await;
    let update = |id: &str, expected, insert_if_absent| UpdateRequest {
        expected_revision: Some(expected),
        insert_if_absent,
        ..update_request(id, changes(&[("n", Operation::Increment(1.0))]))
    };
    let answer = s.update_document(update("a", first + 1000, false)).await;
    assert!(!answer.updated && answer.revision == first, "{answer:?}");
    let second = s.update_document(update("a", first, false)).await;
    assert!(second.updated && second.revision != first);
    let answer = s.update_document(update("a", first, true)).await;
    assert!(!answer.updated && answer.revision == second.revision);
    let answer = s.update_document(update("a", 0, true)).await;
    assert!(!answer.updated && answer.revision == second.revision);
    let answer = s.update_document(update("b", second.revision, true)).await;
    assert!(!answer.updated && answer.revision == 0);
    let answer = s.update_document(update("b", 0, true)).await;
    assert!(answer.updated && answer.inserted);
    assert_eq!((s.body("a").await, s.body("b").await), (json!({"n": 1}), json!({"n": 1})));
}

async fn the_document_comes_back(s: Subject) {
    s.put_document("a", &json!({"n": 0})).await;
    let update = |id: &str| UpdateRequest { return_document: true, ..update_request(id, changes(&[("n", Operation::Increment(1.0))])) };
    let answer = s.update_document(update("a")).await;
    assert_eq!(answer.document, s.document("a").await);
    assert_eq!(s.update_document(update("b")).await.document, None);
    let answer = s.update_document(UpdateRequest { insert_if_absent: true, ..update("b") }).await;
    assert_eq!(answer.document, s.document("b").await);
}

async fn a_body_may_not_grow_too_large(s: Subject) {
    s.put_document("a", &json!({"l": ["x".repeat(600 << 10)]})).await;
    let revision = s.document("a").await.unwrap().revision;
    let more = changes(&[("l", Operation::Append(list(&json!(["x".repeat(600 << 10)]))))]);
    let error = refused(s.try_update("a", more).await, Code::InvalidArgument, "VALUE_TOO_LARGE");
    assert_eq!(error.violations()[0].field, "field_changes");
    assert_eq!(s.document("a").await.unwrap().revision, revision);
}

async fn concurrent_increments_add_up(s: Subject) {
    s.put_document("a", &json!({"n": 0})).await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    s.try_update("a", changes(&[("n", Operation::Increment(1.0))])).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(s.body("a").await, json!({"n": 200}));
}

async fn cancelled_updates_change_all_or_nothing(s: Subject) {
    s.put_document("a", &json!({"one": 0, "two": 0})).await;
    for number in 0..40 {
        let (s, change) = (s.clone(), changes(&[("one", Operation::Increment(1.0)), ("two", Operation::Increment(1.0))]));
        let call = tokio::spawn(async move { s.try_update("a", change).await });
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;
    }
    let body = s.body("a").await;
    assert_eq!(body["one"], body["two"]);
    s.try_update("a", changes(&[("one", set(&json!("still works")))])).await.unwrap();
}

async fn bad_updates_name_their_field(s: Subject) {
    s.put_document("a", &json!({})).await;
    let at = |name: &str| format!("field_changes.changes[0].{name}");
    for (operation, field) in [
        (None, at("operation")),
        (Some(Operation::Remove(false)), at("remove")),
        (Some(Operation::Increment(f64::NAN)), at("increment")),
        (Some(Operation::Increment(f64::INFINITY)), at("increment")),
        (Some(Operation::SetValue(Value { kind: None })), at("set_value")),
        (Some(Operation::Append(prost_types::ListValue { values: vec![Value { kind: None }] })), at("append.values[0]")),
    ] {
        let change = Change::FieldChanges(FieldChangeList { changes: vec![FieldChange { path: "a".to_owned(), operation }] });
        invalid(s.try_update("a", change).await, "INVALID_FIELD", &field);
    }
    for path in ["", ".", "a..b", r"a\b", &"a.".repeat(16), &"x".repeat(1025)] {
        invalid(s.try_update("a", changes(&[(path, Operation::Remove(true))])).await, "INVALID_FIELD", &at("path"));
    }
    for (one, other) in [("a", "a"), ("a", "a.b"), ("a.b.0", "a.b")] {
        let change = changes(&[(one, Operation::Remove(true)), (other, Operation::Remove(true))]);
        invalid(s.try_update("a", change).await, "INVALID_FIELD", "field_changes.changes[1].path");
    }
    let many: Vec<(String, Operation)> = (0..101).map(|number| (number.to_string(), Operation::Remove(true))).collect();
    let many: Vec<(&str, Operation)> = many.iter().map(|(path, operation)| (path.as_str(), operation.clone())).collect();
    invalid(s.try_update("a", changes(&many)).await, "BATCH_SIZE", "field_changes.changes");
    invalid(s.try_update("a", changes(&[])).await, "BATCH_SIZE", "field_changes.changes");
    let documents = s.document_basic();
    let request = UpdateRequest { change: None, ..update_request("a", replacement(&json!({}))) };
    invalid(documents.update(&s.context, request).await, "INVALID_FIELD", "change");
    let request = UpdateRequest { expected_revision: Some(0), ..update_request("a", replacement(&json!({}))) };
    invalid(documents.update(&s.context, request).await, "INVALID_FIELD", "expected_revision");
    let request = UpdateRequest { ttl: Some(seconds(1)), keep_ttl: true, ..update_request("a", replacement(&json!({}))) };
    invalid(documents.update(&s.context, request).await, "INVALID_TTL", "ttl");
}
