//! `document_indexing`: indexes change no answers.

use prism::{
    call::Code,
    proto::models::document::v1::{
        ComparisonOperator, Condition, CreateIndexRequest, DropIndexRequest, FindRequest, Index, IndexField, ListIndexesRequest, OneOf,
        Presence, TextMatch, TextPosition, condition::Test,
    },
};
use serde_json::{Value as Json, json};

use super::{COLLECTION, all_of, any_of, compare, equal, find_request, ids, not, replacement, sort_key, test, value};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, refused},
};

suite! { "document_indexing":
    indexes_are_listed_by_name;
    the_same_index_is_made_once;
    an_index_changes_no_answer needs "document_query";
    an_index_follows_every_write needs "document_query";
    an_index_is_made_while_documents_are_written needs "document_query";
    large_values_are_indexed needs "document_query";
    indexes_of_collections_are_apart;
    a_collection_has_64_indexes;
    bad_indexes_name_their_field;
}

pub fn index(name: &str, paths: &[&str], unique: bool) -> Index {
    let fields = paths.iter().map(|path| match path.strip_prefix('-') {
        Some(path) => IndexField { path: path.to_owned(), descending: true },
        None => IndexField { path: (*path).to_owned(), descending: false },
    });
    Index { name: name.to_owned(), fields: fields.collect(), unique }
}

impl Subject {
    pub async fn try_index(&self, index: Index) -> Result<bool, prism::call::Error> {
        let request = CreateIndexRequest { collection: COLLECTION.to_owned(), index: Some(index) };
        Ok(self.document_indexing().create_index(&self.context, request).await?.created)
    }

    pub async fn create_document_index(&self, name: &str, paths: &[&str]) -> bool {
        self.try_index(index(name, paths, false)).await.unwrap()
    }

    async fn drop_document_index(&self, name: &str) -> bool {
        let request = DropIndexRequest { collection: COLLECTION.to_owned(), name: name.to_owned() };
        self.document_indexing().drop_index(&self.context, request).await.unwrap().dropped
    }

    pub async fn indexes_of(&self, collection: &str) -> Vec<Index> {
        let request = ListIndexesRequest { collection: collection.to_owned() };
        self.document_indexing().list_indexes(&self.context, request).await.unwrap().indexes
    }
}

async fn indexes_are_listed_by_name(s: Subject) {
    assert_eq!(s.indexes_of(COLLECTION).await, []);
    let all = [index("B_2", &["x"], false), index("a", &["x", "-y.0", "a\\.b\\\\'\0"], false), index("b", &["é"], true)];
    for index in [&all[2], &all[0], &all[1]] {
        assert!(s.try_index(index.clone()).await.unwrap());
    }
    assert_eq!(s.indexes_of(COLLECTION).await, all);
    assert_eq!(s.reopened().indexes_of(COLLECTION).await, all);
    assert!(s.drop_document_index("a").await);
    assert!(!s.drop_document_index("a").await);
    assert_eq!(s.indexes_of(COLLECTION).await, [all[0].clone(), all[2].clone()]);
}

async fn the_same_index_is_made_once(s: Subject) {
    assert!(s.create_document_index("a", &["x", "y"]).await);
    assert!(!s.create_document_index("a", &["x", "y"]).await);
    for other in [index("a", &["y", "x"], false), index("a", &["x"], false), index("a", &["x", "-y"], false), index("a", &["x", "y"], true)]
    {
        refused(s.try_index(other).await, Code::AlreadyExists, "INDEX_DIFFERS");
    }
    assert!(s.drop_document_index("a").await);
    assert!(s.create_document_index("a", &["y"]).await);
    // Another name may have the same fields.
    assert!(s.create_document_index("b", &["y"]).await);
}

fn text(path: &str, text: &str) -> Condition {
    test(Test::Text(TextMatch { path: path.to_owned(), text: text.to_owned(), position: TextPosition::Start.into(), ignore_case: false }))
}

