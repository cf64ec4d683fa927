//! `stream_basic` and the other stream interfaces over two gateways.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use prism::proto::models::stream::v1::read_request::Start;

use super::{deliveries, delivery, numbers, payload, payloads, record};
use crate::{
    subject::Subject,
    suite::suite,
    support::{silent, sleep},
};

suite! { "stream_basic" shared:
    followers_on_other_gateways_wake_up;
    cursors_are_valid_on_other_gateways;
    offsets_are_shared;
    a_follower_misses_nothing_of_concurrent_writers;
    a_group_is_shared needs "stream_consumer_groups";
    another_gateway_takes_over needs "stream_consumer_groups";
}

async fn followers_on_other_gateways_wake_up(s: Subject) {
    let mut follower = s.on_other_gateway().follow("orders", None).await;
    silent(&mut follower).await;
    for number in 0..5 {
        let began = Instant::now();
        s.append("orders", &number.to_string()).await;
        assert_eq!(payload(&record(&mut follower).await), number.to_string());
        assert!(began.elapsed() < Duration::from_secs(5), "woke up after {:?}", began.elapsed());
    }
}

async fn cursors_are_valid_on_other_gateways(s: Subject) {
    s.append_many("orders", 5).await;
    let cursor = s.read("orders", None).await[2].cursor.clone();
    assert_eq!(payloads(&s.on_other_gateway().read("orders", Some(Start::Cursor(cursor))).await), ["3", "4"]);
}

async fn offsets_are_shared(s: Subject) {
    let other_gateway = s.on_other_gateway();
    let tasks: Vec<_> = [s.clone(), other_gateway.clone()].map(|s| tokio::spawn(async move { s.append_many("orders", 30).await })).into();
    let mut offsets = BTreeSet::new();
    for task in tasks {
        offsets.extend(task.await.unwrap());
    }
    assert_eq!(offsets.len(), 60);
    let read = other_gateway.read("orders", None).await;
    assert!(read.iter().map(|record| record.offset).eq(offsets));
    assert_eq!(s.latest("orders").await, other_gateway.latest("orders").await);
}

/// A record that becomes visible after one with a higher offset would be missed.
async fn a_follower_misses_nothing_of_concurrent_writers(s: Subject) {
    const EACH: usize = 40;
    let mut follower = s.follow("orders", None).await;
    let writers: Vec<_> = (0..6)
        .map(|number| {
            let s = if number % 2 == 0 { s.clone() } else { s.on_other_gateway() };
            tokio::spawn(async move { s.append_many("orders", EACH).await })
        })
        .collect();
    let mut read = Vec::new();
    for _ in 0..6 * EACH {
        read.push(record(&mut follower).await.offset);
    }
    let mut appended = BTreeSet::new();
    for writer in writers {
        appended.extend(writer.await.unwrap());
    }
    assert!(read.iter().copied().eq(appended), "records were missed, repeated or out of order");
}

async fn a_group_is_shared(s: Subject) {
    let other_gateway = s.on_other_gateway();
    assert!(s.create_group("orders", "billing", None).await);
    assert!(!other_gateway.create_group("orders", "billing", None).await);
    let mut members = [s.join("orders", "billing", "here").await, other_gateway.join("orders", "billing", "there").await];
    let mut got = Vec::new();
    for number in 0..20 {
        s.append("orders", &number.to_string()).await;
        let [local, remote] = &mut members;
        let (offset, payload, attempt) = tokio::select! {
            one = delivery(local) => one,
            one = delivery(remote) => one,
        };
        assert_eq!((payload.clone(), attempt), (number.to_string(), 1));
        // Any gateway may acknowledge a record.
        assert_eq!(other_gateway.ack("orders", "billing", &[offset]).await, 1);
        got.push(payload);
    }
    assert_eq!(got, numbers(0..20));
    let [local, remote] = &mut members;
    silent(local).await;
    silent(remote).await;
}

async fn another_gateway_takes_over(s: Subject) {
    let other_gateway = s.on_other_gateway();
    s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut local = s.join_with("orders", "billing", "here", 0, 3600).await;
    deliveries(&mut local, 3).await;
    let mut remote = other_gateway.join_with("orders", "billing", "there", 0, 3600).await;
    silent(&mut remote).await;
    sleep(50).await;
    drop(local);
    assert_eq!(deliveries(&mut remote, 3).await.into_iter().collect::<BTreeSet<_>>(), numbers(0..3).into_iter().collect());
}
