//! `keyvalue_cas`

use prism::proto::models::keyvalue::v1::{
    CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse,
};

use super::copy;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis},
};

suite! { "keyvalue_cas":
    swaps_at_the_expected_revision;
    creates_only_when_absent;
    an_absent_key_has_revision_zero;
    a_deleted_key_can_be_created_again;
    deletes_at_the_expected_revision;
    concurrent_swaps_lose_no_update;
    one_creator_wins;
    one_deleter_wins;
    empty_values;
    bad_requests_are_refused;
}

impl Subject {
    async fn swap(&self, key: &[u8], expected_revision: u64, value: &[u8]) -> CompareAndSwapResponse {
        let request = CompareAndSwapRequest { key: copy(key), expected_revision, value: copy(value), ttl: None, flags: 0 };
        self.keyvalue_cas().compare_and_swap(&self.context, request).await.unwrap()
    }

    async fn compare_and_delete(&self, key: &[u8], expected_revision: u64) -> CompareAndDeleteResponse {
        let request = CompareAndDeleteRequest { key: copy(key), expected_revision };
        self.keyvalue_cas().compare_and_delete(&self.context, request).await.unwrap()
    }
}

async fn swaps_at_the_expected_revision(s: Subject) {
    let first = s.set(b"key", b"1").await;
    let answer = s.swap(b"key", first, b"2").await;
    assert!(answer.swapped && answer.revision > first, "{answer:?}");
    let entry = s.entry(b"key").await.unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"2"[..], answer.revision));
    for stale in [first, answer.revision + 1, u64::MAX] {
        let refused = s.swap(b"key", stale, b"3").await;
        assert_eq!((refused.swapped, refused.revision), (false, answer.revision), "expected {stale}");
    }
    assert_eq!(s.value(b"key").await.as_deref(), Some("2"));
}

async fn creates_only_when_absent(s: Subject) {
    let created = s.swap(b"key", 0, b"1").await;
    assert!(created.swapped && created.revision > 0);
    let again = s.swap(b"key", 0, b"2").await;
    assert_eq!((again.swapped, again.revision), (false, created.revision));
    assert_eq!(s.value(b"key").await.as_deref(), Some("1"));
}

async fn an_absent_key_has_revision_zero(s: Subject) {
    let answer = s.swap(b"nothing", 7, b"1").await;
    assert_eq!((answer.swapped, answer.revision), (false, 0));
    let answer = s.compare_and_delete(b"nothing", 7).await;
    assert_eq!((answer.deleted, answer.revision), (false, 0));
    assert_eq!(s.entry(b"nothing").await, None);
}

async fn a_deleted_key_can_be_created_again(s: Subject) {
    let first = s.swap(b"key", 0, b"1").await.revision;
    assert!(s.delete(b"key").await.deleted);
    // A swap with an outdated revision must fail.
    assert!(!s.swap(b"key", first, b"2").await.swapped);
    let second = s.swap(b"key", 0, b"3").await;
    assert!(second.swapped && second.revision > first);
    assert!(!s.swap(b"key", first, b"4").await.swapped);
}

async fn deletes_at_the_expected_revision(s: Subject) {
    let first = s.set(b"key", b"1").await;
    let second = s.set(b"key", b"2").await;
    let refused = s.compare_and_delete(b"key", first).await;
    assert_eq!((refused.deleted, refused.revision), (false, second));
    assert!(s.exists(b"key").await);
    let answer = s.compare_and_delete(b"key", second).await;
    assert_eq!((answer.deleted, answer.revision), (true, second));
    assert!(!s.exists(b"key").await);
    let again = s.compare_and_delete(b"key", second).await;
    assert_eq!((again.deleted, again.revision), (false, 0));
}

/// Many tasks add one to a number by compare-and-swap. In the end, the number is the number of successful swaps.
async fn concurrent_swaps_lose_no_update(s: Subject) {
    const TASKS: u64 = 8;
    const SUCCESSES: u64 = 12;
    s.set(b"number", b"0").await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let (mut won, mut lost) = (0, 0_u64);
                while won < SUCCESSES {
                    let entry = s.entry(b"number").await.unwrap();
                    let number: u64 = String::from_utf8(entry.value.to_vec()).unwrap().parse().unwrap();
                    let answer = s.swap(b"number", entry.revision, (number + 1).to_string().as_bytes()).await;
                    if answer.swapped {
                        assert!(answer.revision > entry.revision);
                        won += 1;
                    } else {
                        assert!(answer.revision > entry.revision, "the swap failed without a concurrent write: {answer:?}");
                        lost += 1;
                    }
                }
                lost
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(s.value(b"number").await.unwrap(), (TASKS * SUCCESSES).to_string());
}

async fn one_creator_wins(s: Subject) {
    for round in 0..5 {
        let key = format!("key{round}").into_bytes();
        let tasks: Vec<_> = (0..10)
            .map(|task| {
                let (s, key) = (s.clone(), key.clone());
                tokio::spawn(async move { s.swap(&key, 0, format!("{task}").as_bytes()).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        let winner = answers.iter().position(|answer| answer.swapped).expect("somebody wins");
        assert_eq!(answers.iter().filter(|answer| answer.swapped).count(), 1);
        assert!(answers.iter().all(|answer| answer.revision == answers[winner].revision), "{answers:?}");
        assert_eq!(s.value(&key).await.unwrap(), winner.to_string());
    }
}

async fn one_deleter_wins(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move { s.compare_and_delete(b"key", revision).await.deleted })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn empty_values(s: Subject) {
    let created = s.swap(b"key", 0, b"").await;
    assert!(created.swapped);
    assert_eq!(s.value(b"key").await.as_deref(), Some(""));
    assert!(s.swap(b"key", created.revision, b"full").await.swapped);
}

async fn bad_requests_are_refused(s: Subject) {
    let cas = s.keyvalue_cas();
    let swap = |key: &[u8], ttl| CompareAndSwapRequest { key: copy(key), expected_revision: 0, value: copy(b"v"), ttl, flags: 0 };
    invalid(cas.compare_and_swap(&s.context, swap(b"", None)).await, "INVALID_KEY", "key");
    if s.slot.interfaces.keyvalue_ttl.is_some() {
        invalid(cas.compare_and_swap(&s.context, swap(b"key", Some(millis(0)))).await, "INVALID_TTL", "ttl");
    }
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let value = vec![0; usize::try_from(limit).unwrap() + 1];
        let swap = CompareAndSwapRequest { key: copy(b"key"), expected_revision: 0, value: value.into(), ttl: None, flags: 0 };
        invalid(cas.compare_and_swap(&s.context, swap).await, "VALUE_TOO_LARGE", "value");
    }
    assert_eq!(s.entry(b"key").await, None);
    let delete = |key: &[u8], expected_revision| CompareAndDeleteRequest { key: copy(key), expected_revision };
    invalid(cas.compare_and_delete(&s.context, delete(b"", 1)).await, "INVALID_KEY", "key");
    invalid(cas.compare_and_delete(&s.context, delete(b"key", 0)).await, "INVALID_FIELD", "expected_revision");
}
