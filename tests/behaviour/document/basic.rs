//! `document_basic`: documents by their ids.

use std::{collections::BTreeSet, time::Duration};

use prism::{
    call::Code,
    proto::models::document::v1::{DeleteRequest, GetRequest, InsertRequest, UpdateRequest},
};
use prost_types::{Struct, Value, value::Kind};
use serde_json::{Value as Json, json};

use super::{COLLECTION, body_of, object, replacement, update_request};
use crate::{
    subject::Subject,
    suite::suite,
    support::{eventually, invalid, millis, now, refused, seconds, since_1970},
};

suite! { "document_basic":
    inserts_and_reads;
    ids_are_made_or_given;
    an_id_is_there_once;
    any_json_comes_back;
    bodies_are_limited;
    deletes_documents;
    revisions_never_come_twice;
    documents_expire;
    an_update_sets_the_expiration;
    fields_are_selected;
    collections_and_keyspaces_are_apart;
    survives_being_opened_again;
    one_of_many_inserts_wins;
    late_calls_do_nothing_or_everything;
    bad_requests_name_their_field;
}

fn insert(id: &str, body: &Json) -> InsertRequest {
    InsertRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), body: Some(object(body)), ttl: None }
}

async fn inserts_and_reads(s: Subject) {
    let before = now();
    let inserted = s.document_basic().insert(&s.context, insert("ann", &json!({"name": "Ann", "age": 41}))).await.unwrap();
    assert!(inserted.id == "ann" && inserted.revision > 0, "{inserted:?}");
    let document = s.document("ann").await.unwrap();
    assert_eq!((document.id.as_str(), body_of(&document)), ("ann", json!({"name": "Ann", "age": 41})));
    assert_eq!((document.revision, &document.create_time), (inserted.revision, &inserted.create_time));
    assert_eq!((&document.update_time, &document.expire_time), (&inserted.create_time, &None));
    // The clock of a server may differ a little.
    assert!((since_1970(document.create_time.as_ref()) - before).abs() < 60_000);
    assert_eq!(s.document("bob").await, None);
    let request = InsertRequest { body: None, ..insert("empty", &json!({})) };
    s.document_basic().insert(&s.context, request).await.unwrap();
    assert_eq!(s.body("empty").await, json!({}));
}

async fn ids_are_made_or_given(s: Subject) {
    let mut made = BTreeSet::new();
    for _ in 0..10 {
        let id = s.document_basic().insert(&s.context, insert("", &json!({"a": 1}))).await.unwrap().id;
        assert_eq!(s.body(&id).await, json!({"a": 1}));
        made.insert(id);
    }
    assert_eq!(made.len(), 10);
    for id in ["größe/1", "\0", "a\0b", "\u{1}\u{2}", " ", "'; DROP TABLE documents; --", "日本", &"x".repeat(255)] {
        s.put_document(id, &json!({"id": id})).await;
        assert_eq!(s.body(id).await, json!({"id": id}));
    }
    assert_eq!(s.document("a").await, None);
}

async fn an_id_is_there_once(s: Subject) {
    let revision = s.put_document("ann", &json!({"a": 1})).await;
    let error = refused(s.try_insert_document("ann", &json!({"a": 2})).await, Code::AlreadyExists, "DOCUMENT_EXISTS");
    assert_eq!(error.get("revision"), Some(revision.to_string().as_str()));
    assert_eq!(s.body("ann").await, json!({"a": 1}));
}

