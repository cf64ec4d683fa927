//! `sortedset_range`

use prism::proto::models::sortedset::v1::{GetRangeByScoreRequest, GetRangeByScoreResponse, GetRangeRequest, ScoreBound};

use super::entry_text;
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, stream_refusal},
};

suite! { "sortedset_range":
    reads_places;
    reads_places_from_the_greatest;
    a_large_range_comes_in_order;
    reads_scores;
    bounds_may_be_exclusive;
    infinite_bounds;
    skips_and_limits;
    continues_after_a_cursor;
    a_cursor_stays_valid_when_its_member_is_removed_or_moved;
    equal_scores_are_paged_by_member;
    members_that_keep_their_score_come_once_while_others_write;
    absent_and_empty_ranges;
    bad_requests_are_refused;
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn bound(score: f64, exclusive: bool) -> Option<ScoreBound> {
    Some(ScoreBound { score, exclusive })
}

fn by_score(min: Option<ScoreBound>, max: Option<ScoreBound>, reverse: bool) -> GetRangeByScoreRequest {
    GetRangeByScoreRequest { key: "set".into(), min, max, reverse, ..Default::default() }
}

fn text(messages: &[GetRangeByScoreResponse]) -> String {
    messages.iter().map(|message| entry_text(message.entry.as_ref())).collect::<Vec<_>>().join(" ")
}

fn members(messages: &[GetRangeByScoreResponse]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.entry.as_ref().unwrap().member.to_vec()).unwrap()).collect()
}

impl Subject {
    /// A range as `rank/member:score`.
    async fn places(&self, start: i64, stop: Option<i64>, reverse: bool, limit: u32) -> String {
        let request = GetRangeRequest { key: "set".into(), start, stop, reverse, limit };
        let messages = all(self.sortedset_range().get_range(&self.context, request).await.unwrap()).await;
        messages.iter().map(|message| format!("{}/{}", message.rank, entry_text(message.entry.as_ref()))).collect::<Vec<_>>().join(" ")
    }

    async fn score_range(&self, request: GetRangeByScoreRequest) -> Vec<GetRangeByScoreResponse> {
        all(self.sortedset_range().get_range_by_score(&self.context, request).await.unwrap()).await
    }

    async fn scores_text(&self, min: Option<ScoreBound>, max: Option<ScoreBound>, reverse: bool) -> String {
        text(&self.score_range(by_score(min, max, reverse)).await)
    }

    async fn four(&self) {
        self.add_scores("set", &[("d", 4.0), ("c", 2.0), ("b", 2.0), ("a", 1.0)]).await;
    }
}

async fn reads_places(s: Subject) {
    s.four().await;
    assert_eq!(s.places(0, None, false, 0).await, "0/a:1 1/b:2 2/c:2 3/d:4");
    assert_eq!(s.places(1, Some(2), false, 0).await, "1/b:2 2/c:2");
    assert_eq!(s.places(-2, None, false, 0).await, "2/c:2 3/d:4");
    assert_eq!(s.places(-100, Some(100), false, 3).await, "0/a:1 1/b:2 2/c:2");
    assert_eq!(s.places(3, Some(3), false, 1).await, "3/d:4");
}

async fn reads_places_from_the_greatest(s: Subject) {
    s.four().await;
    assert_eq!(s.places(0, None, true, 0).await, "0/d:4 1/c:2 2/b:2 3/a:1");
    assert_eq!(s.places(0, Some(1), true, 0).await, "0/d:4 1/c:2");
    assert_eq!(s.places(-1, None, true, 0).await, "3/a:1");
    assert_eq!(s.places(1, Some(-2), true, 1).await, "1/c:2");
}

async fn a_large_range_comes_in_order(s: Subject) {
    s.add_numbers("set", 0..3500, 3).await;
    for reverse in [false, true] {
        let request = GetRangeRequest { key: "set".into(), start: 10, stop: Some(-11), reverse, limit: 0 };
        let messages = all(s.sortedset_range().get_range(&s.context, request).await.unwrap()).await;
        assert_eq!(messages.len(), 3480);
        for (place, message) in (10..).zip(&messages) {
            let number = if reverse { 3499 - place } else { place };
            assert_eq!((message.rank, entry_text(message.entry.as_ref())), (place, format!("m{number:04}:{}", number / 3)));
        }
        let found = members(&s.score_range(by_score(bound(5.0, false), bound(1000.0, true), reverse)).await);
        let mut expected: Vec<String> = (15..3000).map(|number| format!("m{number:04}")).collect();
        if reverse {
            expected.reverse();
        }
        assert!(found == expected, "{} members, reverse: {reverse}", found.len());
    }
}

