//! `sortedset_operations`.
//!
//! A result that is streamed is first stored under a Redis key of its own, because it must be of one instant and may be of any size.
//! The key is deleted at the end of the stream, and expires if nobody reads it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{STORE, SortedSets, range::RankReader, score_text, scored};
use crate::{keys::RESULT_MILLIS, reply};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        IntersectionRequest, IntersectionResponse, ScoreAggregation, SortedSetOperations, UnionRequest, UnionResponse, WeightedSource,
    },
};
use prism_driver::{
    check, id,
    sortedset::{AlgebraOutcome, check_sources},
};

impl SortedSets {
    /// Computes with one of the commands `ZUNIONSTORE` and `ZINTERSTORE`.
    async fn compute(
        &self,
        context: &Context,
        command: &str,
        sources: &[WeightedSource],
        aggregation: ScoreAggregation,
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        let weights = check_sources(&self.limits, sources, destination, limit)?;
        let stored = match destination {
            Some(destination) => self.set_key(destination),
            None => self.keys.named("result", id::random_text()),
        };
        let sources: Vec<Vec<u8>> = sources.iter().map(|source| self.set_key(&source.key)).collect();
        let all: Vec<&[u8]> = [&stored].into_iter().chain(&sources).map(Vec::as_slice).collect();
        let mut call = STORE.call(&all).arg(command).arg(if destination.is_some() { 0 } else { RESULT_MILLIS }).arg(match aggregation {
            ScoreAggregation::Min => "MIN",
            ScoreAggregation::Max => "MAX",
            ScoreAggregation::Sum | ScoreAggregation::Unspecified => "SUM",
        });
        for weight in weights {
            call.push(score_text(weight));
        }
        let size = reply::count(&self.call(context, &call).await?)?;
        if destination.is_some() {
            return Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed());
        }
        let reader = RankReader {
            sets: self.clone(),
            context: context.clone(),
            key: stored,
            start: 0,
            stop: -1,
            reverse: false,
            done: size == 0,
            remaining: check::limit_or_all(limit),
            keep_millis: RESULT_MILLIS,
        };
        let pages = stream::try_unfold(reader, RankReader::page);
        let outcome = |(_, member)| Ok(AlgebraOutcome::Entry(scored(member)));
        Ok(pages.map_ok(move |page| stream::iter(page.into_iter().map(outcome))).try_flatten().boxed())
    }
}

#[async_trait]
impl SortedSetOperations for SortedSets {
    async fn union(&self, context: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let UnionRequest { sources, destination, limit, .. } = &request;
        let outcomes = self.compute(context, "ZUNIONSTORE", sources, request.aggregation(), destination.as_ref(), *limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, context: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let IntersectionRequest { sources, destination, limit, .. } = &request;
        let outcomes = self.compute(context, "ZINTERSTORE", sources, request.aggregation(), destination.as_ref(), *limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }
}