async fn any_json_comes_back(s: Subject) {
    let mut deep = json!("end");
    for level in 0..31 {
        deep = if level % 2 == 0 { json!([deep]) } else { json!({"a": deep}) };
    }
    let bodies = [
        json!({}),
        json!({"": "", "null": null, "no": false, "yes": true, "list": [], "object": {}, "mixed": [1, "1", [null], {"a": []}]}),
        json!({"text": "\0\u{1}\u{2}\u{3}\u{4}\u{7f}\u{80}\u{ffff}\u{10ffff}\"\\/\n\r\t\u{8}\u{c}", "\0\u{1}": {"\u{2}\u{3}.'\"\\": 1}}),
        json!({"日本": "größe 🎈", "e\u{301}": "é", "$where": "1", "a.b": {"a": 1}, "0": [0]}),
        json!({"numbers": [0, -1, 0.1, 1e-7, 1.5e300, 5e-324, f64::MAX, -9_007_199_254_740_991_i64, 9_007_199_254_740_992_i64]}),
        json!({"deep": deep}),
        json!({"large": "x".repeat((1 << 20) - 12)}),
        json!({"many": (0..50_000).collect::<Vec<_>>()}),
        Json::Object((0..5000).map(|number| (format!("field {number}"), json!(number))).collect()),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let id = number.to_string();
        s.put_document(&id, body).await;
        assert!(s.body(&id).await == *body, "document {number} has changed");
        s.try_update(&id, replacement(body)).await.unwrap();
        assert!(s.body(&id).await == *body, "document {number} has changed in an update");
    }
    // JSON has no minus zero that differs from zero.
    s.put_document("zero", &json!({"zero": -0.0})).await;
    assert_eq!(s.body("zero").await, json!({"zero": 0}));
}

async fn bodies_are_limited(s: Subject) {
    let large = json!({"large": "x".repeat((1 << 20) - 11)});
    let mut deep = json!({});
    for _ in 0..32 {
        deep = json!({"a": deep});
    }
    for (body, limit) in [(&large, "1048576"), (&deep, "32")] {
        let error = refused(s.try_insert_document("a", body).await, Code::InvalidArgument, "VALUE_TOO_LARGE");
        assert_eq!((error.get("limit"), error.violations()[0].field.as_str()), (Some(limit), "body"));
        assert_eq!(s.document("a").await, None);
        s.put_document("b", &json!({})).await;
        let error = refused(s.try_update("b", replacement(body)).await, Code::InvalidArgument, "VALUE_TOO_LARGE");
        assert_eq!((error.get("limit"), error.violations()[0].field.as_str()), (Some(limit), "replacement"));
        assert_eq!(s.body("b").await, json!({}));
        s.delete_document("b", None).await;
    }
    for kind in [None, Some(Kind::NumberValue(f64::NAN)), Some(Kind::NumberValue(f64::NEG_INFINITY))] {
        let body = Struct { fields: [("odd".to_owned(), Value { kind })].into() };
        let request = InsertRequest { body: Some(body), ..insert("a", &json!({})) };
        invalid(s.document_basic().insert(&s.context, request).await, "INVALID_FIELD", "body.odd");
    }
}

async fn deletes_documents(s: Subject) {
    let revision = s.put_document("ann", &json!({})).await;
    let answer = s.delete_document("ann", Some(revision + 1)).await;
    assert_eq!((answer.deleted, answer.revision), (false, revision));
    let answer = s.delete_document("ann", Some(revision)).await;
    assert_eq!((answer.deleted, answer.revision), (true, revision));
    let answer = s.delete_document("ann", None).await;
    assert_eq!((answer.deleted, answer.revision), (false, 0));
    assert_eq!(s.document("ann").await, None);
    s.put_document("ann", &json!({"new": true})).await;
    assert!(s.delete_document("ann", None).await.deleted);
}

async fn revisions_never_come_twice(s: Subject) {
    let mut revisions = BTreeSet::new();
    for _ in 0..3 {
        for id in ["a", "b"] {
            revisions.insert(s.put_document(id, &json!({})).await);
            for _ in 0..3 {
                let answer = s.try_update(id, replacement(&json!({}))).await.unwrap();
                assert!(answer.updated && !answer.inserted);
                revisions.insert(answer.revision);
            }
            s.delete_document(id, None).await;
        }
    }
    assert_eq!(revisions.len(), 24);
}

