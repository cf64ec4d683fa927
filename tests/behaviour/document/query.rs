//! `document_query`: conditions, and streams of what they find.

use prism::{
    call::Code,
    proto::models::document::v1::{
        AnyElement, Comparison, ComparisonOperator, Condition, FindOneRequest, FindRequest, InsertRequest, OneOf, Presence, SortKey,
        TextMatch, TextPosition, condition::Test,
    },
};
use prost_types::Value;
use serde_json::{Value as Json, json};

use super::{COLLECTION, all_of, any_of, body_of, compare, equal, find_request, ids, not, object, sort_key, test, value};
use crate::{
    subject::Subject,
    suite::suite,
    support::{eventually, invalid, millis, refused, stream_refusal},
};

suite! { "document_query":
    values_are_equal_to_those_of_their_type;
    numbers_and_strings_are_less_or_greater;
    one_of_many_values;
    fields_are_there_or_not;
    text_in_strings;
    binary_like_text_in_strings;
    elements_of_lists;
    conditions_are_combined;
    paths_lead_into_objects_and_lists;
    no_input_becomes_a_statement;
    the_first_one_is_found;
    fields_of_what_is_found_are_selected;
    expired_documents_are_not_found;
    large_documents_come;
    collections_and_keyspaces_are_searched_apart;
    nothing_is_no_error;
    bad_queries_name_their_field;
}

const LESS: ComparisonOperator = ComparisonOperator::Less;
const LESS_OR_EQUAL: ComparisonOperator = ComparisonOperator::LessOrEqual;
const GREATER: ComparisonOperator = ComparisonOperator::Greater;
const GREATER_OR_EQUAL: ComparisonOperator = ComparisonOperator::GreaterOrEqual;

fn one_of(path: &str, values: &Json) -> Condition {
    test(Test::OneOf(OneOf { path: path.to_owned(), values: values.as_array().unwrap().iter().map(value).collect() }))
}

fn presence(path: &str, absent: bool) -> Condition {
    test(Test::Presence(Presence { path: path.to_owned(), absent }))
}

fn text(path: &str, text: &str, position: TextPosition, ignore_case: bool) -> Condition {
    test(Test::Text(TextMatch { path: path.to_owned(), text: text.to_owned(), position: position.into(), ignore_case }))
}

fn any_element(path: &str, condition: Condition) -> Condition {
    test(Test::AnyElement(Box::new(AnyElement { path: path.to_owned(), condition: Some(Box::new(condition)) })))
}

async fn values_are_equal_to_those_of_their_type(s: Subject) {
    s.put_documents(&[
        json!({"v": 1}),
        json!({"v": "1"}),
        json!({"v": true}),
        json!({"v": null}),
        json!({"v": [1, "1"]}),
        json!({"v": {"b": 2, "a": [1]}}),
        json!({}),
        json!({"v": 0}),
        json!({"v": ""}),
        json!({"v": {}}),
    ])
    .await;
    for (expected, found) in [
        (json!(1), "0"),
        (json!(1.0), "0"),
        (json!("1"), "1"),
        (json!(true), "2"),
        (json!(false), ""),
        (json!(null), "3"),
        (json!([1, "1"]), "4"),
        (json!(["1", 1]), ""),
        (json!([1]), ""),
        (json!({"a": [1], "b": 2}), "5"),
        (json!({"a": [1]}), ""),
        (json!(-0.0), "7"),
        (json!(""), "8"),
        (json!({}), "9"),
        (json!([]), ""),
    ] {
        assert_eq!(s.found(equal("v", &expected)).await, found, "{expected}");
        let others = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"].into_iter().filter(|id| *id != found).collect::<Vec<_>>().join(" ");
        assert_eq!(s.found(compare("v", ComparisonOperator::NotEqual, &expected)).await, others, "not {expected}");
    }
}

