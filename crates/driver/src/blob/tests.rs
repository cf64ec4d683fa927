//! Tests of what the drivers of blobs share.

use super::*;
use prism_call::proto::models::blob::v1::{ListRequest, ListedBlob};

fn range(start: Start, length: Option<u64>) -> ByteRange {
    ByteRange { start: Some(start), length }
}

#[test]
fn ranges_end_at_the_end_of_the_blob() {
    for (start, length, size, wanted) in [
        (Start::Offset(0), None, 10, (0, 10)),
        (Start::Offset(3), Some(4), 10, (3, 4)),
        (Start::Offset(9), Some(u64::MAX), 10, (9, 1)),
        (Start::Suffix(3), None, 10, (7, 3)),
        (Start::Suffix(99), None, 10, (0, 10)),
    ] {
        assert_eq!(resolve_range(Some(&range(start, length)), size).unwrap(), wanted);
    }
    assert_eq!(resolve_range(None, 0).unwrap(), (0, 0));
    for (start, size) in [(Start::Offset(10), 10), (Start::Offset(0), 0), (Start::Suffix(1), 0)] {
        let error = resolve_range(Some(&range(start, None)), size).unwrap_err();
        assert_eq!((error.reason(), error.get("size")), ("RANGE_NOT_SATISFIABLE", Some(size.to_string().as_str())));
    }
    for bad in [ByteRange::default(), range(Start::Suffix(0), None), range(Start::Suffix(1), Some(1)), range(Start::Offset(1), Some(0))] {
        assert_eq!(resolve_range(Some(&bad), 10).unwrap_err().reason(), "INVALID_FIELD");
    }
}

#[test]
fn conditions_hold_for_the_current_etag() {
    for (condition, current, holds) in [
        (Condition::Absent, None, true),
        (Condition::Absent, Some("a"), false),
        (Condition::Exists, None, false),
        (Condition::Exists, Some("a"), true),
        (Condition::Etag("a".to_owned()), Some("a"), true),
        (Condition::Etag("a".to_owned()), Some("b"), false),
        (Condition::Etag(String::new()), None, false),
    ] {
        assert_eq!(condition.holds(current), holds, "{condition:?} {current:?}");
    }
    for test in [None, Some(Test::Absent(false)), Some(Test::Exists(false))] {
        assert_eq!(Condition::of(Some(BlobCondition { test })).unwrap_err().reason(), "INVALID_CONDITION");
    }
    assert_eq!(Condition::of_delete(Some(BlobCondition { test: Some(Test::Absent(true)) })).unwrap_err().reason(), "INVALID_CONDITION");
}

fn pages(keys: &[&str], prefix: &str, delimiter: &str, limit: u32) -> Vec<(Vec<String>, Vec<String>)> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = ListRequest { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), limit, cursor };
        let mut page = Page::new(ListScope::new(&Limits::default(), request).unwrap());
        for key in keys {
            page.add(key, || ());
        }
        let response = page.finish(|key, ()| Ok(Some(ListedBlob { key, ..ListedBlob::default() }))).unwrap();
        pages.push((response.blobs.into_iter().map(|blob| blob.key).collect(), response.prefixes));
        cursor = response.cursor;
        if cursor.is_empty() {
            return pages;
        }
    }
}

#[test]
fn pages_have_the_first_items_and_continue_after_the_last_one() {
    let keys = ["b/2", "a", "c", "b/1", "b", "b/3/x", "d/1", "é"];
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let all = pages(&keys, "", "", 3);
    let flat: Vec<String> = all.iter().flat_map(|(keys, _)| keys.clone()).collect();
    assert_eq!((all.len(), flat), (3, owned(&["a", "b", "b/1", "b/2", "b/3/x", "c", "d/1", "é"])));
    let grouped = pages(&keys, "", "/", 2);
    assert_eq!(grouped, [(owned(&["a", "b"]), vec![]), (owned(&["c"]), owned(&["b/"])), (owned(&["é"]), owned(&["d/"])),]);
    assert_eq!(pages(&keys, "b/", "/", 0), [(owned(&["b/1", "b/2"]), owned(&["b/3/"]))]);
    assert_eq!(pages(&keys, "x", "/", 0), [(vec![], vec![])]);
}

#[test]
fn metadata_is_checked() {
    let limits = Limits::default();
    let good = NewBlob {
        key: "a/ü".to_owned(),
        content_type: "text/plain; charset=utf-8".to_owned(),
        attributes: [("origin-1".to_owned(), "two words".to_owned()), ("empty".to_owned(), String::new())].into(),
        size: None,
    };
    check_new(&limits, &good).unwrap();
    let attribute = |name: &str, value: &str| NewBlob { attributes: [(name.to_owned(), value.to_owned())].into(), ..good.clone() };
    for (bad, reason) in [
        (NewBlob { key: String::new(), ..good.clone() }, "INVALID_KEY"),
        (NewBlob { key: "a\0".to_owned(), ..good.clone() }, "INVALID_KEY"),
        (NewBlob { key: "k".repeat(1025), ..good.clone() }, "INVALID_KEY"),
        (NewBlob { content_type: "text/plain\n".to_owned(), ..good.clone() }, "INVALID_CONTENT_TYPE"),
        (NewBlob { content_type: "t".repeat(256), ..good.clone() }, "INVALID_CONTENT_TYPE"),
        (attribute("Upper", "v"), "INVALID_ATTRIBUTES"),
        (attribute("", "v"), "INVALID_ATTRIBUTES"),
        (attribute("name", "ü"), "INVALID_ATTRIBUTES"),
        (attribute("name", " v"), "INVALID_ATTRIBUTES"),
        (attribute("name", &"v".repeat(1025)), "INVALID_ATTRIBUTES"),
    ] {
        assert_eq!(check_new(&limits, &bad).unwrap_err().reason(), reason, "{bad:?}");
    }
    let many = (0..33).map(|number| (number.to_string(), String::new())).collect();
    assert_eq!(check_new(&limits, &NewBlob { attributes: many, ..good }).unwrap_err().reason(), "INVALID_ATTRIBUTES");
}
