//! Tests of what the pattern adds to its backend: ranges as text, and lists of ETags.

use super::etag::Expected;
use crate::blobs::range::{content_range, parse};
use prism_call::proto::models::blob::v1::{ByteRange, blob_condition::Test, byte_range::Start};

fn range(start: Start, length: Option<u64>) -> ByteRange {
    ByteRange { start: Some(start), length }
}

#[test]
fn one_range_of_bytes_is_parsed_and_everything_else_ignored() {
    for (text, wanted) in [
        ("bytes=0-0", range(Start::Offset(0), Some(1))),
        ("bytes=5-9", range(Start::Offset(5), Some(5))),
        ("Bytes = 5-", range(Start::Offset(5), None)),
        ("bytes=-7", range(Start::Suffix(7), None)),
        ("bytes=3-99999999999999999999999", range(Start::Offset(3), Some(u64::MAX - 2))),
    ] {
        assert_eq!(parse(text), Some(wanted), "{text}");
    }
    for text in
        ["", "bytes", "bytes=", "bytes=-", "bytes=-0", "bytes=5-4", "bytes=a-b", "bytes=+1-2", "bytes=0-1,3-4", "items=0-1", "bytes=1--2"]
    {
        assert_eq!(parse(text), None, "{text}");
    }
    assert_eq!(content_range(5, 5, 100), "bytes 5-9/100");
}

#[test]
fn conditions_are_read_from_lists_of_etags() {
    let of = |wanted: &[&str], unwanted: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|etag| (*etag).to_owned()).collect::<Vec<_>>();
        Expected::of(owned(wanted), &owned(unwanted))
    };
    assert_eq!(of(&[], &[]).unwrap(), None);
    assert_eq!(of(&[], &["*"]).unwrap().unwrap().test(), Some(Test::Absent(true)));
    assert_eq!(of(&["*"], &[]).unwrap().unwrap().test(), Some(Test::Exists(true)));
    assert_eq!(of(&["a"], &[]).unwrap().unwrap().test(), Some(Test::Etag("a".to_owned())));
    let two = of(&["a", "b"], &[]).unwrap().unwrap();
    assert!(two.test().is_none() && two.matches("b") && !two.matches("c"));
    for (wanted, unwanted) in [(&["a"][..], &["*"][..]), (&[], &["a"]), (&[], &["*", "a"])] {
        assert_eq!(of(wanted, unwanted).unwrap_err().reason(), "PRECONDITION_UNSUPPORTED", "{wanted:?} {unwanted:?}");
    }
}
