//! `keyvalue_watch` over two gateways.

use prism::proto::models::keyvalue::v1::WatchRequest;

use super::watch::{take, text};
use crate::{
    subject::Subject,
    suite::suite,
    support::{millis, next},
};

suite! { "keyvalue_watch" shared:
    a_watcher_receives_the_changes_of_another_gateway;
    a_watch_resumes_on_another_gateway;
    an_expiration_is_seen_once_on_each_gateway needs "keyvalue_ttl";
}

async fn a_watcher_receives_the_changes_of_another_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    let mut watch = s.keyvalue_watch().watch(&s.context, WatchRequest::default()).await.unwrap();
    assert_eq!(take(&mut watch, 1).await, ["caught_up"]);
    remote.set(b"a", b"1").await;
    s.set(b"a", b"2").await;
    remote.delete(b"a").await;
    if s.keeps_last_change_only() {
        // What the watcher was too late for is left out.
        while text(&next(&mut watch).await) != "removed a" {}
    } else {
        assert_eq!(take(&mut watch, 3).await, ["stored a=1", "stored a=2", "removed a"]);
    }
    remote.set(b"b", b"1").await;
    assert_eq!(take(&mut watch, 1).await, ["stored b=1"]);
}

async fn a_watch_resumes_on_another_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    s.set(b"a", b"1").await;
    s.set(b"b", b"1").await;
    let mut watch = s.keyvalue_watch().watch(&s.context, WatchRequest::default()).await.unwrap();
    let mut cursor = next(&mut watch).await.cursor;
    drop(watch);
    // Each event on another gateway than the one before.
    for (index, expected) in ["entry b=1", "caught_up", "stored c=1", "removed a"].into_iter().enumerate() {
        if expected == "stored c=1" {
            s.set(b"c", b"1").await;
        } else if expected == "removed a" {
            remote.delete(b"a").await;
        }
        let gateway = if index % 2 == 0 { &remote } else { &s };
        let request = WatchRequest { cursor, ..WatchRequest::default() };
        let mut watch = gateway.keyvalue_watch().watch(&gateway.context, request).await.unwrap();
        let event = next(&mut watch).await;
        assert_eq!(text(&event), expected);
        cursor = event.cursor;
    }
}

async fn an_expiration_is_seen_once_on_each_gateway(s: Subject) {
    let remote = s.on_other_gateway();
    let mut watches = Vec::new();
    for gateway in [&s, &remote] {
        let mut watch = gateway.keyvalue_watch().watch(&gateway.context, WatchRequest::default()).await.unwrap();
        assert_eq!(take(&mut watch, 1).await, ["caught_up"]);
        watches.push(watch);
    }
    s.set_with(b"a", b"1", Some(millis(50))).await;
    for watch in &mut watches {
        assert_eq!(take(watch, 2).await, ["stored a=1", "expired a"]);
    }
    remote.set(b"a", b"2").await;
    for watch in &mut watches {
        assert_eq!(take(watch, 1).await, ["stored a=2"]);
    }
}
