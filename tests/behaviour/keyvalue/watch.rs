//! `keyvalue_watch`

use std::collections::BTreeMap;

use bytes::Bytes;
use prism::{
    call::{Code, Messages},
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchSetItem, BatchSetRequest, CompareAndDeleteRequest, CompareAndSwapRequest, DeleteOperation, ExpireRequest,
        Operation, SetOperation, SetRequest, TransactRequest, WatchRequest, WatchResponse, operation::Action, watch_response::Event,
    },
};

use super::{STRANGE_KEYS, copy};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, next, refused, silent, stream_refusal},
};

suite! { "keyvalue_watch":
    an_empty_keyspace_is_caught_up;
    entries_come_first_and_then_changes;
    changes_have_everything_about_an_entry;
    strange_keys;
    one_key_or_a_prefix;
    large_values;
    changes_only;
    a_key_that_does_not_exist_is_not_removed;
    compared_writes_are_changes needs "keyvalue_cas";
    batches_are_changes needs "keyvalue_batch";
    a_transaction_is_a_sequence_of_changes needs "keyvalue_transactional";
    expirations_are_removals needs "keyvalue_ttl";
    an_expired_key_can_be_written_again needs "keyvalue_ttl";
    a_change_of_the_expiration_is_no_change needs "keyvalue_ttl";
    concurrent_writers_lose_no_change;
    entries_and_changes_add_up_during_writes;
    many_watchers_receive_all_changes;
    dropped_watches_leave_the_rest_working;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

impl Subject {
    pub(super) async fn watch(&self, request: WatchRequest) -> Messages<WatchResponse> {
        self.keyvalue_watch().watch(&self.context, request).await.unwrap()
    }

    /// Watches everything. Returns the stream after `caught_up`, and the texts of the events before it.
    async fn watch_all(&self) -> (Messages<WatchResponse>, Vec<String>) {
        let mut watch = self.watch(WatchRequest::default()).await;
        let entries = until_caught_up(&mut watch).await;
        (watch, entries)
    }

    /// Watches everything behind a cursor.
    pub(super) async fn resume(&self, cursor: &str) -> Messages<WatchResponse> {
        self.watch(WatchRequest { cursor: cursor.to_owned(), ..WatchRequest::default() }).await
    }

    pub(super) async fn set_many(&self, prefix: &str, count: usize) {
        let item = |number| BatchSetItem { key: format!("{prefix}{number:05}").into(), value: "v".into(), ttl: None, flags: 0 };
        for first in (0..count).step_by(1000) {
            let items = (first..count.min(first + 1000)).map(item).collect();
            self.keyvalue_batch().batch_set(&self.context, BatchSetRequest { items }).await.unwrap();
        }
    }
}

/// An event as text: its name, the key, and the value, or its length if it is long.
pub fn text(response: &WatchResponse) -> String {
    let lossy = |bytes: &Bytes| if bytes.len() > 100 { bytes.len().to_string() } else { String::from_utf8_lossy(bytes).into_owned() };
    match response.event.as_ref().expect("an event") {
        Event::Entry(entry) => format!("entry {}={}", lossy(&entry.key), lossy(&entry.value)),
        Event::CaughtUp(_) => "caught_up".to_owned(),
        Event::Stored(entry) => format!("stored {}={}", lossy(&entry.key), lossy(&entry.value)),
        Event::Removed(removed) if removed.expired => format!("expired {}", lossy(&removed.key)),
        Event::Removed(removed) => format!("removed {}", lossy(&removed.key)),
        Event::Gap(_) => "gap".to_owned(),
    }
}

pub async fn take(watch: &mut Messages<WatchResponse>, count: usize) -> Vec<String> {
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(text(&next(watch).await));
    }
    texts
}

/// Takes the changes that are expected. A driver that keeps only the last change of a key may leave out those before it.
async fn take_changes(s: &Subject, watch: &mut Messages<WatchResponse>, expected: &[&str]) {
    if !s.keeps_last_change_only() {
        assert_eq!(take(watch, expected.len()).await, expected);
        return;
    }
    let mut rest = expected.iter();
    while !rest.as_slice().is_empty() {
        let found = text(&next(watch).await);
        assert!(rest.any(|one| *one == found), "unexpected: {found}, of {expected:?}");
    }
}

pub async fn until_caught_up(watch: &mut Messages<WatchResponse>) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match text(&next(watch).await) {
            text if text == "caught_up" => return texts,
            text => texts.push(text),
        }
    }
}