async fn reads_scores(s: Subject) {
    s.four().await;
    assert_eq!(s.scores_text(None, None, false).await, "a:1 b:2 c:2 d:4");
    assert_eq!(s.scores_text(None, None, true).await, "d:4 c:2 b:2 a:1");
    assert_eq!(s.scores_text(bound(2.0, false), None, false).await, "b:2 c:2 d:4");
    assert_eq!(s.scores_text(None, bound(2.0, false), true).await, "c:2 b:2 a:1");
    assert_eq!(s.scores_text(bound(1.5, false), bound(3.0, false), false).await, "b:2 c:2");
}

async fn bounds_may_be_exclusive(s: Subject) {
    s.four().await;
    assert_eq!(s.scores_text(bound(1.0, true), bound(4.0, true), false).await, "b:2 c:2");
    assert_eq!(s.scores_text(bound(2.0, true), None, true).await, "d:4");
    assert_eq!(s.scores_text(bound(2.0, true), bound(2.0, false), false).await, "");
    assert_eq!(s.scores_text(bound(2.0, false), bound(2.0, false), false).await, "b:2 c:2");
}

async fn infinite_bounds(s: Subject) {
    s.add_scores("set", &[("a", f64::NEG_INFINITY), ("b", 0.0), ("c", f64::INFINITY)]).await;
    assert_eq!(s.scores_text(None, None, false).await, "a:-inf b:0 c:inf");
    assert_eq!(s.scores_text(bound(f64::NEG_INFINITY, true), bound(f64::INFINITY, true), false).await, "b:0");
    assert_eq!(s.scores_text(bound(f64::INFINITY, false), None, false).await, "c:inf");
    assert_eq!(s.scores_text(bound(-0.0, false), bound(-0.0, false), false).await, "b:0");
}

async fn skips_and_limits(s: Subject) {
    s.four().await;
    let request = |skip, limit, reverse| GetRangeByScoreRequest { skip, limit, ..by_score(None, None, reverse) };
    assert_eq!(text(&s.score_range(request(1, 2, false)).await), "b:2 c:2");
    assert_eq!(text(&s.score_range(request(1, 2, true)).await), "c:2 b:2");
    assert_eq!(text(&s.score_range(request(3, 0, false)).await), "d:4");
    assert_eq!(text(&s.score_range(request(4, 0, true)).await), "");
    assert_eq!(text(&s.score_range(request(u64::MAX, 1, false)).await), "");
    let bounded = GetRangeByScoreRequest { skip: 1, ..by_score(bound(2.0, false), bound(3.0, false), true) };
    assert_eq!(text(&s.score_range(bounded).await), "b:2");
}

async fn continues_after_a_cursor(s: Subject) {
    s.add_numbers("set", 0..60, 7).await;
    for reverse in [false, true] {
        let request = by_score(bound(1.0, false), bound(7.0, false), reverse);
        let whole = s.score_range(request.clone()).await;
        assert_eq!(whole.len(), 49);
        for (at, message) in whole.iter().enumerate() {
            let cursor = message.cursor.clone();
            let rest = s.score_range(GetRangeByScoreRequest { cursor, limit: 5, ..request.clone() }).await;
            assert_eq!(members(&rest), members(&whole[at + 1..whole.len().min(at + 6)]), "after {at}, reverse: {reverse}");
        }
    }
}

