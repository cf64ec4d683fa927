//! `sortedset_basic`

use bytes::Bytes;
use prism::{
    call::Code,
    proto::models::sortedset::v1::{AddOperation, AddRequest, AddResponse, GetScoreRequest, RemoveRequest, ScoredMember},
};

use super::scored;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, refused},
};

suite! { "sortedset_basic":
    sets_scores;
    only_new_members;
    only_existing_members;
    keeps_greater_or_less;
    increments;
    a_member_that_is_given_twice;
    scores_keep_their_precision;
    increments_that_are_no_number_write_nothing;
    removes_members;
    the_last_removal_removes_the_sorted_set;
    reads_scores;
    members_are_any_bytes;
    sorted_sets_are_apart;
    survives_being_opened_again;
    concurrent_increments_are_all_counted;
    a_batch_of_the_greatest_size;
    orders_by_score_then_member needs "sortedset_range";
    bad_requests_are_refused;
}

const INFINITY: f64 = f64::INFINITY;

impl Subject {
    async fn scores(&self, key: &str, members: &[&str]) -> Vec<Option<f64>> {
        let members = members.iter().map(|member| Bytes::from((*member).to_owned())).collect();
        let request = GetScoreRequest { key: key.to_owned().into(), members };
        self.sortedset_basic().get_score(&self.context, request).await.unwrap().scores.iter().map(|score| score.score).collect()
    }
}

fn scores_of(answer: &AddResponse) -> Vec<Option<f64>> {
    answer.scores.iter().map(|score| score.score).collect()
}

