//! `sortedset_range`, in pages.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use redis::Value;

use super::{RANGE, RANGE_BY_SCORE, SortedSets, parse_members, score_text, scored};
use crate::{error, reply};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        GetRangeByScoreRequest, GetRangeByScoreResponse, GetRangeRequest, GetRangeResponse, ScoreBound, SortedSetRange,
    },
};
use prism_driver::{
    check, index,
    sortedset::{PAGE_BYTES, PAGE_MEMBERS, ScoreRange},
};

/// The state of a range of ranks that is read.
pub struct RankReader {
    pub sets: SortedSets,
    pub context: Context,
    /// The Redis key.
    pub key: Vec<u8>,
    /// The next rank to read and the last one, negative ones from the end until the first page is read.
    pub start: i64,
    pub stop: i64,
    pub reverse: bool,
    pub done: bool,
    /// Members until the limit of the request.
    pub remaining: usize,
    /// For a result that expires: for how many milliseconds it exists after each page; 0 = for ever.
    pub keep_millis: u64,
}

impl RankReader {
    /// Reads the next page: members with their scores, and the rank of the first of them.
    pub async fn page(mut self) -> Result<Option<(Vec<(u64, (Bytes, f64))>, Self)>, Error> {
        if self.done {
            return Ok(None);
        }
        let call = RANGE.call(&[&self.key]).arg(self.start).arg(self.stop).arg(u8::from(self.reverse));
        let call = call.arg(self.remaining.min(PAGE_MEMBERS)).arg(PAGE_BYTES).arg(self.keep_millis);
        let reply = self.sets.call(&self.context, &call).await?;
        if matches!(reply, Value::Nil) {
            return Err(error::result_expired());
        }
        let mut items = reply::list(reply)?.into_iter();
        let (start, stop) = (items.next().unwrap_or(Value::Nil), items.next().unwrap_or(Value::Nil));
        let (start, stop) = (reply::integer(&start)?, reply::integer(&stop)?);
        let members = parse_members(items)?;
        self.remaining -= members.len().min(self.remaining);
        self.start = start + i64::try_from(members.len()).unwrap_or(i64::MAX);
        self.stop = stop;
        self.done = members.is_empty() || self.start > stop || self.remaining == 0;
        if self.done && self.keep_millis > 0 {
            self.sets.run::<()>(&self.context, redis::cmd("UNLINK").arg(&self.key)).await?;
        }
        Ok(Some(((u64::try_from(start).unwrap_or_default()..).zip(members).collect(), self)))
    }
}

/// The state of a range of scores that is read.
struct ScoreReader {
    sets: SortedSets,
    context: Context,
    key: Bytes,
    range: ScoreRange,
    done: bool,
    /// Members until the limit of the request.
    remaining: usize,
}

impl ScoreReader {
    async fn page(mut self) -> Result<Option<(Vec<GetRangeByScoreResponse>, Self)>, Error> {
        if self.done {
            return Ok(None);
        }
        let range = &mut self.range;
        let mut call = self.sets.script(&RANGE_BY_SCORE, &self.key);
        // The script counts the members up to a bound: those before the lower end are left out.
        call = call.arg(range.min.map(|min| bound(min.score, !min.exclusive)).unwrap_or_default());
        call = call.arg(range.max.map(|max: ScoreBound| bound(max.score, max.exclusive)).unwrap_or_default());
        call = call.arg(u8::from(range.reverse)).arg(range.skip.min(1 << 52)).arg(self.remaining.min(PAGE_MEMBERS)).arg(PAGE_BYTES);
        if let Some((score, member)) = &range.after {
            call = call.arg(score_text(*score)).arg(&member[..]);
        }
        range.skip = 0;
        let mut items = reply::list(self.sets.call(&self.context, &call).await?)?.into_iter();
        let more = reply::integer(&items.next().unwrap_or(Value::Nil))? == 1;
        let members = parse_members(items)?;
        self.remaining -= members.len().min(self.remaining);
        self.done = !more || self.remaining == 0;
        if let Some((member, score)) = members.last() {
            range.after = Some((*score, member.clone()));
        }
        let message = |(member, score): (Bytes, f64)| GetRangeByScoreResponse {
            cursor: self.range.cursor(score, &member),
            entry: Some(scored((member, score))),
        };
        Ok(Some((members.into_iter().map(message).collect(), self)))
    }
}

/// A bound in the syntax of `ZCOUNT`.
fn bound(score: f64, exclusive: bool) -> String {
    let score = score_text(score);
    if exclusive { format!("({score}") } else { score }
}

#[async_trait]
impl SortedSetRange for SortedSets {
    async fn get_range(&self, context: &Context, request: GetRangeRequest) -> Result<Messages<GetRangeResponse>, Error> {
        check::key(&self.limits, &request.key)?;
        let reader = RankReader {
            sets: self.clone(),
            context: context.clone(),
            key: self.set_key(&request.key),
            start: index::clamp(request.start),
            stop: index::clamp(request.stop.unwrap_or(-1)),
            reverse: request.reverse,
            done: false,
            remaining: check::limit_or_all(request.limit),
            keep_millis: 0,
        };
        let pages = stream::try_unfold(reader, RankReader::page);
        let message = |(rank, member)| Ok(GetRangeResponse { entry: Some(scored(member)), rank });
        Ok(pages.map_ok(move |page| stream::iter(page.into_iter().map(message))).try_flatten().boxed())
    }

    async fn get_range_by_score(
        &self,
        context: &Context,
        request: GetRangeByScoreRequest,
    ) -> Result<Messages<GetRangeByScoreResponse>, Error> {
        let range = ScoreRange::new(&self.limits, &request)?;
        let remaining = check::limit_or_all(request.limit);
        let reader = ScoreReader { sets: self.clone(), context: context.clone(), key: request.key, range, done: false, remaining };
        let pages = stream::try_unfold(reader, ScoreReader::page);
        Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
    }
}
