//! `keyvalue_ttl`

use std::time::{Duration, Instant};

use prism::proto::models::keyvalue::v1::{
    BatchDeleteRequest, BatchGetRequest, BatchSetItem, BatchSetRequest, CompareAndDeleteRequest, CompareAndSwapRequest, CountRequest,
    ExpireRequest, ExpireResponse, GetTtlRequest, PersistRequest, ScanKeysRequest,
};

use super::copy;
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, eventually, invalid, millis, now, seconds, since_1970, sleep},
};

suite! { "keyvalue_ttl":
    a_key_expires_at_its_time;
    scans_omit_expired_keys needs "keyvalue_scan";
    batches_omit_expired_keys needs "keyvalue_batch";
    an_expired_key_is_absent_in_comparisons needs "keyvalue_cas";
    an_expired_key_has_no_time_to_live;
    set_clears_an_earlier_expiration;
    swap_clears_an_earlier_expiration needs "keyvalue_cas";
    batch_set_clears_an_earlier_expiration needs "keyvalue_batch";
    expire_and_persist_keep_the_revision;
    expire_replaces;
    persist;
    all_calls_return_the_same_expiration;
    absent_keys;
    batch_items_have_their_own_ttl needs "keyvalue_batch";
    a_long_time_to_live;
    writes_around_the_expiration;
    revisions_increase_across_expiration;
    bad_requests_are_refused;
}

impl Subject {
    async fn expire(&self, key: &[u8], ttl: prost_types::Duration) -> ExpireResponse {
        self.keyvalue_ttl().expire(&self.context, ExpireRequest { key: copy(key), ttl: Some(ttl) }).await.unwrap()
    }

    /// Stores a key with a TTL of 60 ms, and waits until it has expired.
    async fn expired(&self, key: &[u8]) -> u64 {
        let revision = self.set_with(key, b"short-lived", Some(millis(60))).await;
        sleep(90).await;
        revision
    }
}

async fn a_key_expires_at_its_time(s: Subject) {
    let began = Instant::now();
    s.set_with(b"key", b"value", Some(millis(250))).await;
    let stored = Instant::now();
    let entry = s.entry(b"key").await;
    let exists = s.exists(b"key").await;
    if began.elapsed() < Duration::from_millis(250) {
        let entry = entry.expect("the key has not expired");
        assert_eq!(&entry.value[..], b"value");
        assert!(entry.expire_time.is_some());
        assert!(exists);
    }
    eventually("the key expires", || async { s.entry(b"key").await.is_none() }).await;
    // Drivers count whole milliseconds, so up to one millisecond may be missing.
    assert!(began.elapsed() >= Duration::from_millis(249), "it expired too early");
    sleep(260_u64.saturating_sub(u64::try_from(stored.elapsed().as_millis()).unwrap())).await;
    assert_eq!(s.entry(b"key").await, None);
    assert!(!s.exists(b"key").await);
    assert!(!s.delete(b"key").await.deleted, "an expired key was deleted once more");
}

async fn scans_omit_expired_keys(s: Subject) {
    s.set(b"a", b"stays").await;
    s.set(b"z", b"stays").await;
    s.expired(b"m").await;
    assert_eq!(s.keys().await, [&b"a"[..], b"z"]);
    let keys = s.keyvalue_scan().scan_keys(&s.context, ScanKeysRequest { limit: 2, ..Default::default() }).await.unwrap();
    let keys: Vec<_> = all(keys).await.into_iter().map(|answer| answer.key).collect();
    assert_eq!(keys, [&b"a"[..], b"z"], "an expired key counts for the limit");
    assert_eq!(s.count(CountRequest::default()).await, 2);
}

async fn batches_omit_expired_keys(s: Subject) {
    s.set(b"a", b"stays").await;
    s.expired(b"b").await;
    let batch = s.keyvalue_batch();
    let keys = vec![copy(b"a"), copy(b"b")];
    let got = batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await.unwrap().results;
    assert_eq!(got.iter().map(|result| result.entry.is_some()).collect::<Vec<_>>(), [true, false]);
    let deleted = batch.batch_delete(&s.context, BatchDeleteRequest { keys }).await.unwrap().results;
    assert_eq!(deleted.iter().map(|result| result.deleted).collect::<Vec<_>>(), [true, false]);
}

