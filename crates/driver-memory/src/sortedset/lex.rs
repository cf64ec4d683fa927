//! `sortedset_lex`: the members that have the least score of their sorted set, in the order of their bytes.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    SortedSets,
    range::{PageSource, first_members, stream_pages},
    ranked::RankedSet,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{GetRangeByLexRequest, GetRangeByLexResponse, MemberBound, SortedSetLex},
};
use prism_driver::{
    check,
    sortedset::{encode_lex_cursor, lex_start},
};

/// `sortedset_lex` over [`SortedSets`]. Its streams keep the data alive.
pub struct Lex(pub Arc<SortedSets>);

/// A range of members.
struct MemberRange {
    min: Option<MemberBound>,
    max: Option<MemberBound>,
    reverse: bool,
    skip: u64,
    after: Option<Bytes>,
}

impl PageSource for MemberRange {
    type Item = GetRangeByLexResponse;

    fn read(&mut self, set: &RankedSet, most: usize) -> (VecDeque<Self::Item>, bool) {
        let Some(score) = set.first().map(|first| first.score) else { return (VecDeque::new(), false) };
        // The number of members before another one, or up to it.
        let before = |member: &[u8]| set.count(|entry| entry.compare(score, member).is_lt());
        let up_to = |member: &[u8]| set.count(|entry| entry.compare(score, member).is_le());
        let same_score = || set.count(|entry| entry.score <= score);
        let mut start = self.min.as_ref().map_or(0, |min| if min.exclusive { up_to(&min.member) } else { before(&min.member) });
        let mut end = self.max.as_ref().map_or_else(same_score, |max| if max.exclusive { before(&max.member) } else { up_to(&max.member) });
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
        self.skip = 0;
        match (&self.after, self.reverse) {
            (Some(member), false) => start = start.max(up_to(member)),
            (Some(member), true) => end = end.min(before(member)),
            (None, false) => start = start.saturating_add(skip),
            (None, true) => end = end.saturating_sub(skip),
        }
        let (members, more) = first_members(set, start..end.max(start), self.reverse, most);
        self.after = members.last().map(|last| last.member.clone());
        let reverse = self.reverse;
        let message = |member: Bytes| GetRangeByLexResponse { cursor: encode_lex_cursor(reverse, &member), member };
        (members.into_iter().map(|entry| message(entry.member)).collect(), more)
    }
}

#[async_trait]
impl SortedSetLex for Lex {
    async fn get_range_by_lex(&self, _: &Context, request: GetRangeByLexRequest) -> Result<Messages<GetRangeByLexResponse>, Error> {
        check::key(&self.0.limits, &request.key)?;
        let after = lex_start(request.reverse, request.skip, &request.cursor)?;
        let range = MemberRange { min: request.min, max: request.max, reverse: request.reverse, skip: request.skip, after };
        Ok(stream_pages(self.0.clone(), request.key, request.limit, range))
    }
}
