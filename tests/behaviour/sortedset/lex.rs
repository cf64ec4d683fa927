//! `sortedset_lex`

use bytes::Bytes;
use prism::proto::models::sortedset::v1::{AddRequest, GetRangeByLexRequest, GetRangeByLexResponse, MemberBound, ScoredMember};

use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, stream_refusal},
};

suite! { "sortedset_lex":
    reads_ranges;
    finds_a_prefix;
    skips_and_limits;
    members_are_in_the_order_of_their_bytes;
    a_large_range_comes_in_order;
    continues_after_a_cursor;
    a_cursor_stays_valid_when_its_member_is_removed;
    different_scores_end_the_stream;
    absent_and_empty_ranges;
    bad_requests_are_refused;
}

#[expect(clippy::unnecessary_wraps, reason = "the fields of requests are optional")]
fn bound(member: &str, exclusive: bool) -> Option<MemberBound> {
    Some(MemberBound { member: member.to_owned().into(), exclusive })
}

fn request(min: Option<MemberBound>, max: Option<MemberBound>, reverse: bool) -> GetRangeByLexRequest {
    GetRangeByLexRequest { key: "set".into(), min, max, reverse, ..Default::default() }
}

fn members(messages: &[GetRangeByLexResponse]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.member).unwrap()).collect()
}

impl Subject {
    async fn lex(&self, request: GetRangeByLexRequest) -> Vec<GetRangeByLexResponse> {
        all(self.sortedset_lex().get_range_by_lex(&self.context, request).await.unwrap()).await
    }

    async fn lex_text(&self, min: Option<MemberBound>, max: Option<MemberBound>, reverse: bool) -> String {
        members(&self.lex(request(min, max, reverse)).await).join(" ")
    }

    async fn names(&self, names: &[&str]) {
        let members: Vec<(&str, f64)> = names.iter().map(|name| (*name, 0.0)).collect();
        self.add_scores("set", &members).await;
    }
}

async fn reads_ranges(s: Subject) {
    s.names(&["d", "b", "a", "c", "bb"]).await;
    assert_eq!(s.lex_text(None, None, false).await, "a b bb c d");
    assert_eq!(s.lex_text(None, None, true).await, "d c bb b a");
    assert_eq!(s.lex_text(bound("b", false), bound("c", false), false).await, "b bb c");
    assert_eq!(s.lex_text(bound("b", true), bound("c", true), true).await, "bb");
    assert_eq!(s.lex_text(bound("ba", false), None, false).await, "bb c d");
    assert_eq!(s.lex_text(None, bound("ba", false), true).await, "b a");
}

async fn finds_a_prefix(s: Subject) {
    s.names(&["a", "ab", "ab\0", "abz", "ac", "aB"]).await;
    assert_eq!(s.lex_text(bound("ab", false), bound("ac", true), false).await, "ab ab\0 abz");
}

async fn skips_and_limits(s: Subject) {
    s.names(&["a", "b", "c", "d", "e"]).await;
    let with = |skip, limit, reverse| GetRangeByLexRequest { skip, limit, ..request(bound("b", false), None, reverse) };
    assert_eq!(members(&s.lex(with(0, 2, false)).await), ["b", "c"]);
    assert_eq!(members(&s.lex(with(1, 2, false)).await), ["c", "d"]);
    assert_eq!(members(&s.lex(with(1, 2, true)).await), ["d", "c"]);
    assert!(s.lex(with(4, 2, true)).await.is_empty());
    assert!(s.lex(with(u64::MAX, 0, false)).await.is_empty());
}

async fn members_are_in_the_order_of_their_bytes(s: Subject) {
    let mut all: Vec<Bytes> = [&b""[..], b"\0", b"\xff", b"\x7f", b"\x80", b"a", b"A", b"a\0", b"-", b"+", b"[", b"("]
        .into_iter()
        .map(Bytes::from_static)
        .collect();
    let members = all.iter().map(|member| ScoredMember { member: member.clone(), score: 0.0 }).collect();
    s.sortedset_basic().add(&s.context, AddRequest { key: "set".into(), members, operation: 0 }).await.unwrap();
    all.sort_unstable();
    let found = s.lex(request(None, None, false)).await;
    assert!(found.iter().map(|message| &message.member).eq(&all));
    for (at, member) in all.iter().enumerate() {
        let min = Some(MemberBound { member: member.clone(), exclusive: false });
        assert_eq!(s.lex(request(min, None, false)).await.len(), all.len() - at, "{member:?}");
        let max = Some(MemberBound { member: member.clone(), exclusive: true });
        assert_eq!(s.lex(request(None, max, true)).await.len(), at, "{member:?}");
    }
}

