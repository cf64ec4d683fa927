//! `set_random`

use std::collections::BTreeSet;

use bytes::Bytes;
use prism::proto::models::set::v1::{AddRequest, GetRandomMemberRequest, PopRandomMemberRequest};

use super::sorted;
use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "set_random":
    reads_distinct_members;
    reads_members_that_repeat;
    every_member_is_drawn;
    the_order_is_random;
    takes_members;
    an_absent_set_has_no_members;
    concurrent_pops_never_take_the_same_member;
    large_replies_are_bounded;
    bad_requests_are_refused;
}

impl Subject {
    async fn random_members(&self, limit: u32, allow_repeats: bool) -> Vec<Bytes> {
        let request = GetRandomMemberRequest { key: "set".into(), limit, allow_repeats };
        self.set_random().get_random_member(&self.context, request).await.unwrap().members
    }

    async fn pop_random(&self, limit: u32) -> Vec<Bytes> {
        let request = PopRandomMemberRequest { key: "set".into(), limit };
        self.set_random().pop_random_member(&self.context, request).await.unwrap().members
    }
}

async fn reads_distinct_members(s: Subject) {
    s.add_members("set", &["a", "b", "c"]).await;
    assert_eq!(s.random_members(0, false).await.len(), 1);
    assert_eq!(sorted(s.random_members(2, false).await).len(), 3);
    assert_eq!(sorted(s.random_members(3, false).await), "a b c");
    assert_eq!(sorted(s.random_members(1000, false).await), "a b c");
    assert_eq!(sorted(s.members("set").await), "a b c");
}

async fn reads_members_that_repeat(s: Subject) {
    s.add_members("set", &["a", "b"]).await;
    let drawn = s.random_members(100, true).await;
    assert_eq!(drawn.len(), 100);
    assert_eq!(sorted(drawn.into_iter().collect::<BTreeSet<_>>()), "a b");
    assert_eq!(s.random_members(0, true).await.len(), 1);
}

async fn every_member_is_drawn(s: Subject) {
    s.add_member_numbers("set", 0..50).await;
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        seen.extend(s.random_members(10, false).await);
    }
    assert_eq!(seen.len(), 50);
}

async fn the_order_is_random(s: Subject) {
    s.add_member_numbers("set", 0..20).await;
    let orders = [s.random_members(20, false).await, s.random_members(20, false).await, s.random_members(20, false).await];
    assert!(orders[0] != orders[1] || orders[1] != orders[2], "three times the same order");
}

async fn takes_members(s: Subject) {
    s.add_members("set", &["a", "b", "c", "d"]).await;
    let mut taken = s.pop_random(0).await;
    assert_eq!(taken.len(), 1);
    taken.extend(s.pop_random(2).await);
    assert_eq!(taken.len(), 3);
    taken.extend(s.members("set").await);
    assert_eq!(sorted(taken), "a b c d");
    assert_eq!(s.pop_random(1000).await.len(), 1);
    assert!(s.members("set").await.is_empty());
    assert_eq!(s.add_members("set", &["a"]).await, 1);
}

async fn an_absent_set_has_no_members(s: Subject) {
    assert!(s.random_members(5, false).await.is_empty());
    assert!(s.random_members(5, true).await.is_empty());
    assert!(s.pop_random(5).await.is_empty());
}

async fn concurrent_pops_never_take_the_same_member(s: Subject) {
    s.add_member_numbers("set", 0..400).await;
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..10 {
                    taken.extend(s.pop_random(1 + worker % 3).await);
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for worker in workers {
        taken.extend(worker.await.unwrap());
    }
    taken.extend(s.members("set").await);
    assert_eq!(taken.len(), 400);
    sorted(taken);
}

/// A reply has at least one member, and ends before it becomes too large.
async fn large_replies_are_bounded(s: Subject) {
    for number in 0..20_u8 {
        let members = vec![Bytes::from(vec![number; 1 << 20])];
        s.set_basic().add(&s.context, AddRequest { key: "set".into(), members }).await.unwrap();
    }
    assert!((1..=17).contains(&s.random_members(20, false).await.len()));
    assert!((1..=17).contains(&s.random_members(1000, true).await.len()));
    let mut taken = BTreeSet::new();
    while taken.len() < 20 {
        let members = s.pop_random(1000).await;
        assert!((1..=17).contains(&members.len()));
        taken.extend(members.iter().map(|member| member[0]));
    }
    assert!(s.pop_random(1).await.is_empty());
}

async fn bad_requests_are_refused(s: Subject) {
    let sets = s.set_random();
    invalid(sets.get_random_member(&s.context, GetRandomMemberRequest::default()).await, "INVALID_KEY", "key");
    invalid(sets.pop_random_member(&s.context, PopRandomMemberRequest::default()).await, "INVALID_KEY", "key");
    let request = GetRandomMemberRequest { key: "set".into(), limit: 1001, allow_repeats: true };
    invalid(sets.get_random_member(&s.context, request).await, "INVALID_FIELD", "limit");
    let request = PopRandomMemberRequest { key: "set".into(), limit: 1001 };
    invalid(sets.pop_random_member(&s.context, request).await, "INVALID_FIELD", "limit");
}
