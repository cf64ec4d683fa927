//! `sortedset_operations`

use bytes::Bytes;
use prism::{
    call::Error,
    proto::models::sortedset::v1::{
        IntersectionRequest, ScoreAggregation, ScoredMember, UnionRequest, WeightedSource, intersection_response, union_response,
    },
};

use super::entry_text;
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next},
};

suite! { "sortedset_operations":
    unites;
    intersects;
    weights_and_aggregations;
    scores_that_are_no_number_are_zero;
    absent_sources_are_empty;
    a_source_that_is_given_twice;
    results_are_stored needs "sortedset_range";
    the_destination_may_be_a_source needs "sortedset_range";
    an_empty_result_removes_the_destination needs "sortedset_range";
    a_limit_ends_the_stream;
    a_large_result_is_of_one_instant;
    bad_requests_are_refused;
}

/// A result as `member:score`, or the size that was stored as `=size`.
fn text(outcomes: impl IntoIterator<Item = Result<ScoredMember, u64>>) -> String {
    let texts = outcomes.into_iter().map(|outcome| outcome.map_or_else(|size| format!("={size}"), |entry| entry_text(Some(&entry))));
    texts.collect::<Vec<_>>().join(" ")
}

fn sources(keys: &[(&str, Option<f64>)]) -> Vec<WeightedSource> {
    keys.iter().map(|(key, weight)| WeightedSource { key: Bytes::from((*key).to_owned()), weight: *weight }).collect()
}

fn plain(keys: &[&str]) -> UnionRequest {
    UnionRequest { sources: sources(&keys.iter().map(|key| (*key, None)).collect::<Vec<_>>()), ..Default::default() }
}

fn stored(keys: &[&str], destination: &str) -> UnionRequest {
    UnionRequest { destination: Some(destination.to_owned().into()), ..plain(keys) }
}

impl Subject {
    async fn try_union(&self, request: UnionRequest) -> Result<String, Error> {
        let messages = all(self.sortedset_operations().union(&self.context, request).await?).await;
        Ok(text(messages.into_iter().map(|message| match message.outcome.unwrap() {
            union_response::Outcome::Entry(entry) => Ok(entry),
            union_response::Outcome::StoredSize(size) => Err(size),
        })))
    }

    /// The same request as an intersection.
    async fn try_intersection(&self, request: UnionRequest) -> Result<String, Error> {
        let UnionRequest { sources, aggregation, destination, limit } = request;
        let request = IntersectionRequest { sources, aggregation, destination, limit };
        let messages = all(self.sortedset_operations().intersection(&self.context, request).await?).await;
        Ok(text(messages.into_iter().map(|message| match message.outcome.unwrap() {
            intersection_response::Outcome::Entry(entry) => Ok(entry),
            intersection_response::Outcome::StoredSize(size) => Err(size),
        })))
    }

    async fn union_text(&self, request: UnionRequest) -> String {
        self.try_union(request).await.unwrap()
    }

    async fn intersection_text(&self, request: UnionRequest) -> String {
        self.try_intersection(request).await.unwrap()
    }

    async fn two_sets(&self) {
        self.add_scores("a", &[("x", 1.0), ("y", 2.0), ("z", 5.0)]).await;
        self.add_scores("b", &[("y", 10.0), ("z", 1.0), ("w", 3.0)]).await;
    }
}

async fn unites(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.union_text(plain(&["a", "b"])).await, "x:1 w:3 z:6 y:12");
    assert_eq!(s.union_text(plain(&["b"])).await, "z:1 w:3 y:10");
}

async fn intersects(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.intersection_text(plain(&["a", "b"])).await, "z:6 y:12");
    assert_eq!(s.intersection_text(plain(&["a"])).await, "x:1 y:2 z:5");
}

async fn weights_and_aggregations(s: Subject) {
    s.two_sets().await;
    let request = |weights: [Option<f64>; 2], aggregation: ScoreAggregation| UnionRequest {
        sources: sources(&[("a", weights[0]), ("b", weights[1])]),
        aggregation: aggregation.into(),
        ..Default::default()
    };
    let weighted = request([Some(2.0), Some(-0.5)], ScoreAggregation::Sum);
    assert_eq!(s.union_text(weighted.clone()).await, "w:-1.5 y:-1 x:2 z:9.5");
    assert_eq!(s.intersection_text(weighted).await, "y:-1 z:9.5");
    let least = request([None, None], ScoreAggregation::Min);
    assert_eq!(s.union_text(least.clone()).await, "x:1 z:1 y:2 w:3");
    assert_eq!(s.intersection_text(least).await, "z:1 y:2");
    let greatest = request([Some(10.0), None], ScoreAggregation::Max);
    assert_eq!(s.union_text(greatest.clone()).await, "w:3 x:10 y:20 z:50");
    assert_eq!(s.intersection_text(greatest).await, "y:20 z:50");
    assert_eq!(s.union_text(request([Some(0.0), Some(0.0)], ScoreAggregation::Unspecified)).await, "w:0 x:0 y:0 z:0");
}

async fn scores_that_are_no_number_are_zero(s: Subject) {
    s.add_scores("a", &[("x", f64::INFINITY), ("y", f64::INFINITY), ("z", 0.0)]).await;
    s.add_scores("b", &[("x", f64::NEG_INFINITY), ("y", 1.0)]).await;
    assert_eq!(s.union_text(plain(&["a", "b"])).await, "x:0 z:0 y:inf");
    let zero = UnionRequest { sources: sources(&[("a", Some(0.0))]), ..Default::default() };
    assert_eq!(s.union_text(zero).await, "x:0 y:0 z:0");
    // Zero times minus one is zero without a sign.
    let minus = UnionRequest { sources: sources(&[("a", Some(-1.0))]), ..Default::default() };
    assert_eq!(s.union_text(minus).await, "x:-inf y:-inf z:0");
    let infinite = UnionRequest { sources: sources(&[("b", Some(f64::INFINITY))]), ..Default::default() };
    assert_eq!(s.union_text(infinite).await, "x:-inf y:inf");
}