/// Queries that may use an index.
fn queries() -> Vec<FindRequest> {
    let one_of =
        |values: &Json| test(Test::OneOf(OneOf { path: "x".to_owned(), values: values.as_array().unwrap().iter().map(value).collect() }));
    let presence = |path: &str, absent| test(Test::Presence(Presence { path: path.to_owned(), absent }));
    let x = |operator, json: Json| compare("x", operator, &json);
    let filters = vec![
        equal("x", &json!(3)),
        equal("x", &json!("b\0c")),
        equal("x", &json!(null)),
        equal("x", &json!([1, {"a": 2}])),
        equal("x", &json!({"a": 1})),
        x(ComparisonOperator::Less, json!(3)),
        x(ComparisonOperator::GreaterOrEqual, json!(3)),
        x(ComparisonOperator::Greater, json!("b")),
        x(ComparisonOperator::LessOrEqual, json!("b\0c")),
        x(ComparisonOperator::NotEqual, json!(3)),
        x(ComparisonOperator::Less, json!(true)),
        all_of(vec![x(ComparisonOperator::Greater, json!(1)), x(ComparisonOperator::LessOrEqual, json!(4))]),
        all_of(vec![x(ComparisonOperator::Greater, json!(4)), x(ComparisonOperator::Less, json!(2))]),
        all_of(vec![equal("x", &json!(3)), compare("y.0", ComparisonOperator::Greater, &json!(1))]),
        all_of(vec![equal("x", &json!(3)), equal("y.0", &json!(2))]),
        all_of(vec![all_of(vec![equal("x", &json!(3))]), not(equal("y.0", &json!(2)))]),
        all_of(vec![equal("x", &json!(3)), equal("x", &json!("3"))]),
        any_of(vec![equal("x", &json!(3)), equal("y.0", &json!(1))]),
        not(equal("x", &json!(3))),
        one_of(&json!([1, "b", null, [1, {"a": 2}]])),
        one_of(&json!([])),
        presence("x", false),
        presence("x", true),
        text("x", "b"),
        text("x", "\u{10ffff}"),
    ];
    let mut queries: Vec<FindRequest> = filters.into_iter().map(|filter| find_request(Some(filter))).collect();
    for order in [
        vec![sort_key("x", false)],
        vec![sort_key("x", true)],
        vec![sort_key("x", false), sort_key("y.0", true)],
        vec![sort_key("y.0", false)],
    ] {
        queries.push(FindRequest { order: order.clone(), ..find_request(None) });
        queries.push(FindRequest {
            order: order.clone(),
            skip: 3,
            limit: 5,
            ..find_request(Some(x(ComparisonOperator::Greater, json!(1))))
        });
        queries.push(FindRequest { order, limit: 2, ..find_request(Some(presence("x", false))) });
    }
    queries
}

async fn answers(s: &Subject) -> Vec<String> {
    let mut answers = vec![];
    for query in queries() {
        answers.push(ids(&s.find_documents(query).await));
    }
    answers
}

async fn fill(s: &Subject) {
    let values = [
        json!(1),
        json!(3),
        json!(4),
        json!("3"),
        json!("b"),
        json!("b\0c"),
        json!("c"),
        json!(null),
        json!(true),
        json!([1, {"a": 2}]),
        json!({"a": 1}),
        json!(""),
        json!("\u{10ffff}"),
        json!(-0.5),
    ];
    for (number, value) in values.iter().enumerate() {
        for second in 0..3 {
            s.put_document(&format!("{number}-{second}"), &json!({"x": value, "y": [second]})).await;
        }
    }
    s.put_document("without", &json!({"y": [1]})).await;
    s.put_document("neither", &json!({})).await;
}

async fn an_index_changes_no_answer(s: Subject) {
    fill(&s).await;
    let expected = answers(&s).await;
    assert!(expected.iter().filter(|found| !found.is_empty()).count() > 25, "{expected:?}");
    for paths in [&["x"][..], &["x", "y.0"], &["x", "-y.0"], &["y.0", "x"], &["-x"]] {
        assert!(s.create_document_index("one", paths).await);
        assert_eq!(answers(&s).await, expected, "{paths:?}");
        assert!(s.drop_document_index("one").await);
    }
    // An index that is there before its documents.
    let other = s.other_keyspace();
    other.create_document_index("one", &["x", "y.0"]).await;
    other.create_document_index("two", &["y.0"]).await;
    fill(&other).await;
    assert_eq!(answers(&other).await, expected);
}

async fn an_index_follows_every_write(s: Subject) {
    s.create_document_index("x", &["x"]).await;
    s.put_document("a", &json!({"x": 1})).await;
    assert_eq!((s.found(equal("x", &json!(1))).await, s.found(equal("x", &json!(2))).await), ("a".to_owned(), String::new()));
    s.try_update("a", replacement(&json!({"x": 2}))).await.unwrap();
    assert_eq!((s.found(equal("x", &json!(1))).await, s.found(equal("x", &json!(2))).await), (String::new(), "a".to_owned()));
    s.delete_document("a", None).await;
    assert_eq!(s.found(equal("x", &json!(2))).await, "");
}

async fn an_index_is_made_while_documents_are_written(s: Subject) {
    for number in 0..300 {
        s.put_document(&format!("{number:04}"), &json!({"x": number % 3})).await;
    }
    let writer = {
        let s = s.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                s.put_document(&format!("{:04}", 300 + number), &json!({"x": number % 3})).await;
                s.try_update(&format!("{number:04}"), replacement(&json!({"x": 7}))).await.unwrap();
            }
        })
    };
    for round in 0..5 {
        assert!(s.create_document_index("x", &["x"]).await, "{round}");
        if round < 4 {
            assert!(s.drop_document_index("x").await);
        }
    }
    writer.await.unwrap();
    assert_eq!(s.found(equal("x", &json!(7))).await.split(' ').count(), 200);
    assert_eq!(s.found(one_or_two()).await.split(' ').count(), 500 - 200 - s.found(equal("x", &json!(0))).await.split(' ').count());
}