async fn an_expired_key_is_absent_in_comparisons(s: Subject) {
    let old = s.expired(b"key").await;
    let cas = s.keyvalue_cas();
    let swap = |expected_revision| CompareAndSwapRequest { key: copy(b"key"), expected_revision, value: copy(b"new"), ttl: None, flags: 0 };
    let answer = cas.compare_and_swap(&s.context, swap(old)).await.unwrap();
    assert_eq!((answer.swapped, answer.revision), (false, 0));
    let delete = CompareAndDeleteRequest { key: copy(b"key"), expected_revision: old };
    let answer = cas.compare_and_delete(&s.context, delete).await.unwrap();
    assert_eq!((answer.deleted, answer.revision), (false, 0));
    let answer = cas.compare_and_swap(&s.context, swap(0)).await.unwrap();
    assert!(answer.swapped && answer.revision > old, "{answer:?}");
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None, "the new key took over the old one's expiration");
}

async fn an_expired_key_has_no_time_to_live(s: Subject) {
    s.expired(b"key").await;
    assert!(!s.ttl(b"key").await.found);
    assert!(!s.expire(b"key", seconds(60)).await.found, "Expire brought an expired key back");
    let persist = s.keyvalue_ttl().persist(&s.context, PersistRequest { key: copy(b"key") }).await.unwrap();
    assert!(!persist.found && !persist.had_expiration);
    assert_eq!(s.entry(b"key").await, None);
}

async fn set_clears_an_earlier_expiration(s: Subject) {
    s.set_with(b"key", b"1", Some(millis(150))).await;
    s.set(b"key", b"2").await;
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None);
    assert_eq!(s.ttl(b"key").await.expire_time, None);
    sleep(200).await;
    assert_eq!(s.value(b"key").await.as_deref(), Some("2"));
}

async fn swap_clears_an_earlier_expiration(s: Subject) {
    let expected_revision = s.set_with(b"key", b"1", Some(seconds(100))).await;
    let swap = CompareAndSwapRequest { key: copy(b"key"), expected_revision, value: copy(b"2"), ttl: None, flags: 0 };
    assert!(s.keyvalue_cas().compare_and_swap(&s.context, swap).await.unwrap().swapped);
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None);
    let revision = s.entry(b"key").await.unwrap().revision;
    let swap =
        CompareAndSwapRequest { key: copy(b"key"), expected_revision: revision, value: copy(b"3"), ttl: Some(seconds(50)), flags: 0 };
    assert!(s.keyvalue_cas().compare_and_swap(&s.context, swap).await.unwrap().swapped);
    assert!(s.ttl(b"key").await.ttl.unwrap().seconds <= 50);
}

async fn batch_set_clears_an_earlier_expiration(s: Subject) {
    s.set_with(b"key", b"1", Some(seconds(100))).await;
    let items = vec![BatchSetItem { key: copy(b"key"), value: copy(b"2"), ttl: None, flags: 0 }];
    s.keyvalue_batch().batch_set(&s.context, BatchSetRequest { items }).await.unwrap();
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None);
}

async fn expire_and_persist_keep_the_revision(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    assert!(s.expire(b"key", seconds(60)).await.found);
    assert_eq!(s.entry(b"key").await.unwrap().revision, revision);
    s.keyvalue_ttl().persist(&s.context, PersistRequest { key: copy(b"key") }).await.unwrap();
    let entry = s.entry(b"key").await.unwrap();
    assert_eq!((entry.revision, &entry.value[..]), (revision, &b"value"[..]));
}

async fn expire_replaces(s: Subject) {
    s.set_with(b"key", b"value", Some(millis(1500))).await;
    assert!(s.expire(b"key", seconds(60)).await.found);
    sleep(1600).await;
    assert!(s.exists(b"key").await, "the earlier expiration still holds");
    assert!(s.expire(b"key", millis(50)).await.found);
    sleep(80).await;
    assert!(!s.exists(b"key").await);
}

async fn persist(s: Subject) {
    s.set_with(b"key", b"value", Some(millis(1500))).await;
    let request = || PersistRequest { key: copy(b"key") };
    let answer = s.keyvalue_ttl().persist(&s.context, request()).await.unwrap();
    assert!(answer.found && answer.had_expiration);
    let answer = s.keyvalue_ttl().persist(&s.context, request()).await.unwrap();
    assert!(answer.found && !answer.had_expiration);
    sleep(1600).await;
    let left = s.ttl(b"key").await;
    assert!(left.found && left.ttl.is_none() && left.expire_time.is_none());
}