async fn absent_sources_are_empty(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.union_text(plain(&["none", "b"])).await, "z:1 w:3 y:10");
    assert_eq!(s.union_text(plain(&["none"])).await, "");
    assert_eq!(s.intersection_text(plain(&["a", "none", "b"])).await, "");
}

async fn a_source_that_is_given_twice(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.union_text(plain(&["a", "a"])).await, "x:2 y:4 z:10");
    assert_eq!(s.intersection_text(plain(&["a", "b", "a"])).await, "z:11 y:14");
    let weighted = UnionRequest { sources: sources(&[("a", Some(2.0)), ("a", Some(-1.0))]), ..Default::default() };
    assert_eq!(s.intersection_text(weighted).await, "x:1 y:2 z:5");
}

async fn results_are_stored(s: Subject) {
    s.two_sets().await;
    s.add_scores("to", &[("old", 1.0)]).await;
    assert_eq!(s.union_text(stored(&["a", "b"], "to")).await, "=4");
    assert_eq!(s.whole("to").await, "x:1 w:3 z:6 y:12");
    assert_eq!(s.intersection_text(stored(&["a", "b"], "to")).await, "=2");
    assert_eq!(s.whole("to").await, "z:6 y:12");
    // A stored result is a sorted set like any other, and the sources are as they were.
    assert_eq!(s.add_scores("to", &[("y", 1.0), ("n", 2.0)]).await, (1, 1));
    assert_eq!(s.whole("to").await, "y:1 n:2 z:6");
    assert_eq!(s.whole("a").await, "x:1 y:2 z:5");
}

async fn the_destination_may_be_a_source(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.union_text(stored(&["a", "b"], "a")).await, "=4");
    assert_eq!(s.whole("a").await, "x:1 w:3 z:6 y:12");
    assert_eq!(s.intersection_text(stored(&["b", "a"], "b")).await, "=3");
    assert_eq!(s.whole("b").await, "w:6 z:7 y:22");
}

async fn an_empty_result_removes_the_destination(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.intersection_text(stored(&["a", "none"], "b")).await, "=0");
    assert_eq!(s.whole("b").await, "");
    assert_eq!(s.union_text(stored(&["b", "none"], "a")).await, "=0");
    assert_eq!(s.whole("a").await, "");
}

async fn a_limit_ends_the_stream(s: Subject) {
    s.two_sets().await;
    assert_eq!(s.union_text(UnionRequest { limit: 2, ..plain(&["a", "b"]) }).await, "x:1 w:3");
    assert_eq!(s.intersection_text(UnionRequest { limit: 1, ..plain(&["a", "b"]) }).await, "z:6");
    assert_eq!(s.intersection_text(UnionRequest { limit: 9, ..plain(&["a", "b"]) }).await, "z:6 y:12");
}

/// Writes during the stream change nothing in it.
async fn a_large_result_is_of_one_instant(s: Subject) {
    s.add_numbers("a", 0..2500, 1).await;
    s.add_numbers("b", 2000..4000, 1).await;
    let mut stream = s.sortedset_operations().union(&s.context, plain(&["a", "b"])).await.unwrap();
    let first = next(&mut stream).await;
    s.remove_scored("a", &["m0001", "m0002", "m2499"]).await;
    s.add_numbers("b", 0..1000, 1).await;
    let messages: Vec<_> = [first].into_iter().chain(all(stream).await).collect();
    assert_eq!(messages.len(), 4000);
    let entries = messages.into_iter().map(|message| match message.outcome.unwrap() {
        union_response::Outcome::Entry(entry) => entry,
        union_response::Outcome::StoredSize(_) => panic!("nothing was stored"),
    });
    let mut expected: Vec<(f64, String)> = (0..4000_u32)
        .map(|number| (f64::from(number) * if (2000..2500).contains(&number) { 2.0 } else { 1.0 }, format!("m{number:04}")))
        .collect();
    expected.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
    for (entry, (score, member)) in entries.zip(expected) {
        assert_eq!((entry.score, &entry.member[..]), (score, member.as_bytes()));
    }
}

async fn bad_requests_are_refused(s: Subject) {
    s.two_sets().await;
    let long = "k".repeat(usize::try_from(s.limits().max_key_bytes).unwrap() + 1);
    let nan = UnionRequest { sources: sources(&[("a", None), ("b", Some(f64::NAN))]), ..Default::default() };
    for (request, reason, field) in [
        (plain(&[]), "BATCH_SIZE", "sources"),
        (plain(&["a"; 101]), "BATCH_SIZE", "sources"),
        (plain(&["a", ""]), "INVALID_KEY", "sources[1].key"),
        (plain(&[&long]), "INVALID_KEY", "sources[0].key"),
        (stored(&["a"], ""), "INVALID_KEY", "destination"),
        (UnionRequest { limit: 1, ..stored(&["a"], "b") }, "INVALID_FIELD", "limit"),
        (nan, "INVALID_SCORE", "sources[1].weight"),
    ] {
        invalid(s.try_union(request.clone()).await, reason, field);
        invalid(s.try_intersection(request).await, reason, field);
    }
    assert_eq!(s.union_text(plain(&["b"])).await, "z:1 w:3 y:10");
}