async fn an_empty_keyspace_is_caught_up(s: Subject) {
    let (mut watch, entries) = s.watch_all().await;
    assert!(entries.is_empty());
    silent(&mut watch).await;
    s.set(b"a", b"1").await;
    s.set(b"a", b"").await;
    assert!(s.delete(b"a").await.deleted);
    take_changes(&s, &mut watch, &["stored a=1", "stored a=", "removed a"]).await;
    silent(&mut watch).await;
}

async fn entries_come_first_and_then_changes(s: Subject) {
    for key in ["b", "c", "a"] {
        s.set(key.as_bytes(), b"old").await;
    }
    s.delete(b"c").await;
    let (mut watch, entries) = s.watch_all().await;
    assert_eq!(entries, ["entry a=old", "entry b=old"]);
    s.set(b"c", b"new").await;
    s.delete(b"a").await;
    s.set(b"b", b"new").await;
    assert_eq!(take(&mut watch, 3).await, ["stored c=new", "removed a", "stored b=new"]);
}

async fn changes_have_everything_about_an_entry(s: Subject) {
    let ttl = s.slot.interfaces.keyvalue_ttl.is_some().then(|| millis(100_000));
    let store = async |flags| {
        let request = SetRequest { key: "k".into(), value: "value".into(), ttl, flags };
        s.keyvalue_basic().set(&s.context, request).await.unwrap().revision
    };
    store(7).await;
    let mut watch = s.watch(WatchRequest::default()).await;
    let Some(Event::Entry(entry)) = next(&mut watch).await.event else { panic!("no entry") };
    assert_eq!(Some(&entry), s.entry(b"k").await.as_ref());
    until_caught_up(&mut watch).await;
    let revision = store(u64::MAX).await;
    let Some(Event::Stored(stored)) = next(&mut watch).await.event else { panic!("no change") };
    assert_eq!(Some(&stored), s.entry(b"k").await.as_ref());
    assert_eq!((stored.revision, stored.flags, stored.version), (revision, u64::MAX, 2));
    s.delete(b"k").await;
    let Some(Event::Removed(removed)) = next(&mut watch).await.event else { panic!("no removal") };
    assert_eq!((&removed.key[..], removed.previous_revision, removed.expired), (&b"k"[..], revision, false));
    let revision = store(0).await;
    let Some(Event::Stored(stored)) = next(&mut watch).await.event else { panic!("no change") };
    assert_eq!((stored.create_revision, stored.version, stored.flags), (revision, 1, 0));
}

async fn strange_keys(s: Subject) {
    let mut sorted = STRANGE_KEYS.to_vec();
    sorted.sort_unstable();
    for key in STRANGE_KEYS {
        s.set(key, key).await;
    }
    let mut watch = s.watch(WatchRequest::default()).await;
    for key in &sorted {
        match next(&mut watch).await.event {
            Some(Event::Entry(entry)) => assert_eq!((&entry.key[..], &entry.value[..]), (*key, *key)),
            other => panic!("{other:?} instead of {key:?}"),
        }
    }
    assert!(until_caught_up(&mut watch).await.is_empty());
    for key in STRANGE_KEYS {
        s.set(key, b"\0\xff").await;
        let first = next(&mut watch).await.event;
        s.delete(key).await;
        match (first, next(&mut watch).await.event) {
            (Some(Event::Stored(stored)), Some(Event::Removed(removed))) => {
                assert_eq!((&stored.key[..], &stored.value[..], &removed.key[..]), (*key, &b"\0\xff"[..], *key));
            }
            other => panic!("{other:?} instead of {key:?}"),
        }
    }
}

async fn one_key_or_a_prefix(s: Subject) {
    let longest = vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap()];
    for key in [&b"a"[..], b"ab", b"abc", b"b", &longest] {
        s.set(key, b"1").await;
    }
    let open = async |key: &[u8], prefix: &[u8]| {
        let mut watch = s.watch(WatchRequest { key: copy(key), prefix: copy(prefix), ..WatchRequest::default() }).await;
        let entries = until_caught_up(&mut watch).await;
        (watch, entries)
    };
    let (mut key, entries) = open(b"ab", b"").await;
    assert_eq!(entries, ["entry ab=1"]);
    let (mut missing, entries) = open(b"aa", b"").await;
    assert!(entries.is_empty());
    let (mut prefix, entries) = open(b"", b"ab").await;
    assert_eq!(entries, ["entry ab=1", "entry abc=1"]);
    let (mut long, entries) = open(&longest, b"").await;
    assert_eq!(entries.len(), 1);
    for key in [&b"a"[..], b"aa", b"ab", b"abc", b"ac", b"b", &longest] {
        s.set(key, b"2").await;
        s.delete(key).await;
    }
    take_changes(&s, &mut key, &["stored ab=2", "removed ab"]).await;
    take_changes(&s, &mut missing, &["stored aa=2", "removed aa"]).await;
    take_changes(&s, &mut prefix, &["stored ab=2", "removed ab", "stored abc=2", "removed abc"]).await;
    let (stored, removed) = (format!("stored {}=2", longest.len()), format!("removed {}", longest.len()));
    take_changes(&s, &mut long, &[stored.as_str(), removed.as_str()]).await;
    for watch in [&mut key, &mut missing, &mut prefix, &mut long] {
        silent(watch).await;
    }
}

