//! `set_operations`

use bytes::Bytes;
use prism::{
    call::Error,
    proto::models::set::v1::{
        DifferenceRequest, IntersectionRequest, UnionRequest, difference_response, intersection_response, union_response,
    },
};

use super::{members, sorted};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, refusal},
};

suite! { "set_operations":
    unites;
    intersects;
    subtracts;
    absent_sets_are_empty;
    a_set_that_is_given_twice;
    results_are_stored;
    the_destination_may_be_a_source;
    an_empty_result_removes_the_destination;
    a_limit_ends_the_stream;
    a_large_result_is_of_one_instant;
    large_members;
    bad_requests_are_refused;
}

/// What an operation is called with: keys, destination, limit.
type Input<'a> = (&'a [&'a str], Option<&'a str>, u32);

/// The members of a result, or the size that was stored.
#[derive(Debug, PartialEq)]
enum Outcome {
    Members(String),
    Stored(u64),
}

/// One function for each operation, because each has messages of its own.
macro_rules! operation {
    ($name:ident: $rpc:ident, $request:ident, $response:ident) => {
        async fn $name(&self, (keys, destination, limit): Input<'_>) -> Result<Outcome, Error> {
            let destination = destination.map(|key| Bytes::from(key.to_owned()));
            let request = $request { keys: members(keys), destination, limit };
            let messages = match self.set_operations().$rpc(&self.context, request.clone()).await {
                Ok(messages) if request.limit == u32::MAX => return Err(refusal(Ok(messages)).await),
                other => all(other?).await,
            };
            let mut found = Vec::new();
            for message in messages {
                match message.outcome.expect("an outcome") {
                    $response::Outcome::Member(member) => found.push(member),
                    $response::Outcome::StoredSize(size) => return Ok(Outcome::Stored(size)),
                }
            }
            Ok(Outcome::Members(sorted(found)))
        }
    };
}

impl Subject {
    operation!(set_union: union, UnionRequest, union_response);
    operation!(set_intersection: intersection, IntersectionRequest, intersection_response);
    operation!(set_difference: difference, DifferenceRequest, difference_response);

    async fn three_sets(&self) {
        self.add_members("a", &["1", "2", "3", ""]).await;
        self.add_members("b", &["2", "3", "4"]).await;
        self.add_members("c", &["3", "5"]).await;
    }
}

fn members_outcome(text: &str) -> Outcome {
    Outcome::Members(text.to_owned())
}

async fn unites(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_union((&["a", "b", "c"], None, 0)).await.unwrap(), members_outcome(" 1 2 3 4 5"));
    assert_eq!(s.set_union((&["c"], None, 0)).await.unwrap(), members_outcome("3 5"));
}

async fn intersects(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_intersection((&["a", "b"], None, 0)).await.unwrap(), members_outcome("2 3"));
    assert_eq!(s.set_intersection((&["a", "b", "c"], None, 0)).await.unwrap(), members_outcome("3"));
    assert_eq!(s.set_intersection((&["b"], None, 0)).await.unwrap(), members_outcome("2 3 4"));
}

async fn subtracts(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_difference((&["a", "b"], None, 0)).await.unwrap(), members_outcome(" 1"));
    assert_eq!(s.set_difference((&["b", "a", "c"], None, 0)).await.unwrap(), members_outcome("4"));
    assert_eq!(s.set_difference((&["c"], None, 0)).await.unwrap(), members_outcome("3 5"));
}

async fn absent_sets_are_empty(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_union((&["none", "c"], None, 0)).await.unwrap(), members_outcome("3 5"));
    assert_eq!(s.set_union((&["none", "neither"], None, 0)).await.unwrap(), members_outcome(""));
    assert_eq!(s.set_intersection((&["c", "none"], None, 0)).await.unwrap(), members_outcome(""));
    assert_eq!(s.set_difference((&["none", "c"], None, 0)).await.unwrap(), members_outcome(""));
    assert_eq!(s.set_difference((&["c", "none"], None, 0)).await.unwrap(), members_outcome("3 5"));
}

async fn a_set_that_is_given_twice(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_union((&["c", "c"], None, 0)).await.unwrap(), members_outcome("3 5"));
    assert_eq!(s.set_intersection((&["c", "a", "c"], None, 0)).await.unwrap(), members_outcome("3"));
    assert_eq!(s.set_difference((&["a", "c", "a"], None, 0)).await.unwrap(), members_outcome(""));
    assert_eq!(s.set_union((&["c"; 100], None, 0)).await.unwrap(), members_outcome("3 5"));
}

async fn results_are_stored(s: Subject) {
    s.three_sets().await;
    s.add_members("to", &["old"]).await;
    assert_eq!(s.set_union((&["a", "b"], Some("to"), 0)).await.unwrap(), Outcome::Stored(5));
    assert_eq!(sorted(s.members("to").await), " 1 2 3 4");
    assert_eq!(s.set_intersection((&["a", "b"], Some("to"), 0)).await.unwrap(), Outcome::Stored(2));
    assert_eq!(sorted(s.members("to").await), "2 3");
    assert_eq!(s.set_difference((&["b", "c"], Some("new"), 0)).await.unwrap(), Outcome::Stored(2));
    assert_eq!(sorted(s.members("new").await), "2 4");
    // A stored result is a set like any other, and the sources are as they were.
    assert_eq!(s.add_members("new", &["2", "6"]).await, 1);
    assert_eq!(sorted(s.members("b").await), "2 3 4");
}

