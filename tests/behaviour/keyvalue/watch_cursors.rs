//! `keyvalue_watch`: cursors, and gaps.

use prism::proto::models::keyvalue::v1::WatchRequest;

use super::watch::{take, text, until_caught_up};
use crate::{
    subject::Subject,
    suite::suite,
    support::{eventually, next, silent, sleep},
};

suite! { "keyvalue_watch":
    every_cursor_resumes;
    a_cursor_outlives_its_watch;
    a_cursor_of_other_data_is_a_gap;
    a_watcher_that_falls_behind_the_history_gets_a_gap needs "keyvalue_batch";
    changes_of_other_keys_move_the_cursor needs "keyvalue_batch";
}

async fn every_cursor_resumes(s: Subject) {
    for key in ["a", "b", "c"] {
        s.set(key.as_bytes(), b"1").await;
    }
    let mut watch = s.watch(WatchRequest::default()).await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(next(&mut watch).await);
    }
    s.set(b"d", b"2").await;
    events.push(next(&mut watch).await);
    s.delete(b"b").await;
    events.push(next(&mut watch).await);
    s.set(b"c", b"2").await;
    events.push(next(&mut watch).await);
    s.delete(b"d").await;
    events.push(next(&mut watch).await);
    let texts: Vec<String> = events.iter().map(text).collect();
    let changes = ["stored d=2", "removed b", "stored c=2", "removed d"];
    assert_eq!(texts, [&["entry a=1", "entry b=1", "entry c=1", "caught_up"][..], &changes].concat());
    for (index, event) in events.iter().enumerate() {
        assert!(event.cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte)), "{}", event.cursor);
        let resumed = until_caught_up(&mut s.resume(&event.cursor).await).await;
        // The entries that are left were all changed since then, so they come as changes.
        let expected: Vec<&str> = match index {
            0..4 => changes.to_vec(),
            _ => changes[index - 3..].to_vec(),
        };
        if s.keeps_last_change_only() {
            assert!(is_subsequence(&resumed, &expected), "behind {}: {resumed:?}", texts[index]);
            assert_eq!(resumed.last().map(String::as_str), expected.last().copied());
        } else {
            assert_eq!(resumed, expected, "behind {}", texts[index]);
        }
    }
}

fn is_subsequence(part: &[String], whole: &[&str]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|one| rest.any(|other| other == one))
}

async fn a_cursor_outlives_its_watch(s: Subject) {
    let mut watch = s.watch(WatchRequest::default()).await;
    let cursor = next(&mut watch).await.cursor;
    drop(watch);
    s.set(b"a", b"1").await;
    s.delete(b"a").await;
    s.set(b"b", b"1").await;
    sleep(50).await;
    let mut expected = vec!["stored a=1", "removed a", "stored b=1"];
    if s.keeps_last_change_only() {
        expected.remove(0);
    }
    for other in [s.clone(), s.reopened()] {
        assert_eq!(until_caught_up(&mut other.resume(&cursor).await).await, expected);
    }
}

async fn a_cursor_of_other_data_is_a_gap(s: Subject) {
    let other = s.other_keyspace();
    other.set(b"x", b"1").await;
    let cursor = next(&mut other.watch(WatchRequest::default()).await).await.cursor;
    s.set(b"a", b"1").await;
    let mut watch = s.resume(&cursor).await;
    let gap = next(&mut watch).await;
    assert_eq!(text(&gap), "gap");
    assert_eq!(take(&mut watch, 2).await, ["entry a=1", "caught_up"]);
    s.set(b"b", b"1").await;
    assert_eq!(take(&mut watch, 1).await, ["stored b=1"]);
    // The cursor of the gap is before the entries.
    assert_eq!(until_caught_up(&mut s.resume(&gap.cursor).await).await, ["entry a=1", "stored b=1"]);
    let request = WatchRequest { changes_only: true, cursor, ..WatchRequest::default() };
    assert_eq!(take(&mut s.watch(request).await, 2).await, ["gap", "caught_up"]);
}

async fn a_watcher_that_falls_behind_the_history_gets_a_gap(s: Subject) {
    if s.keeps_last_change_only() {
        return;
    }
    let request = || WatchRequest { prefix: "a".into(), ..WatchRequest::default() };
    let mut slow = s.watch(request()).await;
    let cursor = next(&mut slow).await.cursor;
    s.set(b"a", b"1").await;
    s.set_many("k", 11_000).await;
    // Some drivers shorten a history from time to time.
    let resumed = async || {
        let mut watch = s.watch(WatchRequest { cursor: cursor.clone(), ..request() }).await;
        text(&next(&mut watch).await) == "gap"
    };
    eventually("the history was shortened", resumed).await;
    assert_eq!(take(&mut slow, 3).await, ["gap", "entry a=1", "caught_up"]);
    silent(&mut slow).await;
}

async fn changes_of_other_keys_move_the_cursor(s: Subject) {
    let mut watch = s.watch(WatchRequest { key: "a".into(), ..WatchRequest::default() }).await;
    let first = next(&mut watch).await;
    s.set_many("k", 1500).await;
    let second = next(&mut watch).await;
    assert_eq!((text(&first), text(&second)), ("caught_up".to_owned(), "caught_up".to_owned()));
    assert_ne!(first.cursor, second.cursor);
}
