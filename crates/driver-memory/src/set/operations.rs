//! `set_operations`: a result is computed under the lock, and holds the members that it shares with the sets until it is sent.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{SetState, Sets, key_bytes, members::MemberSet, set_bytes};
use crate::state::{OVERHEAD, ReservedBytes};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        DifferenceRequest, DifferenceResponse, IntersectionRequest, IntersectionResponse, SetOperations, UnionRequest, UnionResponse,
    },
};
use prism_driver::{
    check,
    set::{Algebra, AlgebraOutcome, check_algebra},
};

impl Sets {
    fn compute(
        &self,
        algebra: Algebra,
        keys: &[Bytes],
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        check_algebra(&self.limits, keys, destination, limit)?;
        let mut state = self.state()?;
        let Some(destination) = destination else {
            let most = check::limit_or_all(limit);
            let members = state.compute(algebra, keys, most);
            drop(state);
            let reserved = ReservedBytes::new(&self.shared, members.len() as u64 * OVERHEAD)?;
            return Ok(stream::iter(members)
                .map(move |member| {
                    let _reserved = &reserved;
                    Ok(AlgebraOutcome::Member(member))
                })
                .boxed());
        };
        let result: MemberSet = state.compute(algebra, keys, usize::MAX).into_iter().collect();
        let size = result.len() as u64;
        state.replace(destination, result)?;
        Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed())
    }
}

impl SetState {
    /// The members of a result, at most `most`.
    fn compute(&self, algebra: Algebra, keys: &[Bytes], most: usize) -> Vec<Bytes> {
        let sets: Vec<Option<&MemberSet>> = keys.iter().map(|key| self.sets.get(key)).collect();
        let all = sets.iter().flatten().flat_map(|set| set.iter());
        match algebra {
            Algebra::Union => {
                let mut union = MemberSet::default();
                for member in all {
                    if union.len() >= most {
                        break;
                    }
                    union.insert(member.clone());
                }
                union.iter().cloned().collect()
            }
            Algebra::Intersection => {
                let Some(sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return Vec::new() };
                let Some(smallest) = sets.iter().min_by_key(|set| set.len()) else { return Vec::new() };
                smallest.iter().filter(|member| sets.iter().all(|set| set.contains(member))).take(most).cloned().collect()
            }
            Algebra::Difference => {
                let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
                let kept = first.iter().filter(|member| !others.iter().flatten().any(|set| set.contains(member)));
                kept.take(most).cloned().collect()
            }
        }
    }

    /// Replaces a set; an empty result removes it.
    fn replace(&mut self, key: &Bytes, result: MemberSet) -> Result<(), Error> {
        let bytes = |set: &MemberSet| if set.len() == 0 { 0 } else { set_bytes(set) + key_bytes(key) };
        let (needed, freed) = (bytes(&result), self.sets.get(key).map_or(0, bytes));
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
impl SetOperations for Sets {
    async fn union(&self, _: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let outcomes = self.compute(Algebra::Union, &request.keys, request.destination.as_ref(), request.limit)?;
        Ok(outcomes.map(|outcome| outcome.map(Into::into)).boxed())
    }

    async fn intersection(&self, _: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let outcomes = self.compute(Algebra::Intersection, &request.keys, request.destination.as_ref(), request.limit)?;
        Ok(outcomes.map(|outcome| outcome.map(Into::into)).boxed())
    }

    async fn difference(&self, _: &Context, request: DifferenceRequest) -> Result<Messages<DifferenceResponse>, Error> {
        let outcomes = self.compute(Algebra::Difference, &request.keys, request.destination.as_ref(), request.limit)?;
        Ok(outcomes.map(|outcome| outcome.map(Into::into)).boxed())
    }
}
