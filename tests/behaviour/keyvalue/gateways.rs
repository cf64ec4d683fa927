//! `keyvalue_basic` and the other key-value interfaces over two gateways.

use prism::{
    call::Code,
    proto::models::keyvalue::v1::{
        BeginTransactionRequest, CommitRequest, CompareAndSwapRequest, GetInTransactionRequest, SetInTransactionRequest,
    },
};

use super::copy;
use crate::{
    subject::Subject,
    suite::suite,
    support::{millis, refused, sleep},
};

suite! { "keyvalue_basic" shared:
    gateways_see_each_others_writes;
    gateways_share_revisions;
    concurrent_swaps_over_gateways_lose_no_update needs "keyvalue_cas";
    gateways_agree_on_expiration needs "keyvalue_ttl";
    gateways_detect_conflicts needs "keyvalue_transactional";
}

async fn gateways_see_each_others_writes(s: Subject) {
    let remote = s.on_other_gateway();
    for round in 0..20 {
        let value = round.to_string();
        let revision = s.set(b"key", value.as_bytes()).await;
        let entry = remote.entry(b"key").await.unwrap();
        assert_eq!((&entry.value[..], entry.revision), (value.as_bytes(), revision));
        assert!(remote.delete(b"key").await.deleted);
        assert_eq!(s.entry(b"key").await, None);
    }
}

async fn gateways_share_revisions(s: Subject) {
    let remote = s.on_other_gateway();
    let mut last = 0;
    for round in 0..20 {
        let writer = if round % 2 == 0 { &s } else { &remote };
        let revision = writer.set(b"key", b"value").await;
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
}

async fn concurrent_swaps_over_gateways_lose_no_update(s: Subject) {
    s.set(b"number", b"0").await;
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let s = if task % 2 == 0 { s.clone() } else { s.on_other_gateway() };
            tokio::spawn(async move {
                let mut won = 0;
                while won < 8 {
                    let entry = s.entry(b"number").await.unwrap();
                    let number: u64 = String::from_utf8(entry.value.to_vec()).unwrap().parse().unwrap();
                    let value = (number + 1).to_string().into();
                    let request =
                        CompareAndSwapRequest { key: copy(b"number"), expected_revision: entry.revision, value, ttl: None, flags: 0 };
                    won += u64::from(s.keyvalue_cas().compare_and_swap(&s.context, request).await.unwrap().swapped);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(s.on_other_gateway().value(b"number").await.as_deref(), Some("48"));
}

async fn gateways_agree_on_expiration(s: Subject) {
    let remote = s.on_other_gateway();
    s.set_with(b"key", b"value", Some(millis(60))).await;
    sleep(90).await;
    assert_eq!(remote.entry(b"key").await, None);
    assert!(!remote.delete(b"key").await.deleted);
}

async fn gateways_detect_conflicts(s: Subject) {
    let remote = s.on_other_gateway();
    remote.set(b"read", b"1").await;
    let transactional = s.keyvalue_transactional();
    let begun = transactional.begin_transaction(&s.context, BeginTransactionRequest { timeout: None }).await.unwrap();
    let transaction = begun.transaction;
    let get = GetInTransactionRequest { transaction: transaction.clone(), key: copy(b"read") };
    transactional.get_in_transaction(&s.context, get).await.unwrap();
    let set =
        SetInTransactionRequest { transaction: transaction.clone(), key: copy(b"written"), value: copy(b"never"), ttl: None, flags: 0 };
    transactional.set_in_transaction(&s.context, set).await.unwrap();
    remote.set(b"read", b"2").await;
    let answer = transactional.commit(&s.context, CommitRequest { transaction }).await;
    refused(answer, Code::Aborted, "TRANSACTION_CONFLICT");
    assert_eq!(remote.entry(b"written").await, None);
}
