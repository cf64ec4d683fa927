//! `document_query`: the order of documents, pages and cursors.

use prism::proto::models::document::v1::{ComparisonOperator, FindRequest, FindResponse, SortKey};
use serde_json::{Value as Json, json};

use super::{compare, equal, find_request, ids, replacement, sort_key};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, next},
};

suite! { "document_query":
    documents_come_in_the_order_of_their_ids;
    values_come_in_the_order_of_their_types;
    strings_come_in_the_order_of_their_bytes;
    equal_documents_come_in_the_order_of_their_ids;
    several_keys_decide_one_after_the_other;
    long_strings_are_compared_as_a_whole;
    skips_and_limits;
    a_stream_continues_after_each_document;
    a_cursor_outlives_its_document;
    many_documents_come_once;
    documents_that_stay_come_once_while_others_write;
    documents_are_inserted_while_a_client_reads;
}

async fn sorted(s: &Subject, order: &[SortKey]) -> String {
    ids(&s.find_documents(FindRequest { order: order.to_vec(), ..find_request(None) }).await)
}

async fn documents_come_in_the_order_of_their_ids(s: Subject) {
    for id in ["b", "a", "ä", "B", "a\0", "aa", "a ", "~", "10", "9", "\u{ffff}", "\u{10000}"] {
        s.put_document(id, &json!({"v": 1})).await;
    }
    let expected = "10 9 B a a\0 a  aa b ~ ä \u{ffff} \u{10000}";
    assert_eq!(sorted(&s, &[]).await, expected);
    assert_eq!(s.found(equal("v", &json!(1))).await, expected);
    assert_eq!(sorted(&s, &[sort_key("v", true)]).await, expected);
}

async fn values_come_in_the_order_of_their_types(s: Subject) {
    s.put_documents(&[
        json!({"v": "10"}),
        json!({"v": true}),
        json!({"v": -1}),
        json!({}),
        json!({"v": 10}),
        json!({"v": null}),
        json!({"v": false}),
        json!({"v": ""}),
        json!({"v": 9.5}),
        json!({"v": -1e300}),
    ])
    .await;
    s.put_document("list", &json!({"v": []})).await;
    s.put_document("object", &json!({"v": {}})).await;
    let up = sorted(&s, &[sort_key("v", false)]).await;
    assert!(["3 5 6 1 9 2 8 4 7 0 list object", "3 5 6 1 9 2 8 4 7 0 object list"].contains(&up.as_str()), "{up}");
    let down: Vec<String> = sorted(&s, &[sort_key("v", true)]).await.split(' ').rev().map(str::to_owned).collect();
    assert_eq!(down.join(" "), up);
    // No document has the field.
    assert_eq!(sorted(&s, &[sort_key("v.x", false)]).await, "0 1 2 3 4 5 6 7 8 9 list object");
}

async fn strings_come_in_the_order_of_their_bytes(s: Subject) {
    let strings =
        ["", "\0", "\0\0", "\0\u{4}", "\u{1}", "\u{2}", "\u{3}", "\u{4}", "A", "B", "a", "a\0", "ab", "ä", "\u{ffff}", "\u{10000}"];
    for (number, text) in strings.iter().enumerate() {
        // The ids are in another order.
        s.put_document(&format!("{}", (number * 7) % 16), &json!({"v": text})).await;
    }
    let expected: Vec<String> = (0..16).map(|number| ((number * 7) % 16).to_string()).collect();
    assert_eq!(sorted(&s, &[sort_key("v", false)]).await, expected.join(" "));
    let reverse: Vec<String> = expected.into_iter().rev().collect();
    assert_eq!(sorted(&s, &[sort_key("v", true)]).await, reverse.join(" "));
}

async fn equal_documents_come_in_the_order_of_their_ids(s: Subject) {
    s.put_documents(&[json!({"v": 1}), json!({"v": 1.0}), json!({"v": 0}), json!({"v": 1}), json!({"v": -0.0})]).await;
    assert_eq!(sorted(&s, &[sort_key("v", false)]).await, "2 4 0 1 3");
    assert_eq!(sorted(&s, &[sort_key("v", true)]).await, "0 1 3 2 4");
}