async fn documents_expire(s: Subject) {
    let before = now();
    let request = InsertRequest { ttl: Some(seconds(1000)), ..insert("later", &json!({})) };
    s.document_basic().insert(&s.context, request).await.unwrap();
    let expires = since_1970(s.document("later").await.unwrap().expire_time.as_ref());
    assert!((expires - before - 1_000_000).abs() < 60_000, "{expires}");
    let request = InsertRequest { ttl: Some(millis(300)), ..insert("soon", &json!({"a": 1})) };
    let first = s.document_basic().insert(&s.context, request).await.unwrap().revision;
    let subject = &s;
    eventually("the document expires", || async move { subject.document("soon").await.is_none() }).await;
    assert!(!s.delete_document("soon", None).await.deleted);
    assert!(!s.try_update("soon", replacement(&json!({}))).await.unwrap().updated);
    // Its id is free again.
    assert!(s.put_document("soon", &json!({"a": 2})).await > first);
    assert_eq!(s.document("soon").await.unwrap().expire_time, None);
}

async fn an_update_sets_the_expiration(s: Subject) {
    s.put_document("a", &json!({})).await;
    let update = |ttl, keep_ttl| UpdateRequest { ttl, keep_ttl, ..update_request("a", replacement(&json!({}))) };
    let subject = &s;
    let expires = async move || subject.document("a").await.unwrap().expire_time;
    let first = s.document("a").await.unwrap();
    s.update_document(update(Some(seconds(1000)), false)).await;
    let second = s.document("a").await.unwrap();
    assert!(second.expire_time.is_some() && second.revision != first.revision && second.create_time == first.create_time);
    s.update_document(update(None, true)).await;
    assert_eq!(expires().await, second.expire_time);
    s.update_document(update(None, false)).await;
    assert_eq!(expires().await, None);
    s.update_document(update(None, true)).await;
    assert_eq!(expires().await, None);
    s.update_document(update(Some(millis(200)), false)).await;
    eventually("the document expires", || async move { subject.document("a").await.is_none() }).await;
    // An inserted document has nothing to keep.
    let answer = s.update_document(UpdateRequest { insert_if_absent: true, ..update(None, true) }).await;
    assert!(answer.inserted);
    assert_eq!(expires().await, None);
}

