//! `stream_consumer_groups`: delivery.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use prism::proto::models::stream::v1::create_consumer_group_request::Start;

use super::{deliveries, delivery, numbers};
use crate::{
    subject::Subject,
    suite::suite,
    support::{next, now, silent, sleep, timestamp},
};

suite! { "stream_consumer_groups":
    a_member_gets_all_in_order;
    members_get_new_records;
    each_record_goes_to_one_member;
    groups_are_independent;
    a_group_begins_at_its_start_position;
    a_group_begins_at_a_time;
    acknowledged_records_are_not_redelivered;
    records_are_redelivered_after_the_ack_timeout;
    records_are_redelivered_when_their_member_leaves;
    a_waiting_member_takes_over_when_another_leaves;
    delivery_pauses_at_max_in_flight;
    a_group_outlives_its_members;
    members_that_left_keep_no_records;
    members_acknowledge_every_record;
    keyspaces_are_isolated;
}

async fn a_member_gets_all_in_order(s: Subject) {
    s.append_many("orders", 20).await;
    assert!(s.create_group("orders", "billing", None).await);
    let mut member = s.join("orders", "billing", "one").await;
    for number in 0..20 {
        let answer = next(&mut member).await;
        let record = answer.record.unwrap();
        assert_eq!((super::payload(&record), answer.delivery_attempt, record.partition), (number.to_string(), 1, 0));
        assert!(!record.cursor.is_empty() && record.append_time.is_some());
    }
    silent(&mut member).await;
}

async fn members_get_new_records(s: Subject) {
    // The group is created before the stream has records.
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "").await;
    silent(&mut member).await;
    for number in 0..20 {
        let offset = s.append("orders", &number.to_string()).await;
        assert_eq!(delivery(&mut member).await, (offset, number.to_string(), 1));
        assert_eq!(s.ack("orders", "billing", &[offset]).await, 1);
    }
}

async fn each_record_goes_to_one_member(s: Subject) {
    const RECORDS: usize = 60;
    s.create_group("orders", "billing", None).await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut members = Vec::new();
    for name in ["one", "two", "three", "three"] {
        let mut member = s.join("orders", "billing", name).await;
        let sender = sender.clone();
        members.push(tokio::spawn(async move {
            loop {
                let (offset, payload, attempt) = delivery(&mut member).await;
                if sender.send((offset, payload, attempt)).is_err() {
                    return;
                }
            }
        }));
    }
    s.append_many("orders", RECORDS).await;
    let mut got = BTreeSet::new();
    for _ in 0..RECORDS {
        let (offset, payload, attempt) = tokio::time::timeout(crate::support::PATIENCE, receiver.recv()).await.unwrap().unwrap();
        assert_eq!(attempt, 1);
        assert!(got.insert(payload), "a record came twice");
        s.ack("orders", "billing", &[offset]).await;
    }
    assert_eq!(got, numbers(0..RECORDS).into_iter().collect());
    assert!(tokio::time::timeout(Duration::from_millis(100), receiver.recv()).await.is_err(), "a record came twice");
    for member in members {
        member.abort();
    }
}

async fn groups_are_independent(s: Subject) {
    s.append_many("orders", 5).await;
    for group in ["billing", "mail"] {
        assert!(s.create_group("orders", group, None).await);
        let mut member = s.join("orders", group, "one").await;
        assert_eq!(deliveries(&mut member, 5).await, numbers(0..5));
    }
    // Groups with the same name in different streams are different groups.
    assert!(s.create_group("others", "billing", None).await);
    s.append("others", "theirs").await;
    let mut member = s.join("others", "billing", "one").await;
    assert_eq!(deliveries(&mut member, 1).await, ["theirs"]);
}