async fn several_keys_decide_one_after_the_other(s: Subject) {
    s.put_documents(&[
        json!({"a": "x", "b": 1}),
        json!({"a": "x", "b": 2}),
        json!({"a": "xy", "b": 1}),
        json!({"b": 3}),
        json!({"a": "x"}),
        json!({"a": "x", "b": "1"}),
        json!({"a": "", "b": 0}),
    ])
    .await;
    assert_eq!(sorted(&s, &[sort_key("a", false), sort_key("b", false)]).await, "3 6 4 0 1 5 2");
    assert_eq!(sorted(&s, &[sort_key("a", false), sort_key("b", true)]).await, "3 6 5 1 0 4 2");
    assert_eq!(sorted(&s, &[sort_key("a", true), sort_key("b", false)]).await, "2 4 0 1 5 6 3");
    assert_eq!(sorted(&s, &[sort_key("a", true), sort_key("a", false), sort_key("b", true)]).await, "2 5 1 0 4 6 3");
}

async fn long_strings_are_compared_as_a_whole(s: Subject) {
    let long = "x".repeat(100_000);
    for (id, end) in [("a", "c"), ("b", "a"), ("c", "b"), ("d", "")] {
        s.put_document(id, &json!({"v": format!("{long}{end}")})).await;
    }
    assert_eq!(sorted(&s, &[sort_key("v", false)]).await, "d b c a");
    assert_eq!(s.found(compare("v", ComparisonOperator::Greater, &json!(format!("{long}a")))).await, "a c");
    let pages = paged(&s, &FindRequest { order: vec![sort_key("v", true)], limit: 1, ..find_request(None) }).await;
    assert_eq!(pages, "a c b d");
}

/// Reads documents in pages, each continued by the cursor of the last document before it.
async fn paged(s: &Subject, request: &FindRequest) -> String {
    let mut found: Vec<FindResponse> = Vec::new();
    loop {
        let cursor = found.last().map(|last| last.cursor.clone()).unwrap_or_default();
        let page = s.find_documents(FindRequest { cursor, ..request.clone() }).await;
        assert!(page.len() <= request.limit as usize);
        if page.is_empty() {
            return ids(&found);
        }
        found.extend(page);
    }
}

async fn skips_and_limits(s: Subject) {
    s.put_documents(&(0..10).map(|number| json!({"v": 9 - number})).collect::<Vec<_>>()).await;
    for (order, skip, limit, expected) in [
        (vec![], 3, 4, "3 4 5 6"),
        (vec![], 8, 0, "8 9"),
        (vec![], 10, 0, ""),
        (vec![], u64::MAX, 5, ""),
        (vec![sort_key("v", false)], 3, 4, "6 5 4 3"),
        (vec![sort_key("v", false)], 0, 1, "9"),
        (vec![sort_key("v", false)], 9, u32::MAX, "0"),
        (vec![sort_key("v", true)], u64::MAX, 0, ""),
    ] {
        let found = s.find_documents(FindRequest { order, skip, limit, ..find_request(None) }).await;
        assert_eq!(ids(&found), expected, "{skip} {limit}");
    }
    let filter = Some(compare("v", ComparisonOperator::Less, &json!(5)));
    assert_eq!(ids(&s.find_documents(FindRequest { skip: 1, limit: 2, ..find_request(filter) }).await), "6 7");
}

async fn a_stream_continues_after_each_document(s: Subject) {
    let bodies = [json!({"a": 1, "b": "x"}), json!({"a": 1}), json!({"a": "\0x"}), json!({}), json!({"a": 1, "b": []}), json!({"a": true})];
    s.put_documents(&bodies).await;
    for order in [vec![], vec![sort_key("a", false)], vec![sort_key("a", true), sort_key("b", false)], vec![sort_key("b", true)]] {
        let request = FindRequest { order, ..find_request(None) };
        let found = s.find_documents(request.clone()).await;
        assert_eq!(found.len(), bodies.len());
        for (number, document) in found.iter().enumerate() {
            let rest = s.find_documents(FindRequest { cursor: document.cursor.clone(), ..request.clone() }).await;
            assert_eq!(ids(&rest), ids(&found[number + 1..]));
        }
        assert_eq!(paged(&s, &FindRequest { limit: 2, ..request }).await, ids(&found));
    }
}