async fn a_large_range_comes_in_order(s: Subject) {
    s.add_numbers("set", 0..2500, 10_000).await;
    for reverse in [false, true] {
        let found = s.lex(request(bound("m0100", false), bound("m2400", true), reverse)).await;
        let mut expected: Vec<String> = (100..2400).map(|number| format!("m{number:04}")).collect();
        if reverse {
            expected.reverse();
        }
        assert!(members(&found) == expected, "{} members, reverse: {reverse}", found.len());
    }
}

async fn continues_after_a_cursor(s: Subject) {
    s.add_numbers("set", 0..40, 10_000).await;
    for reverse in [false, true] {
        let range = request(bound("m0005", false), bound("m0035", true), reverse);
        let whole = s.lex(range.clone()).await;
        assert_eq!(whole.len(), 30);
        for (at, message) in whole.iter().enumerate() {
            let rest = s.lex(GetRangeByLexRequest { cursor: message.cursor.clone(), limit: 7, ..range.clone() }).await;
            assert_eq!(members(&rest), members(&whole[at + 1..whole.len().min(at + 8)]), "after {at}, reverse: {reverse}");
        }
    }
}

async fn a_cursor_stays_valid_when_its_member_is_removed(s: Subject) {
    s.names(&["a", "b", "c", "d"]).await;
    let cursor = s.lex(request(None, None, false)).await[1].cursor.clone();
    s.remove_scored("set", &["b"]).await;
    assert_eq!(members(&s.lex(GetRangeByLexRequest { cursor, ..request(None, None, false) }).await), ["c", "d"]);
}

/// Which members come is the choice of the backend, but the stream ends.
async fn different_scores_end_the_stream(s: Subject) {
    for number in 0..600 {
        let name = format!("m{:04}", number * 7 % 600);
        s.add_scores("set", &[(&name, f64::from(number))]).await;
    }
    for reverse in [false, true] {
        assert!(s.lex(request(None, None, reverse)).await.len() <= 1200);
        s.lex(request(bound("m0300", false), bound("m0400", false), reverse)).await;
    }
}

async fn absent_and_empty_ranges(s: Subject) {
    assert_eq!(s.lex_text(None, None, false).await, "");
    s.names(&["b", "d"]).await;
    for reverse in [false, true] {
        assert_eq!(s.lex_text(bound("d", false), bound("b", false), reverse).await, "");
        assert_eq!(s.lex_text(bound("b", true), bound("b", false), reverse).await, "");
        assert_eq!(s.lex_text(bound("c", false), bound("c", false), reverse).await, "");
        assert_eq!(s.lex_text(bound("e", false), None, reverse).await, "");
    }
}

async fn bad_requests_are_refused(s: Subject) {
    s.names(&["a", "b"]).await;
    let sets = s.sortedset_lex();
    let good = request(None, None, false);
    let cursor = s.lex(good.clone()).await[0].cursor.clone();
    for (request, reason, field) in [
        (GetRangeByLexRequest { key: "".into(), ..good.clone() }, "INVALID_KEY", "key"),
        (GetRangeByLexRequest { cursor: cursor.clone(), reverse: true, ..good.clone() }, "INVALID_CURSOR", "cursor"),
        (GetRangeByLexRequest { cursor: "AAAA".into(), ..good.clone() }, "INVALID_CURSOR", "cursor"),
        (GetRangeByLexRequest { cursor, skip: 1, ..good }, "INVALID_FIELD", "skip"),
    ] {
        invalid(stream_refusal(sets.get_range_by_lex(&s.context, request).await).await, reason, field);
    }
}