fn one_or_two() -> Condition {
    any_of(vec![equal("x", &json!(1)), equal("x", &json!(2))])
}

async fn large_values_are_indexed(s: Subject) {
    s.create_document_index("x", &["x", "y"]).await;
    s.try_index(index("unique", &["x"], true)).await.unwrap();
    let long = "größe".repeat(20_000);
    for (id, end) in [("a", "1"), ("b", "2"), ("c", "")] {
        s.put_document(id, &json!({"x": format!("{long}{end}"), "y": ["x".repeat(9000)]})).await;
    }
    let list: Vec<u32> = (0..20_000).collect();
    s.put_document("d", &json!({"x": list, "y": {"z": list}})).await;
    assert_eq!(s.found(equal("x", &json!(format!("{long}2")))).await, "b");
    assert_eq!(s.found(equal("x", &json!(list))).await, "d");
    assert_eq!(s.found(compare("x", ComparisonOperator::GreaterOrEqual, &json!(format!("{long}1")))).await, "a b");
    let error = refused(s.try_insert_document("e", &json!({"x": format!("{long}1")})).await, Code::AlreadyExists, "UNIQUE_VIOLATION");
    assert_eq!(error.get("index"), Some("unique"));
    refused(s.try_insert_document("e", &json!({"x": list})).await, Code::AlreadyExists, "UNIQUE_VIOLATION");
}

async fn indexes_of_collections_are_apart(s: Subject) {
    s.create_document_index("x", &["x"]).await;
    assert_eq!(s.indexes_of("other").await, []);
    assert_eq!(s.other_keyspace().indexes_of(COLLECTION).await, []);
    assert_eq!(s.other_slot().indexes_of(COLLECTION).await, []);
    let request = CreateIndexRequest { collection: "other".to_owned(), index: Some(index("x", &["y"], true)) };
    assert!(s.document_indexing().create_index(&s.context, request).await.unwrap().created);
    s.put_document("a", &json!({"y": 1})).await;
    s.put_document("b", &json!({"y": 1})).await;
}

async fn a_collection_has_64_indexes(s: Subject) {
    for number in 0..64 {
        s.create_document_index(&format!("i{number}"), &[&format!("x{}", number % 4)]).await;
    }
    let error = refused(s.try_index(index("more", &["x"], false)).await, Code::ResourceExhausted, "TOO_MANY_INDEXES");
    assert_eq!(error.get("limit"), Some("64"));
    assert!(!s.create_document_index("i7", &["x3"]).await);
    assert!(s.drop_document_index("i7").await);
    assert!(s.create_document_index("more", &["x"]).await);
    s.put_document("a", &json!({"x0": 1, "x1": "2", "x2": null, "x3": []})).await;
    assert_eq!(s.indexes_of(COLLECTION).await.len(), 64);
}

async fn bad_indexes_name_their_field(s: Subject) {
    let long = "n".repeat(49);
    for (index, field) in [
        (index("", &["x"], false), "index.name"),
        (index("a-b", &["x"], false), "index.name"),
        (index("ä", &["x"], false), "index.name"),
        (index(&long, &["x"], false), "index.name"),
        (index("a", &[], false), "index.fields"),
        (index("a", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], false), "index.fields"),
        (index("a", &["x", ""], false), "index.fields[1].path"),
        (index("a", &["x", "a..b"], false), "index.fields[1].path"),
        (index("a", &["x", "-x"], false), "index.fields[1].path"),
    ] {
        invalid(s.try_index(index).await, "INVALID_INDEX", field);
    }
    let indexing = s.document_indexing();
    let request = CreateIndexRequest { collection: COLLECTION.to_owned(), index: None };
    invalid(indexing.create_index(&s.context, request).await, "INVALID_INDEX", "index");
    let request = CreateIndexRequest { collection: "-".to_owned(), index: Some(index("a", &["x"], false)) };
    invalid(indexing.create_index(&s.context, request).await, "INVALID_COLLECTION", "collection");
    let request = DropIndexRequest { collection: String::new(), name: "a".to_owned() };
    invalid(indexing.drop_index(&s.context, request).await, "INVALID_COLLECTION", "collection");
    let request = DropIndexRequest { collection: COLLECTION.to_owned(), name: String::new() };
    invalid(indexing.drop_index(&s.context, request).await, "INVALID_INDEX", "name");
    invalid(
        indexing.list_indexes(&s.context, ListIndexesRequest { collection: "a b".to_owned() }).await,
        "INVALID_COLLECTION",
        "collection",
    );
}