async fn a_group_begins_at_its_start_position(s: Subject) {
    let offsets = s.append_many("orders", 5).await;
    for (group, start, expected) in [
        ("absent", None, 0..6),
        ("offset", Some(Start::FromOffset(offsets[2])), 2..6),
        ("behind", Some(Start::FromOffset(offsets[2] + 1)), 3..6),
        ("zero", Some(Start::FromOffset(0)), 0..6),
        ("latest", Some(Start::Latest(true)), 5..6),
        ("not-latest", Some(Start::Latest(false)), 0..6),
    ] {
        assert!(s.create_group("orders", group, start).await);
        // Creating an existing group changes nothing.
        assert!(!s.create_group("orders", group, Some(Start::Latest(true))).await);
        let mut member = s.join("orders", group, "").await;
        assert_eq!(deliveries(&mut member, 5_usize.saturating_sub(expected.start)).await, numbers(expected.start..5), "{group}");
        silent(&mut member).await;
    }
    s.append("orders", "5").await;
    let mut member = s.join("orders", "latest", "").await;
    assert_eq!(deliveries(&mut member, 1).await, ["5"]);
}

async fn a_group_begins_at_a_time(s: Subject) {
    s.append("orders", "old").await;
    sleep(30).await;
    let between = now();
    sleep(30).await;
    s.append("orders", "new").await;
    for (group, time, expected) in [("between", between, &["new"][..]), ("past", 0, &["old", "new"]), ("future", now() + 60_000, &[])] {
        assert!(s.create_group("orders", group, Some(Start::FromTime(timestamp(time)))).await);
        let mut member = s.join("orders", group, "").await;
        assert_eq!(deliveries(&mut member, expected.len()).await, expected, "{group}");
        silent(&mut member).await;
    }
}

async fn acknowledged_records_are_not_redelivered(s: Subject) {
    let offsets = s.append_many("orders", 6).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    deliveries(&mut member, 6).await;
    // Each record is acknowledged by itself; earlier records are not included.
    assert_eq!(s.ack("orders", "billing", &[offsets[1], offsets[3], offsets[5]]).await, 3);
    assert_eq!(s.ack("orders", "billing", &[offsets[3], offsets[4], offsets[5] + 1000]).await, 1);
    drop(member);
    let mut member = s.join("orders", "billing", "two").await;
    for expected in ["0", "2"] {
        let (_, payload, attempt) = delivery(&mut member).await;
        assert_eq!((payload.as_str(), attempt), (expected, 2));
    }
    silent(&mut member).await;
}

async fn records_are_redelivered_after_the_ack_timeout(s: Subject) {
    s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let began = Instant::now();
    let mut slow = s.join_with("orders", "billing", "slow", 0, 1).await;
    let first: Vec<_> = [delivery(&mut slow).await, delivery(&mut slow).await, delivery(&mut slow).await].into();
    s.ack("orders", "billing", &[first[1].0]).await;
    // Any member may get them, the same member too.
    let mut again = BTreeSet::new();
    while again.len() < 2 {
        let (_, payload, attempt) = delivery(&mut slow).await;
        assert!(attempt >= 2, "attempt {attempt} of {payload}");
        again.insert(payload);
    }
    assert!(began.elapsed() >= Duration::from_millis(990), "came again after {:?}", began.elapsed());
    assert_eq!(again, ["0".to_owned(), "2".to_owned()].into());
    // A late acknowledgement counts.
    let late = s.ack("orders", "billing", &[first[0].0, first[2].0]).await;
    assert_eq!(late, 2);
    sleep(1200).await;
    // A third delivery may already have been in progress. A fourth delivery is an error.
    let mut after = 0;
    while let Ok(item) = tokio::time::timeout(Duration::from_millis(100), next(&mut slow)).await {
        after += 1;
        assert!(after <= 2, "{item:?} came after it was acknowledged");
    }
}

async fn records_are_redelivered_when_their_member_leaves(s: Subject) {
    s.append_many("orders", 4).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join_with("orders", "billing", "one", 0, 3600).await;
    let first = delivery(&mut member).await;
    assert_eq!(deliveries(&mut member, 3).await, numbers(1..4));
    s.ack("orders", "billing", &[first.0]).await;
    drop(member);
    let mut other = s.join_with("orders", "billing", "two", 0, 3600).await;
    let mut again = BTreeSet::new();
    for _ in 0..3 {
        let (_, payload, attempt) = delivery(&mut other).await;
        assert_eq!(attempt, 2, "{payload}");
        again.insert(payload);
    }
    assert_eq!(again, numbers(1..4).into_iter().collect());
    silent(&mut other).await;
}

