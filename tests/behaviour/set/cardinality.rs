//! `set_cardinality`

use bytes::Bytes;
use prism::proto::models::set::v1::{GetSizeRequest, IsMemberRequest};

use super::members;
use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "set_cardinality":
    counts_members;
    asks_for_many_members;
    an_absent_set_is_empty;
    bad_requests_are_refused;
}

impl Subject {
    async fn set_size(&self, key: &str) -> u64 {
        self.set_cardinality().get_size(&self.context, GetSizeRequest { key: key.to_owned().into() }).await.unwrap().size
    }

    async fn are_members(&self, key: &str, texts: &[&str]) -> Vec<bool> {
        let request = IsMemberRequest { key: key.to_owned().into(), members: members(texts) };
        self.set_cardinality().is_member(&self.context, request).await.unwrap().present
    }
}

async fn counts_members(s: Subject) {
    s.add_members("set", &["a", "b", ""]).await;
    assert_eq!(s.set_size("set").await, 3);
    s.add_member_numbers("set", 0..2500).await;
    assert_eq!(s.set_size("set").await, 2503);
    s.remove_members("set", &["a", "x"]).await;
    assert_eq!(s.set_size("set").await, 2502);
}

async fn asks_for_many_members(s: Subject) {
    s.add_members("set", &["a", "b", ""]).await;
    assert_eq!(s.are_members("set", &["a", "x", "", "a", "A"]).await, [true, false, true, true, false]);
    assert_eq!(s.are_members("set", &["a"; 1000]).await, [true; 1000]);
}

async fn an_absent_set_is_empty(s: Subject) {
    assert_eq!(s.set_size("none").await, 0);
    assert_eq!(s.are_members("none", &["a", ""]).await, [false, false]);
    s.add_members("set", &["a"]).await;
    s.remove_members("set", &["a"]).await;
    assert_eq!(s.set_size("set").await, 0);
}

async fn bad_requests_are_refused(s: Subject) {
    let sets = s.set_cardinality();
    invalid(sets.get_size(&s.context, GetSizeRequest::default()).await, "INVALID_KEY", "key");
    invalid(sets.is_member(&s.context, IsMemberRequest::default()).await, "INVALID_KEY", "key");
    for many in [0, 1001] {
        let request = IsMemberRequest { key: "set".into(), members: vec![Bytes::new(); many] };
        invalid(sets.is_member(&s.context, request).await, "BATCH_SIZE", "members");
    }
}