async fn a_cursor_outlives_its_document(s: Subject) {
    s.put_documents(&[json!({"v": 1}), json!({"v": 2}), json!({"v": 3}), json!({"v": 4})]).await;
    for (order, gone) in [(vec![], "1"), (vec![sort_key("v", true)], "2")] {
        let request = FindRequest { order, ..find_request(None) };
        let found = s.find_documents(request.clone()).await;
        let at = found.iter().position(|found| found.document.as_ref().unwrap().id == gone).unwrap();
        s.delete_document(gone, None).await;
        let rest = s.find_documents(FindRequest { cursor: found[at].cursor.clone(), ..request }).await;
        assert_eq!(ids(&rest), ids(&found[at + 1..]));
    }
    // It stays valid when the document has another place.
    let request = FindRequest { order: vec![sort_key("v", false)], ..find_request(None) };
    let first = s.find_documents(request.clone()).await;
    s.try_update("0", replacement(&json!({"v": 9}))).await.unwrap();
    let rest = s.find_documents(FindRequest { cursor: first[0].cursor.clone(), ..request }).await;
    assert_eq!(ids(&rest), "3 0");
}

async fn many_documents_come_once(s: Subject) {
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in (worker..1200).step_by(8) {
                    s.put_document(&format!("{number:04}"), &json!({"v": (number * 7919) % 1200, "odd": number % 2 == 1})).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let expected: Vec<String> = (0..1200).map(|number| format!("{number:04}")).collect();
    assert_eq!(sorted(&s, &[]).await, expected.join(" "));
    let odd: Vec<&str> = expected.iter().skip(1).step_by(2).map(String::as_str).collect();
    assert_eq!(s.found(equal("odd", &json!(true))).await, odd.join(" "));
    let values: Vec<Json> = s
        .find_documents(FindRequest { order: vec![sort_key("v", true)], ..find_request(None) })
        .await
        .iter()
        .map(|found| super::body_of(found.document.as_ref().unwrap())["v"].clone())
        .collect();
    assert_eq!(values, (0..1200).rev().map(|number| json!(number)).collect::<Vec<_>>());
    assert_eq!(paged(&s, &FindRequest { limit: 500, ..find_request(None) }).await, expected.join(" "));
}

async fn documents_that_stay_come_once_while_others_write(s: Subject) {
    for number in 0..400 {
        s.put_document(&format!("{number:03}"), &json!({"v": number % 10, "stays": true})).await;
    }
    for order in [vec![], vec![sort_key("v", false)]] {
        let writer = {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..u32::MAX {
                    let id = format!("{:03}-other", number % 400);
                    if s.try_insert_document(&id, &json!({"v": number % 7})).await.is_err() {
                        s.delete_document(&id, None).await;
                    }
                    // Calls of the memory driver never wait, so the task would not notice that it is aborted.
                    tokio::task::yield_now().await;
                }
            })
        };
        let mut stream = s.document_query().find(&s.context, FindRequest { order: order.clone(), ..find_request(None) }).await.unwrap();
        let mut found = vec![];
        for _ in 0..100 {
            found.push(next(&mut stream).await);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        found.extend(all(stream).await);
        writer.abort();
        let mut stayed: Vec<String> =
            found.into_iter().map(|found| found.document.unwrap().id).filter(|id| !id.ends_with("other")).collect();
        assert_eq!(stayed.len(), 400, "{order:?}");
        stayed.sort_unstable();
        stayed.dedup();
        assert_eq!(stayed.len(), 400, "{order:?}");
    }
}

async fn documents_are_inserted_while_a_client_reads(s: Subject) {
    s.put_document("a", &json!({})).await;
    s.put_document("z", &json!({})).await;
    let mut stream = s.document_query().find(&s.context, find_request(None)).await.unwrap();
    assert_eq!(next(&mut stream).await.document.unwrap().id, "a");
    // A reader that is slow does not stop writers.
    s.put_document("b", &json!({})).await;
    s.delete_document("a", None).await;
    let rest = ids(&all(stream).await);
    assert!(rest == "z" || rest == "b z", "{rest}");
}
