//! Several gateways on the same documents.

use prism::proto::models::document::v1::{
    CreateIndexRequest, FieldChange, FieldChangeList, Index, IndexField, field_change::Operation, update_request::Change,
};
use serde_json::json;

use super::{COLLECTION, equal, replacement};
use crate::{subject::Subject, suite::suite};

suite! { "document_indexing" shared:
    gateways_see_each_others_documents needs "document_query";
    increments_of_two_gateways_add_up;
    values_are_unique_on_all_gateways;
    two_gateways_make_one_index;
}

async fn gateways_see_each_others_documents(s: Subject) {
    let remote = s.on_other_gateway();
    let first = s.put_document("a", &json!({"x": 1})).await;
    assert_eq!(remote.document("a").await, s.document("a").await);
    assert_eq!(remote.found(equal("x", &json!(1))).await, "a");
    let second = remote.try_update("a", replacement(&json!({"x": 2}))).await.unwrap().revision;
    assert!(second != first);
    assert_eq!(s.found(equal("x", &json!(2))).await, "a");
    assert!(s.delete_document("a", Some(second)).await.deleted);
    assert_eq!(remote.document("a").await, None);
}

async fn increments_of_two_gateways_add_up(s: Subject) {
    s.put_document("a", &json!({})).await;
    let workers: Vec<_> = [s.clone(), s.on_other_gateway(), s.clone(), s.on_other_gateway()]
        .into_iter()
        .map(|s| {
            tokio::spawn(async move {
                for _ in 0..25 {
                    let changes = vec![FieldChange { path: "n".to_owned(), operation: Some(Operation::Increment(1.0)) }];
                    s.try_update("a", Change::FieldChanges(FieldChangeList { changes })).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(s.body("a").await, json!({"n": 100}));
}

fn index() -> CreateIndexRequest {
    let fields = vec![IndexField { path: "email".to_owned(), descending: false }];
    CreateIndexRequest { collection: COLLECTION.to_owned(), index: Some(Index { name: "email".to_owned(), fields, unique: true }) }
}

async fn values_are_unique_on_all_gateways(s: Subject) {
    let remote = s.on_other_gateway();
    assert!(remote.document_indexing().create_index(&remote.context, index()).await.unwrap().created);
    let workers: Vec<_> = [s.clone(), remote, s.clone(), s.on_other_gateway()]
        .into_iter()
        .enumerate()
        .map(|(worker, s)| {
            tokio::spawn(async move {
                let mut inserted = 0;
                for number in 0..25 {
                    match s.try_insert_document(&format!("{worker}-{number}"), &json!({"email": format!("{number}@example.com")})).await {
                        Ok(_) => inserted += 1,
                        Err(error) => assert_eq!((error.reason(), error.get("index")), ("UNIQUE_VIOLATION", Some("email")), "{error:?}"),
                    }
                }
                inserted
            })
        })
        .collect();
    let mut inserted = 0;
    for worker in workers {
        inserted += worker.await.unwrap();
    }
    assert_eq!(inserted, 25);
}

async fn two_gateways_make_one_index(s: Subject) {
    for number in 0..50 {
        s.put_document(&number.to_string(), &json!({"email": number})).await;
    }
    let calls: Vec<_> = [s.clone(), s.on_other_gateway(), s.clone(), s.on_other_gateway()]
        .into_iter()
        .map(|s| tokio::spawn(async move { s.document_indexing().create_index(&s.context, index()).await.unwrap().created }))
        .collect();
    let mut created = 0;
    for call in calls {
        created += u32::from(call.await.unwrap());
    }
    assert_eq!(created, 1);
}
