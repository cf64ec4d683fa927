//! `keyvalue_batch`

use bytes::Bytes;
use prism::proto::models::keyvalue::v1::{BatchDeleteRequest, BatchGetRequest, BatchSetItem, BatchSetRequest};

use super::{STRANGE_KEYS, copy};
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis},
};

suite! { "keyvalue_batch":
    sets_gets_and_deletes_in_order;
    a_full_batch;
    batch_get_allows_repeated_keys;
    strange_keys;
    empty_and_too_large_batches_are_refused;
    writes_refuse_repeated_keys;
    one_invalid_item_refuses_the_batch;
    concurrent_batches;
}

fn item(key: &[u8], value: &[u8]) -> BatchSetItem {
    BatchSetItem { key: copy(key), value: copy(value), ttl: None, flags: 0 }
}

async fn sets_gets_and_deletes_in_order(s: Subject) {
    let batch = s.keyvalue_batch();
    s.set(b"b", b"old").await;
    let items = vec![item(b"c", b"3"), item(b"a", b""), item(b"b", b"2")];
    let set = batch.batch_set(&s.context, BatchSetRequest { items }).await.unwrap().results;
    assert_eq!(set.iter().map(|result| &result.key[..]).collect::<Vec<_>>(), [b"c", b"a", b"b"]);
    let keys = vec![copy(b"b"), copy(b"nothing"), copy(b"a"), copy(b"c")];
    let got = batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await.unwrap().results;
    assert_eq!(got.iter().map(|result| result.key.clone()).collect::<Vec<_>>(), keys);
    let values: Vec<Option<&[u8]>> = got.iter().map(|result| result.entry.as_ref().map(|entry| &entry.value[..])).collect();
    assert_eq!(values, [Some(&b"2"[..]), None, Some(b""), Some(b"3")]);
    for result in &set {
        let entry = got.iter().find(|got| got.key == result.key).unwrap().entry.as_ref().unwrap();
        assert_eq!((&entry.key, entry.revision), (&result.key, result.revision));
        assert!(result.revision > 0);
    }
    let deleted = batch.batch_delete(&s.context, BatchDeleteRequest { keys: keys.clone() }).await.unwrap().results;
    assert_eq!(deleted.iter().map(|result| result.key.clone()).collect::<Vec<_>>(), keys);
    assert_eq!(deleted.iter().map(|result| result.deleted).collect::<Vec<_>>(), [true, false, true, true]);
    assert!(!s.exists(b"a").await && !s.exists(b"b").await && !s.exists(b"c").await);
}

async fn a_full_batch(s: Subject) {
    let batch = s.keyvalue_batch();
    let keys: Vec<Bytes> = (0..1000).map(|number| format!("key{number:04}").into()).collect();
    let items = keys.iter().map(|key| item(key, key)).collect();
    let set = batch.batch_set(&s.context, BatchSetRequest { items }).await.unwrap().results;
    assert_eq!(set.len(), 1000);
    let got = batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await.unwrap().results;
    assert!(got.iter().zip(&keys).all(|(result, key)| result.entry.as_ref().is_some_and(|entry| entry.value == *key)));
    let deleted = batch.batch_delete(&s.context, BatchDeleteRequest { keys }).await.unwrap().results;
    assert!(deleted.len() == 1000 && deleted.iter().all(|result| result.deleted));
}

async fn batch_get_allows_repeated_keys(s: Subject) {
    s.set(b"a", b"1").await;
    let keys = vec![copy(b"a"), copy(b"b"), copy(b"a"), copy(b"b")];
    let got = s.keyvalue_batch().batch_get(&s.context, BatchGetRequest { keys }).await.unwrap().results;
    assert_eq!(got.iter().map(|result| result.entry.is_some()).collect::<Vec<_>>(), [true, false, true, false]);
}