async fn a_waiting_member_takes_over_when_another_leaves(s: Subject) {
    s.create_group("orders", "billing", None).await;
    s.append_many("orders", 2).await;
    let mut first = s.join_with("orders", "billing", "one", 0, 3600).await;
    deliveries(&mut first, 2).await;
    let mut second = s.join_with("orders", "billing", "two", 0, 3600).await;
    silent(&mut second).await;
    drop(first);
    assert_eq!(deliveries(&mut second, 2).await.into_iter().collect::<BTreeSet<_>>(), numbers(0..2).into_iter().collect());
}

async fn delivery_pauses_at_max_in_flight(s: Subject) {
    s.append_many("orders", 8).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join_with("orders", "billing", "one", 3, 3600).await;
    let mut offsets = Vec::new();
    for _ in 0..3 {
        offsets.push(delivery(&mut member).await.0);
    }
    silent(&mut member).await;
    s.ack("orders", "billing", &[offsets[1]]).await;
    assert_eq!(delivery(&mut member).await.1, "3");
    silent(&mut member).await;
    // Other members continue.
    let mut other = s.join_with("orders", "billing", "two", 2, 3600).await;
    assert_eq!(deliveries(&mut other, 2).await, ["4", "5"]);
    silent(&mut other).await;
}

async fn a_group_outlives_its_members(s: Subject) {
    let offsets = s.append_many("orders", 3).await;
    s.create_group("orders", "billing", None).await;
    let mut member = s.join("orders", "billing", "one").await;
    deliveries(&mut member, 3).await;
    s.ack("orders", "billing", &offsets).await;
    drop(member);
    s.append("orders", "3").await;
    let mut member = s.reopened().join("orders", "billing", "two").await;
    let (_, payload, attempt) = delivery(&mut member).await;
    assert_eq!((payload.as_str(), attempt), ("3", 1));
    silent(&mut member).await;
}

async fn members_that_left_keep_no_records(s: Subject) {
    s.create_group("orders", "billing", None).await;
    for number in 0..40 {
        drop(s.join("orders", "billing", &format!("member{number}")).await);
    }
    let mut open = Vec::new();
    for number in 0..40 {
        open.push(s.join_with("orders", "billing", &format!("open{number}"), 1, 3600).await);
    }
    s.append("orders", "x").await;
    drop(open);
    let mut member = s.join("orders", "billing", "last").await;
    assert_eq!(delivery(&mut member).await.1, "x");
}

/// Members join, read, acknowledge some records, and leave. In the end, each record is acknowledged exactly once.
async fn members_acknowledge_every_record(s: Subject) {
    const RECORDS: usize = 50;
    s.create_group("orders", "billing", None).await;
    let workers: Vec<_> = (0..4_usize)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                let (mut done, mut turn) = (Vec::new(), worker);
                loop {
                    let mut member = s.join_with("orders", "billing", &format!("worker{worker}"), 5, 2).await;
                    loop {
                        let Ok((offset, payload, attempt)) = tokio::time::timeout(Duration::from_millis(4500), delivery(&mut member)).await
                        else {
                            return done;
                        };
                        turn += 1;
                        // Some records are forgotten, and sometimes a member leaves with unacknowledged ones.
                        if turn.is_multiple_of(11) && attempt == 1 {
                            continue;
                        }
                        if s.ack("orders", "billing", &[offset]).await == 1 {
                            done.push(payload);
                        }
                        if turn.is_multiple_of(13) {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    s.append_many("orders", RECORDS).await;
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    assert_eq!(done.len(), RECORDS, "an acknowledgement counted twice, or not at all");
    assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), RECORDS);
}

async fn keyspaces_are_isolated(s: Subject) {
    let other = s.other_keyspace();
    s.create_group("orders", "billing", None).await;
    assert!(other.create_group("orders", "billing", None).await);
    s.append("orders", "mine").await;
    let mut theirs = other.join("orders", "billing", "one").await;
    silent(&mut theirs).await;
}