async fn the_destination_may_be_a_source(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_union((&["a", "b"], Some("a"), 0)).await.unwrap(), Outcome::Stored(5));
    assert_eq!(s.set_difference((&["a", "c"], Some("c"), 0)).await.unwrap(), Outcome::Stored(4));
    assert_eq!(sorted(s.members("c").await), " 1 2 4");
    assert_eq!(s.set_intersection((&["c", "b"], Some("b"), 0)).await.unwrap(), Outcome::Stored(2));
    assert_eq!(sorted(s.members("b").await), "2 4");
}

async fn an_empty_result_removes_the_destination(s: Subject) {
    s.three_sets().await;
    assert_eq!(s.set_intersection((&["a", "none"], Some("b"), 0)).await.unwrap(), Outcome::Stored(0));
    assert!(s.members("b").await.is_empty());
    assert_eq!(s.set_difference((&["a", "a"], Some("a"), 0)).await.unwrap(), Outcome::Stored(0));
    assert_eq!(s.set_union((&["a", "b"], Some("none"), 0)).await.unwrap(), Outcome::Stored(0));
    assert_eq!(s.set_union((&["a", "b", "none"], None, 0)).await.unwrap(), members_outcome(""));
}

async fn a_limit_ends_the_stream(s: Subject) {
    s.add_member_numbers("a", 0..50).await;
    s.add_member_numbers("b", 40..90).await;
    let count = |outcome: Outcome| match outcome {
        Outcome::Members(text) => text.split_whitespace().count(),
        Outcome::Stored(_) => 0,
    };
    assert_eq!(count(s.set_union((&["a", "b"], None, 7)).await.unwrap()), 7);
    assert_eq!(count(s.set_union((&["a", "b"], None, 1000)).await.unwrap()), 90);
    assert_eq!(count(s.set_intersection((&["a", "b"], None, 3)).await.unwrap()), 3);
    assert_eq!(count(s.set_difference((&["a", "b"], None, 39)).await.unwrap()), 39);
}

/// Writes during the stream change nothing in it.
async fn a_large_result_is_of_one_instant(s: Subject) {
    s.add_member_numbers("a", 0..2000).await;
    s.add_member_numbers("b", 1500..4000).await;
    let request = UnionRequest { keys: members(&["a", "b"]), ..Default::default() };
    let mut stream = s.set_operations().union(&s.context, request).await.unwrap();
    let first = next(&mut stream).await;
    assert_eq!(s.set_difference((&["a", "a"], Some("a"), 0)).await.unwrap(), Outcome::Stored(0));
    s.add_member_numbers("b", 5000..7000).await;
    let mut found = Vec::new();
    for message in [first].into_iter().chain(all(stream).await) {
        let Some(union_response::Outcome::Member(member)) = message.outcome else { panic!("not a member") };
        found.push(member);
    }
    let expected: Vec<Bytes> = (0..4000).map(|number| Bytes::from(format!("m{number}"))).collect();
    assert!(sorted(found) == sorted(expected), "other members than at the start");
}

async fn large_members(s: Subject) {
    for number in 0..6_u8 {
        let key = if number < 4 { "a" } else { "b" };
        let request = prism::proto::models::set::v1::AddRequest { key: key.into(), members: vec![Bytes::from(vec![number; 1 << 20])] };
        s.set_basic().add(&s.context, request).await.unwrap();
    }
    let request = UnionRequest { keys: members(&["a", "b"]), ..Default::default() };
    let messages = all(s.set_operations().union(&s.context, request).await.unwrap()).await;
    assert_eq!(messages.len(), 6);
}

async fn bad_requests_are_refused(s: Subject) {
    s.three_sets().await;
    let many = vec!["a"; 101];
    let long = "k".repeat(usize::try_from(s.limits().max_key_bytes).unwrap() + 1);
    // The limit u32::MAX stands for a call that fails.
    for (input, reason, field) in [
        ((&[][..], None, u32::MAX), "BATCH_SIZE", "keys"),
        ((&many[..], None, u32::MAX), "BATCH_SIZE", "keys"),
        ((&["a", ""][..], None, u32::MAX), "INVALID_KEY", "keys[1]"),
        ((&[long.as_str()][..], None, u32::MAX), "INVALID_KEY", "keys[0]"),
        ((&["a"][..], Some(""), u32::MAX), "INVALID_KEY", "destination"),
        ((&["a"][..], Some("b"), u32::MAX), "INVALID_FIELD", "limit"),
    ] {
        invalid(s.set_union(input).await, reason, field);
        invalid(s.set_intersection(input).await, reason, field);
        invalid(s.set_difference(input).await, reason, field);
    }
    assert_eq!(sorted(s.members("b").await), "2 3 4");
}