async fn large_values(s: Subject) {
    s.set(b"a", &vec![1; 1 << 20]).await;
    let (mut watch, entries) = s.watch_all().await;
    assert_eq!(entries, ["entry a=1048576"]);
    let cursor = {
        s.set(b"a", &vec![2; 1 << 20]).await;
        let response = next(&mut watch).await;
        assert_eq!(text(&response), "stored a=1048576");
        response.cursor
    };
    for number in 0..12_u8 {
        s.set(&[b'k', number], &vec![number; 1 << 20]).await;
    }
    let mut resumed = s.resume(&cursor).await;
    for watch in [&mut watch, &mut resumed] {
        for number in 0..12_u8 {
            let Some(Event::Stored(stored)) = next(watch).await.event else { panic!("no change {number}") };
            assert_eq!((&stored.key[..], stored.value.len(), stored.value[0]), (&[b'k', number][..], 1 << 20, number));
        }
    }
}

async fn changes_only(s: Subject) {
    s.set(b"a", b"1").await;
    let mut watch = s.watch(WatchRequest { changes_only: true, ..WatchRequest::default() }).await;
    let caught_up = next(&mut watch).await;
    assert_eq!(text(&caught_up), "caught_up");
    s.set(b"a", b"2").await;
    assert_eq!(take(&mut watch, 1).await, ["stored a=2"]);
    let cursor = caught_up.cursor;
    let mut resumed = s.watch(WatchRequest { changes_only: true, cursor, ..WatchRequest::default() }).await;
    assert_eq!(take(&mut resumed, 2).await, ["stored a=2", "caught_up"]);
}

async fn a_key_that_does_not_exist_is_not_removed(s: Subject) {
    let (mut watch, _) = s.watch_all().await;
    assert!(!s.delete(b"a").await.deleted);
    silent(&mut watch).await;
    s.set(b"a", b"1").await;
    s.delete(b"a").await;
    s.delete(b"a").await;
    take_changes(&s, &mut watch, &["stored a=1", "removed a"]).await;
    silent(&mut watch).await;
}

async fn compared_writes_are_changes(s: Subject) {
    let (mut watch, _) = s.watch_all().await;
    let swap = async |expected_revision, value: &str| {
        let request = CompareAndSwapRequest { key: "a".into(), expected_revision, value: value.to_owned().into(), ttl: None, flags: 0 };
        s.keyvalue_cas().compare_and_swap(&s.context, request).await.unwrap()
    };
    let first = swap(0, "1").await.revision;
    assert!(!swap(0, "not stored").await.swapped);
    let second = swap(first, "2").await.revision;
    for (expected_revision, deleted) in [(first, false), (second, true)] {
        let request = CompareAndDeleteRequest { key: "a".into(), expected_revision };
        assert_eq!(s.keyvalue_cas().compare_and_delete(&s.context, request).await.unwrap().deleted, deleted);
    }
    take_changes(&s, &mut watch, &["stored a=1", "stored a=2", "removed a"]).await;
    silent(&mut watch).await;
}

async fn batches_are_changes(s: Subject) {
    let (mut watch, _) = s.watch_all().await;
    s.set_many("k", 3).await;
    let mut stored = take(&mut watch, 3).await;
    stored.sort();
    assert_eq!(stored, ["stored k00000=v", "stored k00001=v", "stored k00002=v"]);
    let keys = ["k00000", "missing", "k00002"].map(Bytes::from).to_vec();
    s.keyvalue_batch().batch_delete(&s.context, BatchDeleteRequest { keys }).await.unwrap();
    let mut removed = take(&mut watch, 2).await;
    removed.sort();
    assert_eq!(removed, ["removed k00000", "removed k00002"]);
    silent(&mut watch).await;
}

