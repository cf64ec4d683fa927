//! `keyvalue_basic`

use std::time::Duration;

use prism::{
    call::Code,
    proto::models::keyvalue::v1::{DeleteRequest, ExistsRequest, GetRequest, SetRequest},
};

use super::{STRANGE_KEYS, copy};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis},
};

suite! { "keyvalue_basic":
    stores_and_reads;
    an_absent_key_is_not_an_error;
    set_replaces;
    deletes;
    revisions_increase_across_deletion;
    an_empty_value_is_stored;
    a_value_of_one_mebibyte;
    strange_keys_and_values;
    the_longest_key;
    bad_keys_are_refused;
    a_value_that_is_too_large_is_refused;
    bad_times_to_live_are_refused;
    a_time_to_live_needs_the_interface;
    keyspaces_are_isolated;
    a_keyspace_that_is_requested_again_has_its_data;
    concurrent_writes_get_different_revisions;
    a_dropped_call_leaves_the_rest_working;
    a_deadline_that_has_passed;
    errors_name_backend_slot_and_operation;
}

async fn stores_and_reads(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    assert!(revision > 0);
    let entry = s.entry(b"key").await.expect("the key exists");
    assert_eq!((&entry.key[..], &entry.value[..], entry.revision), (&b"key"[..], &b"value"[..], revision));
    assert_eq!(entry.expire_time, None);
    assert!(s.exists(b"key").await);
}

async fn an_absent_key_is_not_an_error(s: Subject) {
    assert_eq!(s.entry(b"nothing").await, None);
    assert!(!s.exists(b"nothing").await);
    let answer = s.delete(b"nothing").await;
    assert_eq!((answer.deleted, answer.previous_revision), (false, None));
}

async fn set_replaces(s: Subject) {
    let first = s.set(b"key", b"a longer value than the next").await;
    let second = s.set(b"key", b"short").await;
    assert!(second > first);
    assert_eq!(s.value(b"key").await.as_deref(), Some("short"));
    // Writing the same value again increases the revision.
    assert!(s.set(b"key", b"short").await > second);
}

async fn deletes(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    s.set(b"other", b"stays").await;
    let answer = s.delete(b"key").await;
    assert_eq!((answer.deleted, answer.previous_revision), (true, Some(revision)));
    assert_eq!(s.entry(b"key").await, None);
    assert!(!s.exists(b"key").await);
    let again = s.delete(b"key").await;
    assert_eq!((again.deleted, again.previous_revision), (false, None));
    assert_eq!(s.value(b"other").await.as_deref(), Some("stays"));
}

async fn revisions_increase_across_deletion(s: Subject) {
    let mut last = 0;
    for round in 0..5 {
        for key in [&b"a"[..], b"b"] {
            let revision = s.set(key, format!("{round}").as_bytes()).await;
            assert!(revision > last, "{revision} after {last}");
            assert_eq!(s.entry(key).await.unwrap().revision, revision);
            last = revision;
        }
        s.delete(b"a").await;
    }
}

async fn an_empty_value_is_stored(s: Subject) {
    s.set(b"key", b"").await;
    assert_eq!(s.value(b"key").await.as_deref(), Some(""));
    assert!(s.exists(b"key").await);
    assert!(s.delete(b"key").await.deleted);
}

async fn a_value_of_one_mebibyte(s: Subject) {
    let value: Vec<u8> = (0..1_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    s.set(b"key", &value).await;
    assert!(s.entry(b"key").await.unwrap().value == value, "another value came back");
}

async fn strange_keys_and_values(s: Subject) {
    for key in STRANGE_KEYS {
        s.set(key, key).await;
    }
    for key in STRANGE_KEYS {
        let entry = s.entry(key).await.unwrap_or_else(|| panic!("{key:?} is gone"));
        assert_eq!((&entry.key[..], &entry.value[..]), (*key, *key));
    }
    for (index, key) in STRANGE_KEYS.iter().enumerate() {
        assert!(s.delete(key).await.deleted, "{key:?}");
        for (other, key) in STRANGE_KEYS.iter().enumerate() {
            assert_eq!(s.exists(key).await, other > index, "{key:?}");
        }
    }
}

async fn the_longest_key(s: Subject) {
    let longest = usize::try_from(s.limits().max_key_bytes).unwrap().min(1024);
    let (key, other) = (vec![0xab; longest], [vec![0xab; longest - 1], vec![0xac]].concat());
    s.set(&key, b"1").await;
    s.set(&other, b"2").await;
    assert_eq!(s.value(&key).await.as_deref(), Some("1"));
    assert_eq!(s.value(&other).await.as_deref(), Some("2"));
}

async fn bad_keys_are_refused(s: Subject) {
    let kv = s.keyvalue_basic();
    let too_long = vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap() + 1];
    for key in [copy(b""), too_long.into()] {
        let set = SetRequest { key: key.clone(), value: copy(b"v"), ttl: None, flags: 0 };
        invalid(kv.set(&s.context, set).await, "INVALID_KEY", "key");
        invalid(kv.get(&s.context, GetRequest { key: key.clone() }).await, "INVALID_KEY", "key");
        invalid(kv.delete(&s.context, DeleteRequest { key: key.clone() }).await, "INVALID_KEY", "key");
        invalid(kv.exists(&s.context, ExistsRequest { key }).await, "INVALID_KEY", "key");
    }
}