async fn numbers_and_strings_are_less_or_greater(s: Subject) {
    s.put_documents(&[
        json!({"v": -1.5}),
        json!({"v": 0}),
        json!({"v": 1e300}),
        json!({"v": ""}),
        json!({"v": "B"}),
        json!({"v": "a"}),
        json!({"v": "ä"}),
        json!({"v": null}),
        json!({"v": [5]}),
        json!({}),
    ])
    .await;
    for (operator, expected, found) in [
        (LESS, json!(0), "0"),
        (LESS_OR_EQUAL, json!(0), "0 1"),
        (GREATER, json!(0), "2"),
        (GREATER_OR_EQUAL, json!(0), "1 2"),
        (GREATER, json!(-10), "0 1 2"),
        (LESS, json!("a"), "3 4"),
        (LESS_OR_EQUAL, json!("a"), "3 4 5"),
        (GREATER, json!("a"), "6"),
        (GREATER_OR_EQUAL, json!(""), "3 4 5 6"),
        (LESS, json!("\u{10ffff}"), "3 4 5 6"),
        // Nothing else is less or greater.
        (GREATER_OR_EQUAL, json!(null), ""),
        (LESS_OR_EQUAL, json!(true), ""),
        (LESS_OR_EQUAL, json!([5]), ""),
        (GREATER, json!({}), ""),
    ] {
        assert_eq!(s.found(compare("v", operator, &expected)).await, found, "{operator:?} {expected}");
    }
}

async fn one_of_many_values(s: Subject) {
    s.put_documents(&[json!({"v": 1}), json!({"v": "1"}), json!({"v": [1]}), json!({"v": null}), json!({}), json!({"v": {"a": 1}})]).await;
    for (values, found) in [
        (json!([]), ""),
        (json!([1, 2]), "0"),
        (json!(["1", null, "1"]), "1 3"),
        (json!([[1], {"a": 1}]), "2 5"),
        (json!((0..1000).collect::<Vec<_>>()), "0"),
    ] {
        assert_eq!(s.found(one_of("v", &values)).await, found);
    }
    assert_eq!(s.found(not(one_of("v", &json!([1])))).await, "1 2 3 4 5");
}

async fn fields_are_there_or_not(s: Subject) {
    s.put_documents(&[json!({"a": null}), json!({"b": 1}), json!({"a": {"x": [null]}}), json!({"a": [1]})]).await;
    for (path, there) in [("a", "0 2 3"), ("a.x", "2"), ("a.x.0", "2"), ("a.x.1", ""), ("a.0", "3"), ("b", "1"), ("b.c", "")] {
        assert_eq!(s.found(presence(path, false)).await, there, "{path}");
        let others = ["0", "1", "2", "3"].into_iter().filter(|id| !there.contains(id)).collect::<Vec<_>>().join(" ");
        assert_eq!(s.found(presence(path, true)).await, others, "{path}");
    }
}

async fn text_in_strings(s: Subject) {
    s.put_documents(&[
        json!({"t": "Hello, World"}),
        json!({"t": "hello"}),
        json!({"t": "100%"}),
        json!({"t": "a_b"}),
        json!({"t": ["hello"]}),
        json!({"t": null}),
        json!({"t": "größe"}),
        json!({"t": r"back\slash"}),
    ])
    .await;
    let (any, start, end) = (TextPosition::Unspecified, TextPosition::Start, TextPosition::End);
    for (search, position, ignore_case, found) in [
        ("hello", any, false, "1"),
        ("hello", any, true, "0 1"),
        ("HELLO", start, true, "0 1"),
        ("HELLO", start, false, ""),
        ("o, W", any, false, "0"),
        ("o", end, false, "1"),
        ("WORLD", end, true, "0"),
        ("%", any, false, "2"),
        ("a%", any, false, ""),
        ("_", any, false, "3"),
        ("h_llo", any, false, ""),
        ("öß", any, false, "6"),
        (r"k\s", any, true, "7"),
        ("Hello, World", start, false, "0"),
        ("Hello, World", end, false, "0"),
        ("Hello, World!", any, true, ""),
    ] {
        assert_eq!(s.found(text("t", search, position, ignore_case)).await, found, "{search} {position:?} {ignore_case}");
    }
}

async fn binary_like_text_in_strings(s: Subject) {
    s.put_documents(&[
        json!({"t": "a\0b"}),
        json!({"t": "\0\u{2}"}),
        json!({"t": "\u{1}\u{3}\0"}),
        json!({"t": "\u{2}\u{2}"}),
        json!({"t": "\u{7f}\u{80}"}),
        json!({"t\0": 1}),
    ])
    .await;
    for (search, found) in [
        ("\0", "0 1 2"),
        ("\u{1}", "2"),
        ("\u{2}", "1 3"),
        ("\u{3}", "2"),
        ("\u{2}\u{2}", "3"),
        ("\u{1}\u{2}", ""),
        ("\u{1}\u{1}", ""),
        ("\u{3}\0", "2"),
        ("\u{4}", ""),
        ("a\0", "0"),
        ("\u{80}", "4"),
    ] {
        assert_eq!(s.found(text("t", search, TextPosition::Anywhere, false)).await, found, "{search:?}");
    }
    assert_eq!(s.found(equal("t", &json!("a\0b"))).await, "0");
    assert_eq!(s.found(compare("t", LESS, &json!("\u{1}"))).await, "1");
    assert_eq!(s.found(compare("t", GREATER, &json!("\u{2}"))).await, "0 3 4");
    assert_eq!(s.found(text("t", "\0", TextPosition::Start, false)).await, "1");
    assert_eq!(s.found(text("t", "\0", TextPosition::End, false)).await, "2");
    assert_eq!(s.found(equal("t\0", &json!(1))).await, "5");
}

