//! `keyvalue_scan`

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use prism::proto::models::keyvalue::v1::{CountRequest, ScanKeysRequest, ScanRequest};

use super::{STRANGE_KEYS, copy};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, stream_refusal},
};

suite! { "keyvalue_scan":
    entries_come_in_order_of_their_bytes;
    bounds;
    limits;
    an_empty_keyspace;
    scan_keys_agrees_with_scan;
    cursors_continue;
    a_cursor_outlives_its_key;
    cursors_of_both_rpcs_are_the_same;
    other_fields_apply_with_a_cursor;
    more_than_a_page;
    large_values;
    stable_keys_are_returned_once_during_writes;
    a_dropped_scan_leaves_the_rest_working;
    keyspaces_are_isolated;
    deleted_keys_are_not_returned;
    bad_requests_are_refused;
}

/// Stores `a`, `ab`, `b`, … in no particular order.
async fn fill(s: &Subject, keys: &[&str]) {
    for key in keys {
        s.set(key.as_bytes(), key.as_bytes()).await;
    }
}

fn range(prefix: &str, start: &str, end: &str) -> ScanRequest {
    ScanRequest { prefix: copy(prefix.as_bytes()), start_key: copy(start.as_bytes()), end_key: copy(end.as_bytes()), ..Default::default() }
}

fn texts(keys: impl IntoIterator<Item = Bytes>) -> Vec<String> {
    keys.into_iter().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
}

async fn entries_come_in_order_of_their_bytes(s: Subject) {
    let mut sorted = STRANGE_KEYS.to_vec();
    sorted.sort_unstable();
    for key in STRANGE_KEYS.iter().rev() {
        s.set(key, key).await;
    }
    let entries = s.scan(ScanRequest::default()).await;
    assert_eq!(entries.iter().map(|entry| &entry.key[..]).collect::<Vec<_>>(), sorted);
    for entry in &entries {
        assert_eq!(entry.key, entry.value);
        assert_eq!(Some(entry), s.entry(&entry.key).await.as_ref());
    }
    // A prefix matches the key that equals it, and all longer keys.
    for (index, key) in sorted.iter().enumerate() {
        let with_prefix = sorted.iter().filter(|other| other.starts_with(key)).count() as u64;
        assert_eq!(s.count(CountRequest { prefix: copy(key), ..Default::default() }).await, with_prefix, "prefix {key:?}");
        let behind = s.scan(ScanRequest { start_key: copy(key), ..Default::default() }).await;
        assert_eq!(behind.len(), sorted.len() - index, "start {key:?}");
        let before = s.scan(ScanRequest { end_key: copy(key), ..Default::default() }).await;
        assert_eq!(before.len(), index, "end {key:?}");
    }
}

async fn bounds(s: Subject) {
    fill(&s, &["b", "a", "bb", "ba", "c", "bc", "bcd", "d"]).await;
    for (request, expected) in [
        (range("", "", ""), vec!["a", "b", "ba", "bb", "bc", "bcd", "c", "d"]),
        (range("b", "", ""), vec!["b", "ba", "bb", "bc", "bcd"]),
        (range("", "b", "c"), vec!["b", "ba", "bb", "bc", "bcd"]),
        (range("", "bb", ""), vec!["bb", "bc", "bcd", "c", "d"]),
        (range("", "baa", "bca"), vec!["bb", "bc"]),
        (range("b", "bb", "bc"), vec!["bb"]),
        (range("b", "a", "z"), vec!["b", "ba", "bb", "bc", "bcd"]),
        (range("b", "c", ""), vec![]),
        (range("b", "", "b"), vec![]),
        (range("x", "", ""), vec![]),
        (range("", "c", "c"), vec![]),
        (range("", "d", "a"), vec![]),
        (range("", "", "a"), vec![]),
    ] {
        let count = CountRequest { prefix: request.prefix.clone(), start_key: request.start_key.clone(), end_key: request.end_key.clone() };
        assert_eq!(s.count(count).await, expected.len() as u64, "{request:?}");
        let entries = s.scan(request.clone()).await;
        assert_eq!(texts(entries.into_iter().map(|entry| entry.key)), expected, "{request:?}");
    }
}

async fn limits(s: Subject) {
    fill(&s, &["a", "b", "c", "d", "e"]).await;
    for (limit, expected) in [(0, 5), (1, 1), (4, 4), (5, 5), (6, 5), (u32::MAX, 5)] {
        assert_eq!(s.scan(ScanRequest { limit, ..Default::default() }).await.len(), expected, "limit {limit}");
    }
}

async fn an_empty_keyspace(s: Subject) {
    assert!(s.keys().await.is_empty());
    assert_eq!(s.count(CountRequest::default()).await, 0);
}

