//! `sortedset_range`, in pages: no lock is held while the client is slow.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;

use super::{
    SortedSets,
    ranked::{RankedMember, RankedSet},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        GetRangeByScoreRequest, GetRangeByScoreResponse, GetRangeRequest, GetRangeResponse, ScoredMember, SortedSetRange,
    },
};
use prism_driver::{
    check, index,
    sortedset::{PAGE_MEMBERS, ScoreRange},
};

/// `sortedset_range` over [`SortedSets`]. Its streams keep the data alive.
pub struct Ranges(pub Arc<SortedSets>);

/// What a stream reads from a sorted set.
pub trait PageSource: Send + 'static {
    type Item: Send + 'static;

    /// Returns the next page of at most `most` members, and whether there are more.
    fn read(&mut self, set: &RankedSet, most: usize) -> (VecDeque<Self::Item>, bool);
}

/// Streams the pages of a source. `limit` is that of the request; 0 = no limit.
pub fn stream_pages<S: PageSource>(sets: Arc<SortedSets>, key: Bytes, limit: u32, source: S) -> Messages<S::Item> {
    let remaining = check::limit_or_all(limit);
    let state = (sets, key, source, VecDeque::new(), true, remaining);
    Box::pin(stream::try_unfold(state, |(sets, key, mut source, mut page, mut more, mut remaining)| async move {
        if page.is_empty() && more && remaining > 0 {
            tokio::task::consume_budget().await;
            let state = sets.state()?;
            (page, more) = match state.sets.get(&key) {
                Some(set) => source.read(set, PAGE_MEMBERS.min(remaining)),
                None => (VecDeque::new(), false),
            };
            remaining -= page.len();
        }
        Ok(page.pop_front().map(|item| (item, (sets, key, source, page, more, remaining))))
    }))
}

/// The first members of a range of ranks, in the direction of the request, and whether there are more.
pub fn first_members(set: &RankedSet, ranks: Range<usize>, reverse: bool, most: usize) -> (Vec<RankedMember>, bool) {
    let more = ranks.len() > most;
    let ranks = match (more, reverse) {
        (false, _) => ranks,
        (true, false) => ranks.start..ranks.start + most,
        (true, true) => ranks.end - most..ranks.end,
    };
    (set.collect(ranks, reverse), more)
}

/// A range of ranks, counted in the direction of the request; negative ones from the end until the first page is read.
struct RankRange {
    start: i64,
    stop: Option<i64>,
    reverse: bool,
}

impl PageSource for RankRange {
    type Item = GetRangeResponse;

    fn read(&mut self, set: &RankedSet, most: usize) -> (VecDeque<Self::Item>, bool) {
        let length = set.len();
        let ranks = index::span(self.start, self.stop, length);
        let from_least = if self.reverse { length - ranks.end..length - ranks.start } else { ranks.clone() };
        let (members, more) = first_members(set, from_least, self.reverse, most);
        self.start = i64::try_from(ranks.start + members.len()).unwrap_or(i64::MAX);
        self.stop = i64::try_from(ranks.end).ok().map(|end| end - 1);
        let message =
            |(rank, RankedMember { score, member })| GetRangeResponse { entry: Some(ScoredMember { member, score }), rank: rank as u64 };
        (ranks.zip(members).map(message).collect(), more)
    }
}

/// A range of scores.
struct Scores(ScoreRange);

impl PageSource for Scores {
    type Item = GetRangeByScoreResponse;

    fn read(&mut self, set: &RankedSet, most: usize) -> (VecDeque<Self::Item>, bool) {
        let range = &mut self.0;
        let mut start =
            range.min.map_or(0, |min| set.count(|entry| if min.exclusive { entry.score <= min.score } else { entry.score < min.score }));
        let mut end = range
            .max
            .map_or(set.len(), |max| set.count(|entry| if max.exclusive { entry.score < max.score } else { entry.score <= max.score }));
        let skip = usize::try_from(range.skip).unwrap_or(usize::MAX);
        range.skip = 0;
        match (&range.after, range.reverse) {
            (Some((score, member)), false) => start = start.max(set.count(|entry| entry.compare(*score, member).is_le())),
            (Some((score, member)), true) => end = end.min(set.count(|entry| entry.compare(*score, member).is_lt())),
            (None, false) => start = start.saturating_add(skip),
            (None, true) => end = end.saturating_sub(skip),
        }
        let (members, more) = first_members(set, start..end.max(start), range.reverse, most);
        let message = |RankedMember { score, member }| GetRangeByScoreResponse {
            cursor: range.cursor(score, &member),
            entry: Some(ScoredMember { member, score }),
        };
        let last = members.last().map(|last| (last.score, last.member.clone()));
        let page = members.into_iter().map(message).collect();
        range.after = last;
        (page, more)
    }
}

#[async_trait]
impl SortedSetRange for Ranges {
    async fn get_range(&self, _: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.0.limits, &request.key)?;
        let range = RankRange { start: request.start, stop: request.stop, reverse: request.reverse };
        Ok(stream_pages(self.0.clone(), request.key, request.limit, range))
    }

    async fn get_range_by_score(&self, _: &Context, request: GetRangeByScoreRequest) -> Result<Messages<GetRangeByScoreResponse>, Error> {
        let range = ScoreRange::new(&self.0.limits, &request)?;
        Ok(stream_pages(self.0.clone(), request.key, request.limit, Scores(range)))
    }
}