async fn sets_scores(s: Subject) {
    let answer = s.try_add("set", AddOperation::Unspecified, &[("a", 1.5), ("b", -2.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (2, 0));
    assert_eq!(scores_of(&answer), [Some(1.5), Some(-2.0)]);
    assert_eq!(answer.scores.iter().map(|score| &score.member[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    let answer = s.try_add("set", AddOperation::Set, &[("a", 1.5), ("b", 3.0), ("c", 0.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 1));
    assert_eq!(s.scores("set", &["a", "b", "c"]).await, [Some(1.5), Some(3.0), Some(0.0)]);
}

async fn only_new_members(s: Subject) {
    s.add_scores("set", &[("a", 1.0)]).await;
    let answer = s.try_add("set", AddOperation::OnlyNew, &[("a", 5.0), ("b", 2.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 0));
    assert_eq!(scores_of(&answer), [Some(1.0), Some(2.0)]);
    assert_eq!(s.scores("set", &["a", "b"]).await, [Some(1.0), Some(2.0)]);
}

async fn only_existing_members(s: Subject) {
    s.add_scores("set", &[("a", 1.0)]).await;
    let answer = s.try_add("set", AddOperation::OnlyExisting, &[("a", 5.0), ("b", 2.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (0, 1));
    assert_eq!(scores_of(&answer), [Some(5.0), None]);
    let answer = s.try_add("none", AddOperation::OnlyExisting, &[("a", 5.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed, scores_of(&answer)), (0, 0, vec![None]));
    assert_eq!(s.scores("none", &["a"]).await, [None]);
}

async fn keeps_greater_or_less(s: Subject) {
    s.add_scores("set", &[("a", 5.0), ("b", 5.0), ("c", 5.0)]).await;
    let answer = s.try_add("set", AddOperation::KeepGreater, &[("a", 6.0), ("b", 4.0), ("c", 5.0), ("d", 1.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 1));
    assert_eq!(scores_of(&answer), [Some(6.0), Some(5.0), Some(5.0), Some(1.0)]);
    let answer = s.try_add("set", AddOperation::KeepLess, &[("a", 7.0), ("b", 4.0), ("d", -INFINITY), ("e", INFINITY)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 2));
    assert_eq!(scores_of(&answer), [Some(6.0), Some(4.0), Some(-INFINITY), Some(INFINITY)]);
}

async fn increments(s: Subject) {
    let answer = s.try_add("set", AddOperation::Increment, &[("a", 1.5), ("b", -1.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (2, 0));
    let answer = s.try_add("set", AddOperation::Increment, &[("a", 1.0), ("b", 0.0), ("c", 0.25)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 1));
    assert_eq!(scores_of(&answer), [Some(2.5), Some(-1.0), Some(0.25)]);
    s.try_add("set", AddOperation::Increment, &[("a", INFINITY)]).await.unwrap();
    assert_eq!(s.scores("set", &["a"]).await, [Some(INFINITY)]);
}

async fn a_member_that_is_given_twice(s: Subject) {
    let answer = s.try_add("set", AddOperation::Set, &[("a", 1.0), ("b", 2.0), ("a", 3.0)]).await.unwrap();
    assert_eq!((answer.added, scores_of(&answer)), (2, vec![Some(3.0), Some(2.0), Some(3.0)]));
    let answer = s.try_add("set", AddOperation::Increment, &[("a", 1.0), ("a", 1.0), ("c", 1.0), ("c", -1.0)]).await.unwrap();
    assert_eq!((answer.added, answer.changed), (1, 1));
    assert_eq!(scores_of(&answer), [Some(5.0), Some(5.0), Some(0.0), Some(0.0)]);
}

async fn scores_keep_their_precision(s: Subject) {
    let scores = [0.1 + 0.2, 1e308, 5e-324, -1e-300, 9_007_199_254_740_993.0, INFINITY, -INFINITY, 1.0 / 3.0, 0.0];
    let names: Vec<String> = (0..scores.len()).map(|number| number.to_string()).collect();
    let members: Vec<(&str, f64)> = names.iter().map(String::as_str).zip(scores).collect();
    assert_eq!(s.add_scores("set", &members).await.0, scores.len() as u64);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(s.scores("set", &names).await, scores.map(Some));
    assert_eq!(s.add_scores("set", &members).await, (0, 0));
    // Minus zero is stored as zero.
    s.add_scores("set", &[("zero", -0.0)]).await;
    assert_eq!(s.scores("set", &["zero"]).await[0].unwrap().to_bits(), 0);
    s.try_add("set", AddOperation::Increment, &[("zero", -0.0)]).await.unwrap();
    assert_eq!(s.scores("set", &["zero"]).await[0].unwrap().to_bits(), 0);
    s.try_add("sum", AddOperation::Increment, &[("a", 0.1)]).await.unwrap();
    s.try_add("sum", AddOperation::Increment, &[("a", 0.2)]).await.unwrap();
    assert_eq!(s.scores("sum", &["a"]).await, [Some(0.1 + 0.2)]);
}

async fn increments_that_are_no_number_write_nothing(s: Subject) {
    s.add_scores("set", &[("a", 1.0), ("b", INFINITY)]).await;
    for members in [&[("a", 1.0), ("c", 1.0), ("b", -INFINITY)][..], &[("a", 1.0), ("c", INFINITY), ("c", -INFINITY)]] {
        let answer = s.try_add("set", AddOperation::Increment, members).await;
        refused(answer, Code::FailedPrecondition, "INVALID_SCORE");
        assert_eq!(s.scores("set", &["a", "b", "c"]).await, [Some(1.0), Some(INFINITY), None]);
    }
}

async fn removes_members(s: Subject) {
    s.add_scores("set", &[("a", 1.0), ("b", 2.0), ("c", 3.0)]).await;
    assert_eq!(s.remove_scored("set", &["a", "x", "a"]).await, 1);
    assert_eq!(s.remove_scored("set", &["a", "b"]).await, 1);
    assert_eq!(s.remove_scored("none", &["a"]).await, 0);
    assert_eq!(s.scores("set", &["a", "b", "c"]).await, [None, None, Some(3.0)]);
}

async fn the_last_removal_removes_the_sorted_set(s: Subject) {
    s.add_scores("set", &[("a", 1.0), ("b", 2.0)]).await;
    assert_eq!(s.remove_scored("set", &["b", "a"]).await, 2);
    let answer = s.try_add("set", AddOperation::OnlyExisting, &[("a", 1.0)]).await.unwrap();
    assert_eq!(scores_of(&answer), [None]);
    assert_eq!(s.add_scores("set", &[("a", 1.0)]).await, (1, 0));
}

async fn reads_scores(s: Subject) {
    s.add_scores("set", &[("a", 1.0), ("", 2.0)]).await;
    assert_eq!(s.scores("set", &["", "a", "x", "a"]).await, [Some(2.0), Some(1.0), None, Some(1.0)]);
    assert_eq!(s.scores("none", &["", "a"]).await, [None, None]);
}

async fn members_are_any_bytes(s: Subject) {
    let strange = [&b""[..], b"\0", b"a\0b", b"\xff\xfe", b"{a}", b"\r\n", "größe 🙂".as_bytes(), b"1", b"1.0", b"inf", b"nan"];
    let sets = s.sortedset_basic();
    let members: Vec<ScoredMember> = (0_u8..)
        .zip(strange)
        .map(|(number, member)| ScoredMember { member: Bytes::from_static(member), score: f64::from(number) })
        .collect();
    for key in &strange[1..] {
        let request = AddRequest { key: Bytes::from_static(key), members: members.clone(), operation: 0 };
        assert_eq!(sets.add(&s.context, request).await.unwrap().added, strange.len() as u64);
    }
    for key in &strange[1..] {
        let names = members.iter().map(|member| member.member.clone()).collect();
        let scores = sets.get_score(&s.context, GetScoreRequest { key: Bytes::from_static(key), members: names }).await.unwrap().scores;
        assert!(scores.iter().zip(&members).all(|(found, member)| found.score == Some(member.score) && found.member == member.member));
    }
    let large = ScoredMember { member: Bytes::from(vec![7; 64 << 10]), score: 1.0 };
    let request = AddRequest { key: "large".into(), members: vec![large.clone()], operation: 0 };
    assert_eq!(sets.add(&s.context, request).await.unwrap().added, 1);
    let request = GetScoreRequest { key: "large".into(), members: vec![large.member] };
    assert_eq!(sets.get_score(&s.context, request).await.unwrap().scores[0].score, Some(1.0));
}

async fn sorted_sets_are_apart(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    for (number, subject) in (0_u8..).zip([&s, &other, &slot]) {
        subject.add_scores("set", &[("a", f64::from(number))]).await;
    }
    s.add_scores("set2", &[("a", 9.0)]).await;
    for (number, subject) in (0_u8..).zip([&s, &other, &slot]) {
        assert_eq!(subject.scores("set", &["a"]).await, [Some(f64::from(number))]);
    }
}

async fn survives_being_opened_again(s: Subject) {
    s.add_scores("set", &[("a", 1.0)]).await;
    assert_eq!(s.reopened().scores("set", &["a"]).await, [Some(1.0)]);
}

async fn concurrent_increments_are_all_counted(s: Subject) {
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    s.try_add("set", AddOperation::Increment, &[("a", 1.0), ("b", 2.0)]).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(s.scores("set", &["a", "b"]).await, [Some(400.0), Some(800.0)]);
}

async fn a_batch_of_the_greatest_size(s: Subject) {
    let members: Vec<ScoredMember> =
        (0..1000).map(|number| ScoredMember { member: Bytes::from(number.to_string()), score: f64::from(number) }).collect();
    let request = AddRequest { key: "set".into(), members: members.clone(), operation: AddOperation::Increment.into() };
    assert_eq!(s.sortedset_basic().add(&s.context, request).await.unwrap().added, 1000);
    let members = members.into_iter().map(|member| member.member).collect();
    let request = RemoveRequest { key: "set".into(), members };
    assert_eq!(s.sortedset_basic().remove(&s.context, request).await.unwrap().removed, 1000);
}

async fn orders_by_score_then_member(s: Subject) {
    s.add_scores("set", &[("b", 1.0), ("a", 1.0), ("ab", 1.0), ("B", 1.0), ("z", -1.0), ("é", 1.0), ("x", INFINITY), ("y", -INFINITY)])
        .await;
    assert_eq!(s.whole("set").await, "y:-inf z:-1 B:1 a:1 ab:1 b:1 é:1 x:inf");
    s.try_add("set", AddOperation::Increment, &[("a", 0.5), ("x", 1.0)]).await.unwrap();
    s.remove_scored("set", &["ab", "y"]).await;
    assert_eq!(s.whole("set").await, "z:-1 B:1 b:1 é:1 a:1.5 x:inf");
}

async fn bad_requests_are_refused(s: Subject) {
    let sets = s.sortedset_basic();
    let long = Bytes::from(vec![b'k'; usize::try_from(s.limits().max_key_bytes).unwrap() + 1]);
    for key in [Bytes::new(), long] {
        let add = AddRequest { key: key.clone(), members: scored(&[("a", 1.0)]), operation: 0 };
        invalid(sets.add(&s.context, add).await, "INVALID_KEY", "key");
        let remove = RemoveRequest { key: key.clone(), members: vec!["a".into()] };
        invalid(sets.remove(&s.context, remove).await, "INVALID_KEY", "key");
        invalid(sets.get_score(&s.context, GetScoreRequest { key, members: vec!["a".into()] }).await, "INVALID_KEY", "key");
    }
    for many in [0, 1001] {
        let add = AddRequest { key: "set".into(), members: vec![ScoredMember::default(); many], operation: 0 };
        invalid(sets.add(&s.context, add).await, "BATCH_SIZE", "members");
        let members = vec![Bytes::new(); many];
        let remove = RemoveRequest { key: "set".into(), members: members.clone() };
        invalid(sets.remove(&s.context, remove).await, "BATCH_SIZE", "members");
        invalid(sets.get_score(&s.context, GetScoreRequest { key: "set".into(), members }).await, "BATCH_SIZE", "members");
    }
    let nan = s.try_add("set", AddOperation::Set, &[("a", 1.0), ("b", f64::NAN)]).await;
    invalid(nan, "INVALID_SCORE", "members[1].score");
    let large = ScoredMember { member: Bytes::from(vec![0; (64 << 10) + 1]), score: 1.0 };
    let add = AddRequest { key: "set".into(), members: vec![large], operation: 0 };
    invalid(sets.add(&s.context, add).await, "VALUE_TOO_LARGE", "members[0].member");
    assert_eq!(s.scores("set", &["a", "b"]).await, [None, None]);
}
