//! `document_indexing`: unique indexes.

use prism::{
    call::Code,
    proto::models::document::v1::{InsertRequest, UpdateRequest},
};
use serde_json::json;

use super::{COLLECTION, indexing::index, object, replacement, update_request};
use crate::{
    subject::Subject,
    suite::suite,
    support::{eventually, millis, refused},
};

suite! { "document_indexing":
    equal_values_are_refused;
    several_fields_are_unique_together;
    missing_and_null_are_exempt;
    a_value_is_free_again;
    expired_documents_do_not_count;
    an_index_of_equal_values_is_not_made;
    one_of_many_writers_wins;
}

async fn refuse(s: &Subject, id: &str, body: &serde_json::Value) {
    let error = refused(s.try_insert_document(id, body).await, Code::AlreadyExists, "UNIQUE_VIOLATION");
    assert_eq!(error.get("index"), Some("email"));
    assert_eq!(s.document(id).await, None);
}

async fn equal_values_are_refused(s: Subject) {
    s.try_index(index("email", &["email"], true)).await.unwrap();
    let values =
        [json!("a"), json!("A"), json!("a\0"), json!(1), json!("1"), json!(true), json!([1, "a"]), json!({"x": 1, "y": 2}), json!("")];
    for (number, value) in values.iter().enumerate() {
        s.put_document(&number.to_string(), &json!({"email": value})).await;
    }
    for value in values {
        refuse(&s, "new", &json!({"email": value})).await;
    }
    refuse(&s, "new", &json!({"email": 1.0, "other": 2})).await;
    refuse(&s, "new", &json!({"email": {"y": 2, "x": 1}})).await;
    // A document does not meet itself.
    assert!(s.try_update("0", replacement(&json!({"email": "a", "more": 1}))).await.unwrap().updated);
    let revision = s.document("0").await.unwrap().revision;
    refused(s.try_update("0", replacement(&json!({"email": "A"}))).await, Code::AlreadyExists, "UNIQUE_VIOLATION");
    assert_eq!(s.document("0").await.unwrap().revision, revision);
    let insert = UpdateRequest { insert_if_absent: true, ..update_request("new", replacement(&json!({"email": "a"}))) };
    refused(s.document_basic().update(&s.context, insert).await, Code::AlreadyExists, "UNIQUE_VIOLATION");
    assert_eq!(s.document("new").await, None);
}

async fn several_fields_are_unique_together(s: Subject) {
    s.try_index(index("email", &["a", "-b.c"], true)).await.unwrap();
    s.put_document("1", &json!({"a": "x", "b": {"c": "yz"}})).await;
    s.put_document("2", &json!({"a": "xy", "b": {"c": "z"}})).await;
    s.put_document("3", &json!({"a": "x", "b": {"c": "z"}})).await;
    refuse(&s, "4", &json!({"a": "x", "b": {"c": "yz"}})).await;
}

async fn missing_and_null_are_exempt(s: Subject) {
    s.try_index(index("email", &["a", "b"], true)).await.unwrap();
    for (number, body) in
        [json!({}), json!({"a": 1}), json!({"a": 1, "b": null}), json!({"b": 1, "a": null}), json!({"b": 1})].iter().enumerate()
    {
        for twice in 0..2 {
            s.put_document(&format!("{number}-{twice}"), body).await;
        }
    }
    s.put_document("one", &json!({"a": 1, "b": [null]})).await;
    refuse(&s, "other", &json!({"a": 1, "b": [null]})).await;
}

async fn a_value_is_free_again(s: Subject) {
    s.try_index(index("email", &["email"], true)).await.unwrap();
    s.put_document("a", &json!({"email": 1})).await;
    s.try_update("a", replacement(&json!({"email": 2}))).await.unwrap();
    s.put_document("b", &json!({"email": 1})).await;
    s.delete_document("a", None).await;
    s.put_document("c", &json!({"email": 2})).await;
    refuse(&s, "d", &json!({"email": 2})).await;
    let request = prism::proto::models::document::v1::DropIndexRequest { collection: COLLECTION.to_owned(), name: "email".to_owned() };
    assert!(s.document_indexing().drop_index(&s.context, request).await.unwrap().dropped);
    s.put_document("d", &json!({"email": 2})).await;
}

async fn expired_documents_do_not_count(s: Subject) {
    s.try_index(index("email", &["email"], true)).await.unwrap();
    let soon = |id: &str| InsertRequest {
        collection: COLLECTION.to_owned(),
        id: id.to_owned(),
        body: Some(object(&json!({"email": id.len()}))),
        ttl: Some(millis(200)),
    };
    s.document_basic().insert(&s.context, soon("a")).await.unwrap();
    s.document_basic().insert(&s.context, soon("bb")).await.unwrap();
    let subject = &s;
    eventually("the documents expire", || async move { subject.document("a").await.or(subject.document("bb").await).is_none() }).await;
    s.put_document("c", &json!({"email": 1})).await;
    let insert = UpdateRequest { insert_if_absent: true, ..update_request("d", replacement(&json!({"email": 2}))) };
    assert!(s.update_document(insert).await.inserted);
    refuse(&s, "e", &json!({"email": 1})).await;
    // Nor when an index is made.
    s.document_basic().insert(&s.context, InsertRequest { body: Some(object(&json!({"x": 1}))), ..soon("f") }).await.unwrap();
    s.put_document("g", &json!({"x": 1})).await;
    eventually("the document expires", || async move { subject.document("f").await.is_none() }).await;
    assert!(s.try_index(index("x", &["x"], true)).await.unwrap());
}

async fn an_index_of_equal_values_is_not_made(s: Subject) {
    s.put_document("a", &json!({"x": 1})).await;
    s.put_document("b", &json!({"x": 2})).await;
    s.put_document("c", &json!({"x": 1.0})).await;
    let error = refused(s.try_index(index("x", &["x"], true)).await, Code::FailedPrecondition, "UNIQUE_VIOLATION");
    assert!(["a", "c"].contains(&error.get("id").unwrap_or_default()), "{error:?}");
    assert_eq!(s.indexes_of(COLLECTION).await, []);
    s.put_document("d", &json!({"x": 2})).await;
    s.delete_document("a", None).await;
    s.delete_document("b", None).await;
    assert!(s.try_index(index("x", &["x"], true)).await.unwrap());
}

async fn one_of_many_writers_wins(s: Subject) {
    s.try_index(index("email", &["email"], true)).await.unwrap();
    let writers: Vec<_> = (0..12)
        .map(|number| {
            let s = s.clone();
            tokio::spawn(async move { s.try_insert_document(&number.to_string(), &json!({"email": "same"})).await })
        })
        .collect();
    let mut inserted = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => inserted += 1,
            Err(error) => assert_eq!(error.reason(), "UNIQUE_VIOLATION", "{error:?}"),
        }
    }
    assert_eq!(inserted, 1);
}
