//! `sortedset_operations`: a result is computed under the lock, and holds the members that it shares with the sets until it is sent.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{
    SortedSetState, SortedSets,
    ranked::{RankedMember, RankedSet},
    set_bytes,
};
use crate::state::{OVERHEAD, ReservedBytes};
use prism_call::{
    Context, Error, Messages,
    proto::models::sortedset::v1::{
        IntersectionRequest, IntersectionResponse, ScoreAggregation, ScoredMember, SortedSetOperations, UnionRequest, UnionResponse,
        WeightedSource,
    },
};
use prism_driver::{
    check,
    sortedset::{AlgebraOutcome, check_sources, combine, weighted},
};

/// Whether members must be in all sources, or in one of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
}

impl SortedSets {
    fn compute(
        &self,
        operation: Operation,
        sources: &[WeightedSource],
        aggregation: ScoreAggregation,
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        let weights = check_sources(&self.limits, sources, destination, limit)?;
        let mut state = self.state()?;
        let sources: Vec<(Option<&RankedSet>, f64)> =
            sources.iter().zip(weights).map(|(source, weight)| (state.sets.get(&source.key), weight)).collect();
        let scores = match operation {
            Operation::Union => unite(&sources, aggregation),
            Operation::Intersection => intersect(&sources, aggregation),
        };
        let result = RankedSet::new(scores.into_iter().map(|(member, score)| RankedMember { score, member }).collect());
        if let Some(destination) = destination {
            let size = result.len() as u64;
            state.replace(destination, result)?;
            return Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed());
        }
        drop(state);
        let most = check::limit_or_all(limit);
        let members = result.collect(0..most, false);
        let reserved = ReservedBytes::new(&self.shared, members.len() as u64 * OVERHEAD)?;
        Ok(stream::iter(members)
            .map(move |RankedMember { score, member }| {
                let _reserved = &reserved;
                Ok(AlgebraOutcome::Entry(ScoredMember { member, score }))
            })
            .boxed())
    }
}

fn unite(sources: &[(Option<&RankedSet>, f64)], aggregation: ScoreAggregation) -> HashMap<Bytes, f64> {
    let mut union: HashMap<Bytes, f64> = HashMap::new();
    for (set, weight) in sources {
        for (member, score) in set.iter().flat_map(|set| set.scores()) {
            let score = weighted(score, *weight);
            match union.get_mut(member) {
                Some(sum) => *sum = combine(aggregation, *sum, score),
                None => drop(union.insert(member.clone(), score)),
            }
        }
    }
    union
}

fn intersect(sources: &[(Option<&RankedSet>, f64)], aggregation: ScoreAggregation) -> HashMap<Bytes, f64> {
    let sets: Option<Vec<(&RankedSet, f64)>> = sources.iter().map(|(set, weight)| set.map(|set| (set, *weight))).collect();
    let Some(sets) = sets else { return HashMap::new() };
    let Some((smallest, _)) = sets.iter().min_by_key(|(set, _)| set.len()) else { return HashMap::new() };
    let score_of = |member: &Bytes| {
        let mut scores = sets.iter().map(|(set, weight)| set.score(member).map(|score| weighted(score, *weight)));
        let first = scores.next()??;
        scores.try_fold(first, |sum, score| Some(combine(aggregation, sum, score?)))
    };
    smallest.members().filter_map(|member| Some((member.clone(), score_of(member)?))).collect()
}

impl SortedSetState {
    /// Replaces a sorted set; an empty result removes it.
    fn replace(&mut self, key: &Bytes, result: RankedSet) -> Result<(), Error> {
        let (needed, freed) = (set_bytes(key, &result), self.sets.get(key).map_or(0, |set| set_bytes(key, set)));
        if needed > freed {
            self.shared.reserve(needed - freed)?;
        } else {
            self.shared.release(freed - needed);
        }
        if result.len() == 0 {
            self.sets.remove(key);
        } else {
            self.sets.insert(Bytes::copy_from_slice(key), result);
        }
        Ok(())
    }
}

#[async_trait]
impl SortedSetOperations for SortedSets {
    async fn union(&self, _: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let aggregation = request.aggregation();
        let outcomes = self.compute(Operation::Union, &request.sources, aggregation, request.destination.as_ref(), request.limit)?;
        Ok(outcomes.map(|outcome| outcome.map(Into::into)).boxed())
    }

    async fn intersection(&self, _: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let aggregation = request.aggregation();
        let outcomes = self.compute(Operation::Intersection, &request.sources, aggregation, request.destination.as_ref(), request.limit)?;
        Ok(outcomes.map(|outcome| outcome.map(Into::into)).boxed())
    }
}