async fn a_transaction_is_a_sequence_of_changes(s: Subject) {
    s.set(b"b", b"1").await;
    let (mut watch, _) = s.watch_all().await;
    let set = |key: &'static str| Action::Set(SetOperation { key: key.into(), value: "t".into(), ttl: None, flags: 0 });
    let actions = [set("c"), Action::Delete(DeleteOperation { key: "b".into() }), set("a")];
    let then_operations = actions.into_iter().map(|action| Operation { action: Some(action) }).collect();
    let done = s.keyvalue_transactional().transact(&s.context, TransactRequest { then_operations, ..Default::default() }).await.unwrap();
    let mut responses = Vec::new();
    for _ in 0..3 {
        responses.push(next(&mut watch).await);
    }
    let mut texts: Vec<String> = responses.iter().map(text).collect();
    texts.sort();
    assert_eq!(texts, ["removed b", "stored a=t", "stored c=t"]);
    for response in &responses {
        if let Some(Event::Stored(stored)) = &response.event {
            assert_eq!(stored.revision, done.revision);
        }
    }
    // Each of them has a cursor of its own, inside the transaction.
    for (index, response) in responses.iter().enumerate() {
        let mut resumed = s.resume(&response.cursor).await;
        let expected: Vec<String> = responses[index + 1..].iter().map(text).chain(["caught_up".to_owned()]).collect();
        assert_eq!(take(&mut resumed, expected.len()).await, expected);
    }
}

async fn expirations_are_removals(s: Subject) {
    let revision = s.set_with(b"a", b"1", Some(millis(2000))).await;
    let (mut watch, _) = s.watch_all().await;
    s.set_with(b"b", b"1", Some(millis(60))).await;
    s.set_with(b"c", b"1", Some(millis(100_000))).await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let response = next(&mut watch).await;
        if let Some(Event::Removed(removed)) = &response.event {
            assert!(removed.expired);
            assert!(&removed.key[..] != b"a" || [0, revision].contains(&removed.previous_revision));
        }
        seen.push(text(&response));
    }
    seen.sort();
    assert_eq!(seen, ["expired a", "expired b", "stored b=1", "stored c=1"]);
    silent(&mut watch).await;
}

async fn an_expired_key_can_be_written_again(s: Subject) {
    let (mut watch, _) = s.watch_all().await;
    for _ in 0..3 {
        s.set_with(b"a", b"1", Some(millis(30))).await;
        crate::support::sleep(40).await;
    }
    s.set(b"a", b"2").await;
    let expected = ["stored a=1", "expired a", "stored a=1", "expired a", "stored a=1", "expired a", "stored a=2"];
    take_changes(&s, &mut watch, &expected).await;
    silent(&mut watch).await;
}

async fn a_change_of_the_expiration_is_no_change(s: Subject) {
    s.set(b"a", b"1").await;
    let (mut watch, _) = s.watch_all().await;
    s.keyvalue_ttl().expire(&s.context, ExpireRequest { key: "a".into(), ttl: Some(millis(60_000)) }).await.unwrap();
    silent(&mut watch).await;
    s.keyvalue_ttl().expire(&s.context, ExpireRequest { key: "a".into(), ttl: Some(millis(50)) }).await.unwrap();
    assert_eq!(take(&mut watch, 1).await, ["expired a"]);
}

/// Starts writers that share a few keys. Returns the revisions and the values of each key, in the order of the revisions.
async fn write_concurrently(s: &Subject, writers: usize, writes: usize) -> BTreeMap<Bytes, Vec<u64>> {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let s = if writer % 2 == 1 && s.is_shared() { s.on_other_gateway() } else { s.clone() };
            tokio::spawn(async move {
                let mut written = Vec::new();
                for number in 0..writes {
                    let key = format!("key{}", (writer + number) % 3);
                    let revision = s.set(key.as_bytes(), format!("{writer}-{number}").as_bytes()).await;
                    written.push((Bytes::from(key), revision));
                }
                written
            })
        })
        .collect();
    let mut all: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
    for task in tasks {
        for (key, revision) in task.await.unwrap() {
            all.entry(key).or_default().push(revision);
        }
    }
    for revisions in all.values_mut() {
        revisions.sort_unstable();
    }
    all
}