async fn all_calls_return_the_same_expiration(s: Subject) {
    let before = now();
    s.set(b"key", b"value").await;
    let response = s.expire(b"key", seconds(100)).await;
    let after = now();
    let at = since_1970(response.expire_time.as_ref());
    assert!((before + 100_000..=after + 100_001).contains(&at), "{at} is not 100 s behind {before}..{after}");
    let left = s.ttl(b"key").await;
    assert!(left.found);
    assert_eq!(since_1970(left.expire_time.as_ref()), at);
    let ttl = left.ttl.unwrap();
    assert!(ttl.seconds * 1000 + i64::from(ttl.nanos) / 1_000_000 <= 100_000 && ttl.seconds >= 60, "{ttl:?}");
    assert_eq!(since_1970(s.entry(b"key").await.unwrap().expire_time.as_ref()), at);
}

async fn absent_keys(s: Subject) {
    let answer = s.expire(b"nothing", seconds(1)).await;
    assert_eq!((answer.found, answer.expire_time), (false, None));
    let left = s.ttl(b"nothing").await;
    assert_eq!((left.found, left.ttl, left.expire_time), (false, None, None));
    let answer = s.keyvalue_ttl().persist(&s.context, PersistRequest { key: copy(b"nothing") }).await.unwrap();
    assert_eq!((answer.found, answer.had_expiration), (false, false));
    assert_eq!(s.entry(b"nothing").await, None);
}

async fn batch_items_have_their_own_ttl(s: Subject) {
    let item = |key: &[u8], ttl| BatchSetItem { key: copy(key), value: copy(b"v"), ttl, flags: 0 };
    let items = vec![item(b"short", Some(millis(60))), item(b"long", Some(seconds(60))), item(b"ever", None)];
    s.keyvalue_batch().batch_set(&s.context, BatchSetRequest { items }).await.unwrap();
    sleep(90).await;
    assert!(!s.exists(b"short").await);
    assert!(s.ttl(b"long").await.ttl.is_some());
    assert!(s.ttl(b"ever").await.found && s.ttl(b"ever").await.ttl.is_none());
}

async fn a_long_time_to_live(s: Subject) {
    let ten_years = 10 * 365 * 86400;
    s.set_with(b"key", b"value", Some(seconds(ten_years))).await;
    assert!((ten_years - 60..=ten_years).contains(&s.ttl(b"key").await.ttl.unwrap().seconds));
}

/// Writes and reads a key around the moment of its expiration. A read returns one of the written values, and a value without expiration
/// stays.
async fn writes_around_the_expiration(s: Subject) {
    let tasks: Vec<_> = (0..6)
        .map(|task: u32| {
            let s = s.clone();
            tokio::spawn(async move {
                let key = format!("key{}", task % 3).into_bytes();
                for round in 0..15_u32 {
                    s.set_with(&key, b"short", Some(millis(5))).await;
                    sleep(u64::from((round + task) % 9)).await;
                    if let Some(entry) = s.entry(&key).await {
                        assert_eq!(&entry.value[..], b"short");
                        assert!(entry.expire_time.is_some());
                    }
                    s.expire(&key, millis(5)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for number in 0..3 {
        let key = format!("key{number}").into_bytes();
        s.set(&key, b"stays").await;
        sleep(20).await;
        assert_eq!(s.value(&key).await.as_deref(), Some("stays"));
    }
}

async fn revisions_increase_across_expiration(s: Subject) {
    let first = s.expired(b"key").await;
    assert!(s.set(b"key", b"again").await > first);
}

async fn bad_requests_are_refused(s: Subject) {
    let ttl = s.keyvalue_ttl();
    s.set(b"key", b"value").await;
    for bad in [None, Some(millis(0)), Some(seconds(-1)), Some(seconds(i64::MAX))] {
        let request = ExpireRequest { key: copy(b"key"), ttl: bad };
        invalid(ttl.expire(&s.context, request).await, "INVALID_TTL", "ttl");
    }
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None);
    let request = ExpireRequest { key: copy(b""), ttl: Some(seconds(1)) };
    invalid(ttl.expire(&s.context, request).await, "INVALID_KEY", "key");
    invalid(ttl.get_ttl(&s.context, GetTtlRequest { key: copy(b"") }).await, "INVALID_KEY", "key");
    invalid(ttl.persist(&s.context, PersistRequest { key: vec![0; 1 << 16].into() }).await, "INVALID_KEY", "key");
}