async fn fields_are_selected(s: Subject) {
    s.put_document("a", &json!({"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}, 5, [6]], "n": null, "d.e": "\0"})).await;
    for (fields, expected) in [
        (&["a.b", "n", r"d\.e"][..], json!({"a": {"b": 1}, "n": null, "d.e": "\0"})),
        (&["a.b", "a"], json!({"a": {"b": 1, "c": 2}})),
        (&["l.2", "l.0.x"], json!({"l": [{"x": 1}, [6]]})),
        (&["a.x", "l.7", "l.-1", "l.00", "n.a", "none"], json!({})),
    ] {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let request = GetRequest { collection: COLLECTION.to_owned(), id: "a".to_owned(), fields };
        let document = s.document_basic().get(&s.context, request).await.unwrap().document.unwrap();
        assert_eq!(body_of(&document), expected);
    }
}

async fn collections_and_keyspaces_are_apart(s: Subject) {
    s.put_document("a", &json!({"where": "here"})).await;
    for other in [s.other_keyspace(), s.other_slot()] {
        assert_eq!(other.document("a").await, None);
        other.put_document("a", &json!({"where": "there"})).await;
        assert!(other.delete_document("a", None).await.deleted);
    }
    let request = InsertRequest { collection: "People".to_owned(), ..insert("a", &json!({"where": "there"})) };
    s.document_basic().insert(&s.context, request).await.unwrap();
    let request = DeleteRequest { collection: "People".to_owned(), id: "a".to_owned(), expected_revision: None };
    assert!(s.document_basic().delete(&s.context, request).await.unwrap().deleted);
    assert_eq!(s.body("a").await, json!({"where": "here"}));
}

async fn survives_being_opened_again(s: Subject) {
    let revision = s.put_document("a", &json!({"a": [1]})).await;
    let again = s.reopened();
    assert_eq!(again.document("a").await, s.document("a").await);
    assert_eq!(again.document("a").await.unwrap().revision, revision);
    assert!(again.put_document("b", &json!({})).await != revision);
}

async fn one_of_many_inserts_wins(s: Subject) {
    let inserts: Vec<_> = (0..16)
        .map(|number| {
            let s = s.clone();
            tokio::spawn(async move { s.try_insert_document("a", &json!({"number": number})).await.map(|revision| (number, revision)) })
        })
        .collect();
    let mut winners = vec![];
    for insert in inserts {
        match insert.await.unwrap() {
            Ok(winner) => winners.push(winner),
            Err(error) => assert_eq!(error.reason(), "DOCUMENT_EXISTS", "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let document = s.document("a").await.unwrap();
    assert_eq!((body_of(&document), document.revision), (json!({"number": winners[0].0}), winners[0].1));
}

async fn late_calls_do_nothing_or_everything(s: Subject) {
    s.put_document("a", &json!({"one": 0, "two": 0})).await;
    for number in 1..40_u64 {
        let context = s.with_timeout(Duration::from_micros(number * 50));
        let request = update_request("a", replacement(&json!({"one": number, "two": number})));
        // Whether the call was in time does not matter.
        let _ = s.document_basic().update(&context, request).await;
        let body = s.body("a").await;
        assert_eq!(body["one"], body["two"]);
    }
    s.try_update("a", replacement(&json!({"done": true}))).await.unwrap();
    assert_eq!(s.body("a").await, json!({"done": true}));
}

async fn bad_requests_name_their_field(s: Subject) {
    let documents = s.document_basic();
    let (long, wide) = ("c".repeat(65), "i".repeat(256));
    for collection in ["", "-a", "a b", "a.b", "ä", "a\0", &long] {
        let collection = collection.to_owned();
        let request = InsertRequest { collection: collection.clone(), ..insert("a", &json!({})) };
        invalid(documents.insert(&s.context, request).await, "INVALID_COLLECTION", "collection");
        let request = UpdateRequest { collection: collection.clone(), ..update_request("a", replacement(&json!({}))) };
        invalid(documents.update(&s.context, request).await, "INVALID_COLLECTION", "collection");
        let request = DeleteRequest { collection: collection.clone(), id: "a".to_owned(), expected_revision: None };
        invalid(documents.delete(&s.context, request).await, "INVALID_COLLECTION", "collection");
        let request = GetRequest { collection, id: "a".to_owned(), fields: vec![] };
        invalid(documents.get(&s.context, request).await, "INVALID_COLLECTION", "collection");
    }
    invalid(documents.insert(&s.context, insert(&wide, &json!({}))).await, "INVALID_ID", "id");
    for id in ["", &wide] {
        invalid(documents.update(&s.context, update_request(id, replacement(&json!({})))).await, "INVALID_ID", "id");
        let request = DeleteRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), expected_revision: None };
        invalid(documents.delete(&s.context, request).await, "INVALID_ID", "id");
        let request = GetRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), fields: vec![] };
        invalid(documents.get(&s.context, request).await, "INVALID_ID", "id");
    }
    for ttl in [seconds(0), seconds(-1), seconds(1 << 50)] {
        let request = InsertRequest { ttl: Some(ttl), ..insert("a", &json!({})) };
        invalid(documents.insert(&s.context, request).await, "INVALID_TTL", "ttl");
        let request = UpdateRequest { ttl: Some(ttl), ..update_request("a", replacement(&json!({}))) };
        invalid(documents.update(&s.context, request).await, "INVALID_TTL", "ttl");
    }
    let request = DeleteRequest { collection: COLLECTION.to_owned(), id: "a".to_owned(), expected_revision: Some(0) };
    invalid(documents.delete(&s.context, request).await, "INVALID_FIELD", "expected_revision");
    for (fields, field) in
        [(vec![String::new()], "fields[0]"), (vec!["a".to_owned(), "a..b".to_owned()], "fields[1]"), (vec!["a".to_owned(); 101], "fields")]
    {
        let request = GetRequest { collection: COLLECTION.to_owned(), id: "a".to_owned(), fields };
        invalid(documents.get(&s.context, request).await, "INVALID_FIELD", field);
    }
}