/// Reads changes until the watcher has the last revision of each key. Returns the revisions of each key, in the order of the changes.
async fn read_changes(watch: &mut Messages<WatchResponse>, last: &BTreeMap<Bytes, Vec<u64>>) -> BTreeMap<Bytes, Vec<u64>> {
    let mut seen: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
    while last.iter().any(|(key, revisions)| seen.get(key).and_then(|seen| seen.last()) != revisions.last()) {
        match next(watch).await.event {
            Some(Event::Stored(stored) | Event::Entry(stored)) => seen.entry(stored.key).or_default().push(stored.revision),
            Some(Event::CaughtUp(_)) => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    seen
}

fn check_changes(s: &Subject, seen: &BTreeMap<Bytes, Vec<u64>>, written: &BTreeMap<Bytes, Vec<u64>>) {
    if s.keeps_last_change_only() {
        for (key, revisions) in seen {
            assert!(revisions.is_sorted_by(|one, other| one < other), "{key:?}: {revisions:?}");
            assert!(revisions.iter().all(|revision| written[key].contains(revision)), "{key:?}");
        }
    } else {
        assert_eq!(seen, written);
    }
}

async fn concurrent_writers_lose_no_change(s: Subject) {
    let (mut watch, _) = s.watch_all().await;
    let writing = {
        let s = s.clone();
        tokio::spawn(async move { write_concurrently(&s, 6, 50).await })
    };
    let written = writing.await.unwrap();
    let seen = read_changes(&mut watch, &written).await;
    check_changes(&s, &seen, &written);
    silent(&mut watch).await;
}

async fn entries_and_changes_add_up_during_writes(s: Subject) {
    for number in 0..300 {
        s.set(format!("before{number:03}").as_bytes(), b"v").await;
    }
    let writing = {
        let s = s.clone();
        tokio::spawn(async move { write_concurrently(&s, 6, 40).await })
    };
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(s.watch(WatchRequest { prefix: "key".into(), ..WatchRequest::default() }).await);
        crate::support::sleep(5).await;
    }
    let written = writing.await.unwrap();
    for watch in &mut watches {
        let mut seen = read_changes(watch, &written).await;
        for (key, revisions) in &mut seen {
            // A change may repeat an entry.
            revisions.dedup();
            assert!(revisions.is_sorted_by(|one, other| one < other), "{key:?}: {revisions:?}");
            let first = written[key].iter().position(|revision| *revision == revisions[0]).expect("a revision that was written");
            assert!(s.keeps_last_change_only() || revisions[..] == written[key][first..], "{key:?}: {revisions:?} {:?}", written[key]);
        }
    }
}

async fn many_watchers_receive_all_changes(s: Subject) {
    let mut watches = Vec::new();
    for _ in 0..50 {
        watches.push(s.watch_all().await.0);
    }
    for number in 0..20 {
        s.set(format!("k{number}").as_bytes(), b"v").await;
    }
    for watch in &mut watches {
        assert_eq!(take(watch, 20).await, (0..20).map(|number| format!("stored k{number}=v")).collect::<Vec<_>>());
    }
}

async fn dropped_watches_leave_the_rest_working(s: Subject) {
    s.set(b"a", b"1").await;
    for round in 0..40 {
        let mut watch = s.watch(WatchRequest::default()).await;
        if round % 2 == 0 {
            next(&mut watch).await;
        }
    }
    let (mut watch, entries) = s.watch_all().await;
    assert_eq!(entries, ["entry a=1"]);
    let other = s.watch_all().await.0;
    s.set(b"a", b"2").await;
    drop(other);
    assert_eq!(take(&mut watch, 1).await, ["stored a=2"]);
}

async fn keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    let (mut watch, mut in_other, mut in_slot) = (s.watch_all().await.0, other.watch_all().await.0, slot.watch_all().await.0);
    s.set(b"a", b"1").await;
    other.set(b"b", b"2").await;
    slot.set(b"c", b"3").await;
    assert_eq!(take(&mut watch, 1).await, ["stored a=1"]);
    assert_eq!(take(&mut in_other, 1).await, ["stored b=2"]);
    assert_eq!(take(&mut in_slot, 1).await, ["stored c=3"]);
    silent(&mut watch).await;
}

async fn bad_requests_are_refused(s: Subject) {
    let watch = s.keyvalue_watch();
    let long: Bytes = vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap() + 1].into();
    for cursor in ["no cursor!", "\u{e4}", "*", "AAAAAAAAAAE"] {
        let request = WatchRequest { cursor: cursor.to_owned(), ..Default::default() };
        invalid(stream_refusal(watch.watch(&s.context, request).await).await, "INVALID_CURSOR", "cursor");
    }
    let request = WatchRequest { key: long.clone(), ..Default::default() };
    invalid(stream_refusal(watch.watch(&s.context, request).await).await, "INVALID_KEY", "key");
    let request = WatchRequest { prefix: long, ..Default::default() };
    invalid(stream_refusal(watch.watch(&s.context, request).await).await, "INVALID_KEY", "prefix");
    let request = WatchRequest { key: "a".into(), prefix: "a".into(), ..Default::default() };
    refused(stream_refusal(watch.watch(&s.context, request).await).await, Code::InvalidArgument, "INVALID_FIELD");
}