async fn scan_keys_agrees_with_scan(s: Subject) {
    fill(&s, &["b", "a", "bb", "c"]).await;
    for request in [range("", "", ""), range("b", "", ""), range("", "b", "c")] {
        let entries = s.scan(request.clone()).await;
        let keys = ScanKeysRequest { prefix: request.prefix, start_key: request.start_key, end_key: request.end_key, ..Default::default() };
        let keys = all(s.keyvalue_scan().scan_keys(&s.context, keys).await.unwrap()).await;
        assert_eq!(
            keys.iter().map(|key| (key.key.clone(), key.revision)).collect::<Vec<_>>(),
            entries.iter().map(|entry| (entry.key.clone(), entry.revision)).collect::<Vec<_>>()
        );
    }
}

async fn cursors_continue(s: Subject) {
    for key in STRANGE_KEYS {
        s.set(key, key).await;
    }
    let whole = s.keys().await;
    for page in [1, 3, 7] {
        let (mut keys, mut cursor) = (Vec::new(), String::new());
        loop {
            let request = ScanRequest { limit: page, cursor: cursor.clone(), ..Default::default() };
            let answers = all(s.keyvalue_scan().scan(&s.context, request).await.unwrap()).await;
            let Some(last) = answers.last() else { break };
            assert!(!last.cursor.is_empty());
            assert!(last.cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte)), "{}", last.cursor);
            cursor.clone_from(&last.cursor);
            keys.extend(answers.into_iter().map(|answer| answer.entry.unwrap().key));
        }
        assert_eq!(keys, whole, "pages of {page}");
    }
}

async fn a_cursor_outlives_its_key(s: Subject) {
    fill(&s, &["a", "b", "c", "d"]).await;
    let mut stream = s.keyvalue_scan().scan(&s.context, ScanRequest { limit: 2, ..Default::default() }).await.unwrap();
    next(&mut stream).await;
    let cursor = next(&mut stream).await.cursor;
    s.delete(b"b").await;
    s.delete(b"c").await;
    let rest = s.scan(ScanRequest { cursor: cursor.clone(), ..Default::default() }).await;
    assert_eq!(texts(rest.into_iter().map(|entry| entry.key)), ["d"]);
    // One key is written before the cursor and one behind it.
    fill(&s, &["a", "b", "bb"]).await;
    let rest = s.scan(ScanRequest { cursor, ..Default::default() }).await;
    assert_eq!(texts(rest.into_iter().map(|entry| entry.key)), ["bb", "d"]);
}

async fn cursors_of_both_rpcs_are_the_same(s: Subject) {
    fill(&s, &["a", "b", "c"]).await;
    let scan = s.keyvalue_scan();
    let first = next(&mut scan.scan(&s.context, ScanRequest::default()).await.unwrap()).await;
    let request = ScanKeysRequest { cursor: first.cursor.clone(), ..Default::default() };
    let second = next(&mut scan.scan_keys(&s.context, request).await.unwrap()).await;
    assert_eq!(&second.key[..], b"b");
    let rest = s.scan(ScanRequest { cursor: second.cursor, ..Default::default() }).await;
    assert_eq!(texts(rest.into_iter().map(|entry| entry.key)), ["c"]);
}

async fn other_fields_apply_with_a_cursor(s: Subject) {
    fill(&s, &["a1", "a2", "a3", "a4", "b1"]).await;
    let first = all(s.keyvalue_scan().scan(&s.context, ScanRequest { limit: 1, ..range("a", "", "") }).await.unwrap()).await;
    let cursor = first[0].cursor.clone();
    for (request, expected) in [
        (range("a", "", ""), vec!["a2", "a3", "a4"]),
        (range("a", "a3", ""), vec!["a3", "a4"]),
        (range("", "", "a4"), vec!["a2", "a3"]),
        (range("b", "", ""), vec!["b1"]),
        (range("a", "", "a1"), vec![]),
    ] {
        let entries = s.scan(ScanRequest { cursor: cursor.clone(), ..request.clone() }).await;
        assert_eq!(texts(entries.into_iter().map(|entry| entry.key)), expected, "{request:?}");
    }
    let limited = s.scan(ScanRequest { cursor, limit: 2, ..range("a", "", "") }).await;
    assert_eq!(limited.len(), 2, "the limit counts from the cursor");
}

