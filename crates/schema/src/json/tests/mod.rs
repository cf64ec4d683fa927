//! Unit tests of the building blocks. Compatibility is tested in `tests/schemas/json`.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::{
    compare::are_disjoint,
    node::{TypeSet, ValueList, normalized_text},
    number::{as_integer, compare, is_multiple},
    text::{MAX_TEXT, minify, minify_sorted, parse_json},
    uri::{join, pointer_tokens, split},
};

fn number(text: &str) -> Number {
    serde_json::from_str(text).unwrap()
}

#[test]
fn numbers_are_compared_without_rounding() {
    let cases = [
        ("1", "1.0", Ordering::Equal),
        ("1e2", "100", Ordering::Equal),
        ("0.1", "0.10", Ordering::Equal),
        ("9007199254740993", "9007199254740992.0", Ordering::Greater),
        ("18446744073709551615", "18446744073709551614", Ordering::Greater),
        ("-1", "1e-9", Ordering::Less),
        ("1e300", "1e299", Ordering::Greater),
        ("1e-300", "0", Ordering::Greater),
    ];
    for (left, right, order) in cases {
        assert_eq!(compare(&number(left), &number(right)), order, "{left} {right}");
        assert_eq!(compare(&number(right), &number(left)), order.reverse(), "{right} {left}");
    }
}

#[test]
fn multiples_of_decimals() {
    assert_eq!(is_multiple(&number("0.3"), &number("0.1")), Some(true));
    assert_eq!(is_multiple(&number("0.35"), &number("0.1")), Some(false));
    assert_eq!(is_multiple(&number("4"), &number("2.0")), Some(true));
    assert_eq!(is_multiple(&number("1e300"), &number("3")), None);
    assert_eq!(is_multiple(&number("1"), &number("0")), None);
    assert_eq!((as_integer(&number("2.0")), as_integer(&number("2.5"))), (Some(2), None));
}

#[test]
fn references_are_joined_as_rfc_3986_says() {
    // The examples of section 5.4 without a fragment.
    let base = "http://a/b/c/d;p?q";
    let cases = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("g?y", "http://a/b/c/g?y"),
        ("../g", "http://a/b/g"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("./../g", "http://a/b/g"),
        ("g:h", "g:h"),
        ("", "http://a/b/c/d;p?q"),
    ];
    for (reference, joined) in cases {
        assert_eq!(join(base, reference), joined, "{reference}");
    }
    assert_eq!(join("", "other.json"), "other.json");
    assert_eq!(join("folder/one.json", "two.json"), "folder/two.json");
    assert_eq!(join("urn:example:one", "two.json"), "two.json");
    assert_eq!(join("http://a", "b"), "http://a/b");
    assert_eq!(split("a#/b#c"), ("a", "/b#c"));
    assert_eq!(pointer_tokens("/a~1b/~01").collect::<Vec<_>>(), ["a/b", "~1"]);
}

#[test]
fn types_are_sets() {
    let both = TypeSet::from_name("string").or(TypeSet::from_name("number"));
    assert!(both.intersects(TypeSet::INTEGER) && TypeSet::INTEGER.is_within(both) && !both.is_within(TypeSet::NUMBER));
    assert_eq!(both.title(), "string, number");
    assert_eq!(TypeSet::FRACTION.title(), "number (not whole)");
    assert_eq!(both.parts().len(), 2);
    let values =
        [(json!(1.0), TypeSet::INTEGER), (json!(1.5), TypeSet::FRACTION), (json!(1e300), TypeSet::INTEGER), (json!([]), TypeSet::ARRAY)];
    for (value, types) in values {
        assert_eq!(TypeSet::of_value(&value), types, "{value}");
    }
}

#[test]
fn equal_values_have_equal_texts() {
    assert_eq!(normalized_text(&json!({"a": 1, "b": [1.0, "x"]})), normalized_text(&json!({"b": [1, "x"], "a": 1.0})));
    assert_ne!(normalized_text(&json!("1")), normalized_text(&json!(1)));
    assert!(ValueList::new(&[json!(2)]).contains(&json!(2.0)));
}

#[test]
fn patterns_of_different_beginnings_are_disjoint() {
    assert!(are_disjoint("^s_", "^i_"));
    for (left, right) in [("^s", "^s_"), ("s_", "^i_"), ("^a|b", "^c"), ("^ab?", "^ac"), ("^a*", "^b"), ("^", "^a"), ("^[ab]", "^c")] {
        assert!(!are_disjoint(left, right), "{left} {right}");
    }
}

#[test]
fn texts_are_kept_as_they_are_written() {
    assert_eq!(minify("{ \"a\" : [ 1.0 , 1E5 ] }"), "{\"a\":[1.0,1E5]}");
    assert_eq!(minify_sorted("{\"b\":{\"d\":1,\"c\":2},\"a\":[2,1]}"), "{\"a\":[2,1],\"b\":{\"c\":2,\"d\":1}}");
    // A text that is not JSON stays unchanged.
    for text in ["", "{", "{\"a\"", "{\"a\" 1}", "[1", "\"a"] {
        assert_eq!(minify(text), text);
    }
    assert!(parse_json(&" ".repeat(MAX_TEXT + 1)).is_err());
    assert_eq!(parse_json("null").ok(), Some(Value::Null));
}
