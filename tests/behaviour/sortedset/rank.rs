//! `sortedset_rank`

use prism::proto::models::sortedset::v1::{GetRankRequest, GetReverseRankRequest};

use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "sortedset_rank":
    counts_from_both_ends;
    equal_scores_have_different_ranks;
    ranks_of_a_large_sorted_set;
    an_absent_member_has_no_rank;
    bad_requests_are_refused;
}

impl Subject {
    /// The rank, the rank from the greatest score, and the score.
    async fn ranks(&self, key: &str, member: &str) -> Option<(u64, u64, f64)> {
        let sets = self.sortedset_rank();
        let request = GetRankRequest { key: key.to_owned().into(), member: member.to_owned().into() };
        let rank = sets.get_rank(&self.context, request).await.unwrap();
        let request = GetReverseRankRequest { key: key.to_owned().into(), member: member.to_owned().into() };
        let reverse = sets.get_reverse_rank(&self.context, request).await.unwrap();
        assert_eq!(rank.score, reverse.score);
        assert_eq!((rank.rank.is_some(), reverse.rank.is_some()), (rank.score.is_some(), rank.score.is_some()));
        Some((rank.rank?, reverse.rank?, rank.score?))
    }
}

async fn counts_from_both_ends(s: Subject) {
    s.add_scores("set", &[("a", 10.0), ("b", -1.0), ("c", f64::INFINITY), ("d", f64::NEG_INFINITY)]).await;
    assert_eq!(s.ranks("set", "d").await, Some((0, 3, f64::NEG_INFINITY)));
    assert_eq!(s.ranks("set", "b").await, Some((1, 2, -1.0)));
    assert_eq!(s.ranks("set", "a").await, Some((2, 1, 10.0)));
    assert_eq!(s.ranks("set", "c").await, Some((3, 0, f64::INFINITY)));
    s.remove_scored("set", &["b"]).await;
    assert_eq!(s.ranks("set", "a").await, Some((1, 1, 10.0)));
}

async fn equal_scores_have_different_ranks(s: Subject) {
    s.add_scores("set", &[("b", 1.0), ("a", 1.0), ("", 1.0), ("aa", 1.0)]).await;
    for (rank, member) in (0..).zip(["", "a", "aa", "b"]) {
        assert_eq!(s.ranks("set", member).await, Some((rank, 3 - rank, 1.0)), "{member}");
    }
}

async fn ranks_of_a_large_sorted_set(s: Subject) {
    s.add_numbers("set", 0..3000, 7).await;
    for number in [0_u32, 1, 6, 7, 511, 512, 513, 1500, 2998, 2999] {
        let found = s.ranks("set", &format!("m{number:04}")).await;
        assert_eq!(found, Some((u64::from(number), u64::from(2999 - number), f64::from(number / 7))));
    }
    s.add_scores("set", &[("m0000", 1e9)]).await;
    assert_eq!(s.ranks("set", "m0000").await, Some((2999, 0, 1e9)));
    assert_eq!(s.ranks("set", "m2999").await, Some((2998, 1, f64::from(2999 / 7))));
}

async fn an_absent_member_has_no_rank(s: Subject) {
    assert_eq!(s.ranks("none", "a").await, None);
    s.add_scores("set", &[("a", 1.0)]).await;
    assert_eq!(s.ranks("set", "b").await, None);
    s.remove_scored("set", &["a"]).await;
    assert_eq!(s.ranks("set", "a").await, None);
}

async fn bad_requests_are_refused(s: Subject) {
    let sets = s.sortedset_rank();
    invalid(sets.get_rank(&s.context, GetRankRequest::default()).await, "INVALID_KEY", "key");
    invalid(sets.get_reverse_rank(&s.context, GetReverseRankRequest::default()).await, "INVALID_KEY", "key");
}