async fn more_than_a_page(s: Subject) {
    const KEYS: usize = 3000;
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..KEYS / 10 {
                    s.set(format!("key{:05}", number * 10 + task).as_bytes(), b"v").await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let keys = texts(s.keys().await);
    assert_eq!(keys, (0..KEYS).map(|number| format!("key{number:05}")).collect::<Vec<_>>());
    assert_eq!(s.count(CountRequest::default()).await, KEYS as u64);
}

async fn large_values(s: Subject) {
    for number in 0..12_u8 {
        s.set(&[b'k', number], &vec![number; 1 << 20]).await;
    }
    let entries = s.scan(ScanRequest::default()).await;
    assert_eq!(entries.len(), 12);
    assert!(entries.iter().enumerate().all(|(number, entry)| entry.value.len() == 1 << 20 && usize::from(entry.value[0]) == number));
}

async fn stable_keys_are_returned_once_during_writes(s: Subject) {
    const STABLE: usize = 400;
    for number in 0..STABLE {
        s.set(format!("stable{number:04}").as_bytes(), b"v").await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (s, done) = (s.clone(), done.clone());
            tokio::spawn(async move {
                let mut round = 0_usize;
                while !done.load(Ordering::Relaxed) {
                    // Write between, before and behind the stable keys, and change some values of stable keys.
                    let key = format!("stable{:04}-{writer}", (round * 37) % STABLE);
                    s.set(key.as_bytes(), b"comes").await;
                    s.set(format!("a{round}").as_bytes(), b"comes").await;
                    s.set(format!("stable{:04}", (round * 11) % STABLE).as_bytes(), b"changed").await;
                    s.delete(key.as_bytes()).await;
                    s.delete(format!("a{round}").as_bytes()).await;
                    round += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let keys = s.keys().await;
        assert!(keys.is_sorted_by(|a, b| a < b), "out of order, or twice");
        let stable = keys.iter().filter(|key| key.len() == b"stable0000".len() && key.starts_with(b"stable")).count();
        assert_eq!(stable, STABLE);
        assert!(s.count(CountRequest { prefix: copy(b"stable"), ..Default::default() }).await >= STABLE as u64);
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(s.count(CountRequest::default()).await, STABLE as u64);
}

async fn a_dropped_scan_leaves_the_rest_working(s: Subject) {
    for number in 0..300 {
        s.set(format!("key{number:03}").as_bytes(), &[b'v'; 2000]).await;
    }
    // More scans than any connection pool has: a scan that holds a connection would block the next ones.
    for _ in 0..40 {
        let mut stream = s.keyvalue_scan().scan(&s.context, ScanRequest::default()).await.unwrap();
        next(&mut stream).await;
        drop(stream);
    }
    // The same with scans that are started and not read.
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut stream = s.keyvalue_scan().scan(&s.context, ScanRequest::default()).await.unwrap();
        next(&mut stream).await;
        open.push(stream);
    }
    s.set(b"another", b"v").await;
    assert_eq!(s.count(CountRequest::default()).await, 301);
    drop(open);
    assert_eq!(s.keys().await.len(), 301);
}

async fn keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    fill(&s, &["a", "b"]).await;
    fill(&other, &["x"]).await;
    fill(&slot, &["y", "z"]).await;
    assert_eq!(texts(s.keys().await), ["a", "b"]);
    assert_eq!(texts(other.keys().await), ["x"]);
    assert_eq!(texts(slot.keys().await), ["y", "z"]);
    assert_eq!(other.count(CountRequest::default()).await, 1);
}

async fn deleted_keys_are_not_returned(s: Subject) {
    fill(&s, &["a", "b", "c"]).await;
    s.delete(b"b").await;
    assert_eq!(texts(s.keys().await), ["a", "c"]);
    assert_eq!(s.count(CountRequest::default()).await, 2);
}

async fn bad_requests_are_refused(s: Subject) {
    let scan = s.keyvalue_scan();
    let long: Bytes = vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap() + 1].into();
    for cursor in ["no cursor!", "\u{e4}", "*"] {
        let request = ScanRequest { cursor: cursor.to_owned(), ..Default::default() };
        invalid(stream_refusal(scan.scan(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
        let request = ScanKeysRequest { cursor: cursor.to_owned(), ..Default::default() };
        invalid(stream_refusal(scan.scan_keys(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
    }
    for field in ["prefix", "start_key", "end_key"] {
        let pick = |name: &str| if name == field { long.clone() } else { Bytes::new() };
        let (prefix, start_key, end_key) = (pick("prefix"), pick("start_key"), pick("end_key"));
        let count = CountRequest { prefix: prefix.clone(), start_key: start_key.clone(), end_key: end_key.clone() };
        invalid(scan.count(&s.context, count).await, "INVALID_KEY", field);
        let request = ScanRequest { prefix: prefix.clone(), start_key: start_key.clone(), end_key: end_key.clone(), ..Default::default() };
        invalid(stream_refusal(scan.scan(&s.context, request).await).await, "INVALID_KEY", field);
        let request = ScanKeysRequest { prefix, start_key, end_key, ..Default::default() };
        invalid(stream_refusal(scan.scan_keys(&s.context, request).await).await, "INVALID_KEY", field);
    }
}