async fn a_cursor_stays_valid_when_its_member_is_removed_or_moved(s: Subject) {
    for reverse in [false, true] {
        s.add_scores("set", &[("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0), ("e", 2.0)]).await;
        let cursor = s.score_range(by_score(None, None, reverse)).await[2].cursor.clone();
        let rest = GetRangeByScoreRequest { cursor, ..by_score(None, None, reverse) };
        let expected = if reverse { "b:1 a:1" } else { "d:1 e:2" };
        s.add_scores("set", &[("c", if reverse { 9.0 } else { -9.0 })]).await;
        assert_eq!(text(&s.score_range(rest.clone()).await), expected);
        s.remove_scored("set", &["c"]).await;
        assert_eq!(text(&s.score_range(rest).await), expected);
    }
}

async fn equal_scores_are_paged_by_member(s: Subject) {
    // Members that differ in their last byte only, and members that begin alike.
    let names: Vec<String> = (0..200).map(|number| format!("{}{:03}", "same beginning ".repeat(1 + number % 3), number)).collect();
    let entries: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 7.0)).collect();
    s.add_scores("set", &entries).await;
    let mut expected = names.clone();
    expected.sort_unstable();
    for reverse in [false, true] {
        let (mut cursor, mut found) = (String::new(), Vec::new());
        loop {
            let mut page = s.score_range(GetRangeByScoreRequest { cursor, limit: 17, ..by_score(None, None, reverse) }).await;
            found.extend(members(&page));
            let Some(last) = page.pop() else { break };
            cursor = last.cursor;
        }
        assert_eq!(found, expected);
        expected.reverse();
    }
}

async fn members_that_keep_their_score_come_once_while_others_write(s: Subject) {
    s.add_numbers("set", 0..3000, 1).await;
    let mut stream = s.sortedset_range().get_range_by_score(&s.context, by_score(None, None, false)).await.unwrap();
    let first = next(&mut stream).await;
    let odd: Vec<String> = (0..900).map(|number| format!("m{:04}", 2 * number + 1)).collect();
    s.remove_scored("set", &odd.iter().map(String::as_str).collect::<Vec<_>>()).await;
    s.add_scores("set", &[("new", -1.0), ("newer", 0.5)]).await;
    let found = members(&[first].into_iter().chain(all(stream).await).collect::<Vec<_>>());
    for number in (0..1800).step_by(2).chain(1801..3000) {
        let name = format!("m{number:04}");
        assert_eq!(found.iter().filter(|member| **member == name).count(), 1, "{name}");
    }
}

async fn absent_and_empty_ranges(s: Subject) {
    assert_eq!(s.places(0, None, false, 0).await, "");
    assert_eq!(s.places(-1, None, true, 0).await, "");
    assert_eq!(s.scores_text(None, None, false).await, "");
    s.four().await;
    for (start, stop) in [(4, None), (2, Some(1)), (0, Some(-5)), (i64::MAX, None), (i64::MAX, Some(i64::MIN))] {
        for reverse in [false, true] {
            assert_eq!(s.places(start, stop, reverse, 0).await, "", "{start} {stop:?}");
        }
    }
    for reverse in [false, true] {
        assert_eq!(s.scores_text(bound(3.0, false), bound(1.0, false), reverse).await, "");
        assert_eq!(s.scores_text(bound(5.0, false), None, reverse).await, "");
        assert_eq!(s.scores_text(None, bound(0.5, false), reverse).await, "");
    }
}

async fn bad_requests_are_refused(s: Subject) {
    s.four().await;
    let sets = s.sortedset_range();
    let request = GetRangeRequest::default();
    invalid(stream_refusal(sets.get_range(&s.context, request).await).await, "INVALID_KEY", "key");
    let cursor = s.score_range(by_score(None, None, false)).await[0].cursor.clone();
    let good = by_score(None, None, false);
    for (request, reason, field) in [
        (GetRangeByScoreRequest { key: "".into(), ..good.clone() }, "INVALID_KEY", "key"),
        (GetRangeByScoreRequest { min: bound(f64::NAN, false), ..good.clone() }, "INVALID_SCORE", "min.score"),
        (GetRangeByScoreRequest { max: bound(f64::NAN, true), ..good.clone() }, "INVALID_SCORE", "max.score"),
        (GetRangeByScoreRequest { cursor: cursor.clone(), reverse: true, ..good.clone() }, "INVALID_CURSOR", "cursor"),
        (GetRangeByScoreRequest { cursor: "AAAA".into(), ..good.clone() }, "INVALID_CURSOR", "cursor"),
        (GetRangeByScoreRequest { cursor: "no cursor".into(), ..good.clone() }, "INVALID_CURSOR", "cursor"),
        (GetRangeByScoreRequest { cursor, skip: 1, ..good }, "INVALID_FIELD", "skip"),
    ] {
        invalid(stream_refusal(sets.get_range_by_score(&s.context, request).await).await, reason, field);
    }
}