async fn strange_keys(s: Subject) {
    let batch = s.keyvalue_batch();
    let items = STRANGE_KEYS.iter().map(|key| item(key, key)).collect();
    batch.batch_set(&s.context, BatchSetRequest { items }).await.unwrap();
    let keys: Vec<Bytes> = STRANGE_KEYS.iter().map(|key| copy(key)).collect();
    let got = batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await.unwrap().results;
    for (result, key) in got.iter().zip(&keys) {
        assert_eq!(result.entry.as_ref().map(|entry| (&entry.key, &entry.value)), Some((key, key)));
    }
}

async fn empty_and_too_large_batches_are_refused(s: Subject) {
    let batch = s.keyvalue_batch();
    let most = s.limits().max_batch_items;
    for count in [0, most + 1] {
        let keys: Vec<Bytes> = (0..count).map(|number| format!("{number}").into()).collect();
        let items = keys.iter().map(|key| item(key, b"v")).collect();
        invalid(batch.batch_set(&s.context, BatchSetRequest { items }).await, "BATCH_SIZE", "items");
        invalid(batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await, "BATCH_SIZE", "keys");
        invalid(batch.batch_delete(&s.context, BatchDeleteRequest { keys }).await, "BATCH_SIZE", "keys");
    }
    assert!(!s.exists(b"0").await);
}

async fn writes_refuse_repeated_keys(s: Subject) {
    let batch = s.keyvalue_batch();
    let items = vec![item(b"a", b"1"), item(b"b", b"2"), item(b"a", b"3")];
    invalid(batch.batch_set(&s.context, BatchSetRequest { items }).await, "DUPLICATE_KEY", "items[2].key");
    assert!(!s.exists(b"a").await && !s.exists(b"b").await, "a refused batch wrote something");
    s.set(b"a", b"stays").await;
    let keys = vec![copy(b"a"), copy(b"a")];
    invalid(batch.batch_delete(&s.context, BatchDeleteRequest { keys }).await, "DUPLICATE_KEY", "keys[1]");
    assert!(s.exists(b"a").await);
}

async fn one_invalid_item_refuses_the_batch(s: Subject) {
    let batch = s.keyvalue_batch();
    s.set(b"good", b"old").await;
    let mut bad = vec![("INVALID_KEY", "items[1].key", item(b"", b"v"))];
    if s.slot.interfaces.keyvalue_ttl.is_some() {
        bad.push(("INVALID_TTL", "items[1].ttl", BatchSetItem { ttl: Some(millis(0)), ..item(b"bad", b"v") }));
    }
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        bad.push(("VALUE_TOO_LARGE", "items[1].value", item(b"bad", &vec![0; usize::try_from(limit).unwrap() + 1])));
    }
    for (reason, field, bad) in bad {
        let items = vec![item(b"good", b"new"), bad, item(b"more", b"new")];
        invalid(batch.batch_set(&s.context, BatchSetRequest { items }).await, reason, field);
    }
    let keys = vec![copy(b"good"), copy(b"")];
    invalid(batch.batch_get(&s.context, BatchGetRequest { keys: keys.clone() }).await, "INVALID_KEY", "keys[1]");
    invalid(batch.batch_delete(&s.context, BatchDeleteRequest { keys }).await, "INVALID_KEY", "keys[1]");
    assert_eq!(s.value(b"good").await.as_deref(), Some("old"));
    assert!(!s.exists(b"more").await);
}

async fn concurrent_batches(s: Subject) {
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                let keys: Vec<Bytes> = (0..50).map(|number| format!("key{number}").into()).collect();
                let value = format!("{task}");
                let items = keys.iter().map(|key| item(key, value.as_bytes())).collect();
                s.keyvalue_batch().batch_set(&s.context, BatchSetRequest { items }).await.unwrap();
                let got = s.keyvalue_batch().batch_get(&s.context, BatchGetRequest { keys }).await.unwrap().results;
                assert!(got.iter().all(|result| result.entry.is_some()));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