async fn elements_of_lists(s: Subject) {
    s.put_documents(&[
        json!({"l": [1, 5], "m": [{"x": 1, "y": 2}, {"x": 2, "y": 1}]}),
        json!({"l": ["text", 3], "m": [{"x": 1, "y": 1}]}),
        json!({"l": [], "m": [[1, [7]], []]}),
        json!({"l": 5}),
        json!({"l": {"0": 5}}),
    ])
    .await;
    for (condition, found) in [
        (any_element("l", compare("", GREATER, &json!(4))), "0"),
        (any_element("l", compare("", ComparisonOperator::NotEqual, &json!(5))), "0 1"),
        (any_element("l", one_of("", &json!([1, 3]))), "0 1"),
        (any_element("l", text("", "ex", TextPosition::Anywhere, false)), "1"),
        (any_element("l", all_of(vec![])), "0 1"),
        (not(any_element("l", all_of(vec![]))), "2 3 4"),
        (any_element("m", all_of(vec![equal("x", &json!(1)), equal("y", &json!(1))])), "1"),
        (all_of(vec![any_element("m", equal("x", &json!(1))), any_element("m", equal("y", &json!(1)))]), "0 1"),
        (any_element("m", any_element("", equal("", &json!(1)))), "2"),
        (any_element("m", any_element("1", equal("", &json!(7)))), "2"),
        (any_element("m", presence("y", false)), "0 1"),
        (any_element("m.0", equal("", &json!(1))), "2"),
    ] {
        assert_eq!(s.found(condition.clone()).await, found, "{condition:?}");
    }
}

async fn conditions_are_combined(s: Subject) {
    s.put_documents(&[json!({"a": 1, "b": 1}), json!({"a": 1, "b": 2}), json!({"a": 2, "b": 1}), json!({"b": 2})]).await;
    let (a, b) = (|number: i32| equal("a", &json!(number)), |number: i32| equal("b", &json!(number)));
    for (condition, found) in [
        (all_of(vec![a(1), b(1)]), "0"),
        (any_of(vec![a(1), b(1)]), "0 1 2"),
        (not(any_of(vec![a(1), b(1)])), "3"),
        (not(not(a(1))), "0 1"),
        (all_of(vec![]), "0 1 2 3"),
        (any_of(vec![]), ""),
        (all_of(vec![any_of(vec![a(1), a(2)]), not(all_of(vec![a(1), b(1)]))]), "1 2"),
        (all_of(vec![a(1), a(2)]), ""),
    ] {
        assert_eq!(s.found(condition.clone()).await, found, "{condition:?}");
    }
    // As many conditions and levels as are allowed.
    let wide = any_of((0..99).map(|number| equal("a", &json!(number))).collect());
    assert_eq!(s.found(wide).await, "0 1 2");
    let deep = (0..14).fold(a(2), |condition, _| not(condition));
    assert_eq!(s.found(not(deep)).await, "0 1 3");
}