async fn a_value_that_is_too_large_is_refused(s: Subject) {
    let limit = s.limits().max_value_bytes;
    // If the limit is too large to allocate in a test, the case with one mebibyte is enough.
    if limit > 64 << 20 {
        return;
    }
    s.set(b"key", b"old").await;
    let value = vec![0; usize::try_from(limit).unwrap() + 1];
    let answer = s.keyvalue_basic().set(&s.context, SetRequest { key: copy(b"key"), value: value.into(), ttl: None, flags: 0 }).await;
    assert_eq!(answer.as_ref().unwrap_err().get("limit"), Some(limit.to_string().as_str()));
    invalid(answer, "VALUE_TOO_LARGE", "value");
    assert_eq!(s.value(b"key").await.as_deref(), Some("old"));
}

async fn bad_times_to_live_are_refused(s: Subject) {
    if s.slot.interfaces.keyvalue_ttl.is_none() {
        return;
    }
    for ttl in
        [millis(0), millis(-1), prost_types::Duration { seconds: -5, nanos: 0 }, prost_types::Duration { seconds: i64::MAX, nanos: 0 }]
    {
        let set = SetRequest { key: copy(b"key"), value: copy(b"v"), ttl: Some(ttl), flags: 0 };
        invalid(s.keyvalue_basic().set(&s.context, set).await, "INVALID_TTL", "ttl");
    }
    assert_eq!(s.entry(b"key").await, None);
}

async fn a_time_to_live_needs_the_interface(s: Subject) {
    let set = SetRequest { key: copy(b"key"), value: copy(b"v"), ttl: Some(millis(60_000)), flags: 0 };
    let answer = s.keyvalue_basic().set(&s.context, set).await;
    if s.slot.interfaces.keyvalue_ttl.is_some() {
        answer.expect("a driver with keyvalue_ttl takes a time to live");
    } else {
        crate::support::refused(answer, Code::Unimplemented, "CAPABILITY_UNAVAILABLE");
        assert_eq!(s.entry(b"key").await, None);
    }
}

async fn keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    s.set(b"key", b"mine").await;
    for stranger in [&other, &slot] {
        assert_eq!(stranger.entry(b"key").await, None);
        assert!(!stranger.delete(b"key").await.deleted);
    }
    other.set(b"key", b"theirs").await;
    slot.set(b"key", b"the other slot's").await;
    assert_eq!(s.value(b"key").await.as_deref(), Some("mine"));
    assert!(s.delete(b"key").await.deleted);
    assert_eq!(other.value(b"key").await.as_deref(), Some("theirs"));
    assert_eq!(slot.value(b"key").await.as_deref(), Some("the other slot's"));
}

async fn a_keyspace_that_is_requested_again_has_its_data(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    let again = s.reopened();
    assert_eq!(again.entry(b"key").await.unwrap().revision, revision);
    assert!(again.set(b"key", b"more").await > revision);
    assert_eq!(s.value(b"key").await.as_deref(), Some("more"));
}

async fn concurrent_writes_get_different_revisions(s: Subject) {
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for round in 0..10 {
                    revisions.push(s.set(b"shared", format!("{writer}/{round}").as_bytes()).await);
                }
                assert!(revisions.is_sorted(), "one writer's revisions: {revisions:?}");
                revisions
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for writer in writers {
        revisions.extend(writer.await.unwrap());
    }
    revisions.sort_unstable();
    let highest = *revisions.last().unwrap();
    revisions.dedup();
    assert_eq!(revisions.len(), 80, "two writes got the same revision");
    assert_eq!(s.entry(b"shared").await.unwrap().revision, highest);
}

async fn a_dropped_call_leaves_the_rest_working(s: Subject) {
    let kv = s.keyvalue_basic();
    for round in 0..50_u32 {
        let (key, value) = (copy(format!("key{round}").as_bytes()), vec![b'v'; 10_000]);
        let set = kv.set(&s.context, SetRequest { key: key.clone(), value: value.into(), ttl: None, flags: 0 });
        // The call is polled at most a few times, then dropped.
        let _ = tokio::time::timeout(Duration::from_micros(u64::from(round) * 20), set).await;
        // The write was applied completely or not at all.
        if let Some(entry) = s.entry(&key).await {
            assert_eq!(entry.value.len(), 10_000);
        }
    }
    s.set(b"key", b"value").await;
    assert_eq!(s.value(b"key").await.as_deref(), Some("value"));
}

async fn a_deadline_that_has_passed(s: Subject) {
    let context = s.with_timeout(Duration::ZERO);
    let answer = s.keyvalue_basic().set(&context, SetRequest { key: copy(b"key"), value: copy(b"v"), ttl: None, flags: 0 }).await;
    // A driver that responds without waiting may still succeed.
    if let Err(error) = answer {
        assert_eq!((error.code(), error.reason()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{error:?}");
    }
    // The first write may or may not be applied, now or later. Its connection must still work.
    s.set(b"another", b"later").await;
    assert_eq!(s.value(b"another").await.as_deref(), Some("later"));
}

async fn errors_name_backend_slot_and_operation(s: Subject) {
    let error = s.keyvalue_basic().get(&s.context, GetRequest::default()).await.unwrap_err();
    assert_eq!(error.get("backend"), Some("under-test"));
    assert_eq!(error.get("slot"), Some("data"));
    assert_eq!(error.get("operation"), Some("keyvalue_basic.Get"));
}