async fn paths_lead_into_objects_and_lists(s: Subject) {
    s.put_documents(&[
        json!({"a": {"b": 1}}),
        json!({"a.b": 1}),
        json!({"a": [{"b": 1}]}),
        json!({"a": {"0": {"b": 1}}}),
        json!({"a": {"-1": 1, "01": 1, " 0": 1, "+0": 1}}),
        json!({"a": [1]}),
        json!({r"a\": 1}),
    ])
    .await;
    for (path, found) in [
        ("a.b", "0"),
        (r"a\.b", "1"),
        ("a.0.b", "2 3"),
        ("a.0", "5"),
        ("a.-1", "4"),
        ("a.01", "4"),
        ("a. 0", "4"),
        ("a.+0", "4"),
        ("a.1", ""),
        ("a.99999999999999999999", ""),
        ("a.4294967296", ""),
        (r"a\\", "6"),
    ] {
        assert_eq!(s.found(equal(path, &json!(1))).await, found, "{path}");
    }
}

async fn no_input_becomes_a_statement(s: Subject) {
    let nasty = ["'", "\"", "a' OR '1'='1", "$1", "{schema}", "?", "a\"]'", "%s", "$.a", "--", "\\'"];
    for (number, name) in nasty.iter().enumerate() {
        s.put_document(&number.to_string(), &json!({*name: name})).await;
    }
    for (number, name) in nasty.iter().enumerate() {
        let path = name.replace('\\', r"\\").replace('.', r"\.");
        assert_eq!(s.found(equal(&path, &json!(name))).await, number.to_string(), "{name}");
        assert_eq!(s.found(text(&path, name, TextPosition::Anywhere, true)).await, number.to_string(), "{name}");
        let order = vec![SortKey { path: path.clone(), descending: true }];
        let first = FindOneRequest { collection: COLLECTION.to_owned(), order, ..Default::default() };
        let first = s.document_query().find_one(&s.context, first).await.unwrap().document.unwrap();
        assert_eq!(first.id, number.to_string(), "{name}");
    }
}

async fn the_first_one_is_found(s: Subject) {
    s.put_documents(&[json!({"v": 2}), json!({"v": 1}), json!({"v": 3})]).await;
    let find = |filter, order| FindOneRequest { collection: COLLECTION.to_owned(), filter, order, fields: vec![] };
    let query = s.document_query();
    let first = async |request| query.find_one(&s.context, request).await.unwrap().document;
    assert_eq!(first(find(None, vec![])).await, s.document("0").await);
    assert_eq!(first(find(None, vec![sort_key("v", false)])).await, s.document("1").await);
    assert_eq!(first(find(Some(compare("v", LESS, &json!(3))), vec![sort_key("v", true)])).await, s.document("0").await);
    assert_eq!(first(find(Some(equal("v", &json!(9))), vec![])).await, None);
}

async fn fields_of_what_is_found_are_selected(s: Subject) {
    s.put_documents(&[json!({"a": {"b": 1, "c": 2}, "d": 3}), json!({"d": 4}), json!({"a": 1})]).await;
    let fields = vec!["a.b".to_owned(), "d".to_owned()];
    for order in [vec![], vec![sort_key("none", false)]] {
        let found = s.find_documents(FindRequest { fields: fields.clone(), order, ..find_request(None) }).await;
        let bodies: Vec<Json> = found.iter().map(|found| body_of(found.document.as_ref().unwrap())).collect();
        assert_eq!(bodies, [json!({"a": {"b": 1}, "d": 3}), json!({"d": 4}), json!({})]);
    }
    let request = FindOneRequest { collection: COLLECTION.to_owned(), fields, filter: None, order: vec![] };
    let first = s.document_query().find_one(&s.context, request).await.unwrap().document.unwrap();
    assert_eq!(body_of(&first), json!({"a": {"b": 1}, "d": 3}));
}

async fn expired_documents_are_not_found(s: Subject) {
    s.put_document("stays", &json!({"v": 1})).await;
    let body = Some(object(&json!({"v": 1})));
    let request = InsertRequest { collection: COLLECTION.to_owned(), id: "goes".to_owned(), body, ttl: Some(millis(300)) };
    s.document_basic().insert(&s.context, request).await.unwrap();
    let subject = &s;
    eventually("one document expires", || async move { subject.found(equal("v", &json!(1))).await == "stays" }).await;
    let sorted = FindRequest { order: vec![sort_key("v", false)], ..find_request(None) };
    assert_eq!(ids(&s.find_documents(sorted).await), "stays");
}

async fn large_documents_come(s: Subject) {
    for number in 0..8 {
        s.put_document(&number.to_string(), &json!({"n": 8 - number, "large": "x".repeat(1_000_000)})).await;
    }
    for (order, expected) in [(vec![], "0 1 2 3 4 5 6 7"), (vec![sort_key("n", false)], "7 6 5 4 3 2 1 0")] {
        let found = s.find_documents(FindRequest { order, ..find_request(None) }).await;
        assert_eq!(ids(&found), expected);
        assert!(found.iter().all(|found| body_of(found.document.as_ref().unwrap())["large"].as_str().unwrap().len() == 1_000_000));
    }
}

async fn collections_and_keyspaces_are_searched_apart(s: Subject) {
    s.put_document("a", &json!({"v": 1})).await;
    for other in [s.other_keyspace(), s.other_slot()] {
        assert_eq!(other.found(equal("v", &json!(1))).await, "");
        other.put_document("b", &json!({"v": 1})).await;
    }
    let elsewhere = FindRequest { collection: "People".to_owned(), ..find_request(None) };
    assert_eq!(ids(&s.find_documents(elsewhere).await), "");
    assert_eq!(s.found(equal("v", &json!(1))).await, "a");
}

async fn nothing_is_no_error(s: Subject) {
    assert_eq!(s.found(all_of(vec![])).await, "");
    assert_eq!(ids(&s.find_documents(FindRequest { order: vec![sort_key("a", true)], skip: 5, ..find_request(None) }).await), "");
}

async fn bad_queries_name_their_field(s: Subject) {
    let compared = |path: &str, value| test(Test::Compare(Comparison { path: path.to_owned(), operator: 0, value }));
    let null = value(&json!(null));
    let odd = Comparison { path: "a".to_owned(), operator: 99, value: Some(null.clone()) };
    let deep = (0..16).fold(equal("a", &json!(1)), |condition, _| not(condition));
    for (condition, field) in [
        (Condition { test: None }, "filter"),
        (compared("", Some(null.clone())), "filter.compare.path"),
        (compared("a..b", Some(null.clone())), "filter.compare.path"),
        (compared("a", None), "filter.compare.value"),
        (compared("a", Some(Value { kind: None })), "filter.compare.value"),
        (equal("a", &json!(1)), ""),
        (test(Test::Compare(odd)), "filter.compare.operator"),
        (all_of(vec![all_of(vec![]), any_of(vec![Condition { test: None }])]), "filter.all.conditions[1].any.conditions[0]"),
        (not(presence("", false)), "filter.not.presence.path"),
        (any_element("a", presence("", false)), "filter.any_element.condition.presence.path"),
        (any_element("", all_of(vec![])), "filter.any_element.path"),
        (test(Test::AnyElement(Box::new(AnyElement { path: "a".to_owned(), condition: None }))), "filter.any_element.condition"),
        (text("a", "", TextPosition::Start, false), "filter.text.text"),
        (text("a", &"x".repeat(1025), TextPosition::Start, false), "filter.text.text"),
        (one_of("a", &json!(vec![0; 1001])), "filter.one_of.values"),
        (one_of("", &json!([])), "filter.one_of.path"),
        (any_of(vec![equal("a", &json!(1)); 100]), "filter.any.conditions[99]"),
        (deep, "filter.not.not.not.not.not.not.not.not.not.not.not.not.not.not.not.not"),
    ] {
        if field.is_empty() {
            s.found(condition).await;
            continue;
        }
        let answer = s.document_query().find(&s.context, find_request(Some(condition.clone()))).await;
        invalid(stream_refusal(answer).await, "INVALID_CONDITION", field);
        let one = FindOneRequest { collection: COLLECTION.to_owned(), filter: Some(condition), ..Default::default() };
        invalid(s.document_query().find_one(&s.context, one).await, "INVALID_CONDITION", field);
    }
    let find = async |request| stream_refusal(s.document_query().find(&s.context, request).await).await;
    for (request, reason, field) in [
        (FindRequest { collection: String::new(), ..find_request(None) }, "INVALID_COLLECTION", "collection"),
        (FindRequest { fields: vec![".".to_owned()], ..find_request(None) }, "INVALID_FIELD", "fields[0]"),
        (FindRequest { order: vec![sort_key("a", false), sort_key("", false)], ..find_request(None) }, "INVALID_FIELD", "order[1].path"),
        (FindRequest { order: vec![sort_key("a", false); 9], ..find_request(None) }, "INVALID_FIELD", "order"),
        (FindRequest { skip: 1, cursor: "x".to_owned(), ..find_request(None) }, "INVALID_FIELD", "skip"),
        (FindRequest { cursor: "x".to_owned(), ..find_request(None) }, "INVALID_CURSOR", "cursor"),
    ] {
        invalid(find(request).await, reason, field);
    }
    s.put_document("a", &json!({})).await;
    let cursor = s.find_documents(find_request(None)).await[0].cursor.clone();
    let request = FindRequest { cursor, order: vec![sort_key("a", false)], ..find_request(None) };
    refused(find(request).await, Code::InvalidArgument, "INVALID_CURSOR");
}
