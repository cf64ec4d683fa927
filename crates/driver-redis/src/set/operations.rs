//! `set_operations`.
//!
//! A result that is streamed is first stored under a Redis key of its own, because it must be of one instant and may be of any size.
//! The key is deleted at the end of the stream, and expires if nobody reads it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    READ_RESULT, STORE, Sets,
    scan::{page_size, scanned},
};
use crate::{error, keys::RESULT_MILLIS, reply};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        DifferenceRequest, DifferenceResponse, IntersectionRequest, IntersectionResponse, SetOperations, UnionRequest, UnionResponse,
    },
};
use prism_driver::{
    check, id,
    set::{Algebra, AlgebraOutcome, check_algebra},
};

impl Sets {
    async fn compute(
        &self,
        context: &Context,
        algebra: Algebra,
        keys: &[Bytes],
        destination: Option<&Bytes>,
        limit: u32,
    ) -> Result<Messages<AlgebraOutcome>, Error> {
        check_algebra(&self.limits, keys, destination, limit)?;
        let stored = match destination {
            Some(destination) => self.set_key(destination),
            None => self.keys.named("result", id::random_text()),
        };
        let sources: Vec<Vec<u8>> = keys.iter().map(|key| self.set_key(key)).collect();
        let all: Vec<&[u8]> = [&stored].into_iter().chain(&sources).map(Vec::as_slice).collect();
        let command = match algebra {
            Algebra::Union => "SUNIONSTORE",
            Algebra::Intersection => "SINTERSTORE",
            Algebra::Difference => "SDIFFSTORE",
        };
        let call = STORE.call(&all).arg(command).arg(if destination.is_some() { 0 } else { RESULT_MILLIS });
        let size = reply::count(&self.call(context, &call).await?)?;
        if destination.is_some() {
            return Ok(stream::iter([Ok(AlgebraOutcome::Stored(size))]).boxed());
        }
        let reader = ResultReader {
            sets: self.clone(),
            context: context.clone(),
            key: stored,
            scan: 0,
            count: 10,
            done: size == 0,
            remaining: check::limit_or_all(limit),
        };
        let pages = stream::try_unfold(reader, ResultReader::page);
        Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(|member| Ok(AlgebraOutcome::Member(member))))).try_flatten().boxed())
    }
}

/// The state of a stream of a result.
struct ResultReader {
    sets: Sets,
    context: Context,
    /// The Redis key of the result.
    key: Vec<u8>,
    scan: u64,
    count: u32,
    done: bool,
    /// Members until the limit of the request.
    remaining: usize,
}

impl ResultReader {
    async fn page(mut self) -> Result<Option<(Vec<Bytes>, Self)>, Error> {
        if self.done {
            return Ok(None);
        }
        let call = READ_RESULT.call(&[&self.key]).arg(RESULT_MILLIS).arg(self.scan).arg(self.count);
        let reply = self.sets.call(&self.context, &call).await?;
        if matches!(reply, redis::Value::Nil) {
            return Err(error::result_expired());
        }
        let (next, mut members) = scanned(reply)?;
        self.count = page_size(&members);
        members.truncate(self.remaining);
        self.remaining -= members.len();
        self.scan = next;
        self.done = next == 0 || self.remaining == 0;
        if self.done {
            self.sets.run::<()>(&self.context, redis::cmd("UNLINK").arg(&self.key)).await?;
        }
        Ok(Some((members, self)))
    }
}

#[async_trait]
impl SetOperations for Sets {
    async fn union(&self, context: &Context, request: UnionRequest) -> Result<Messages<UnionResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Union, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn intersection(&self, context: &Context, request: IntersectionRequest) -> Result<Messages<IntersectionResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Intersection, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }

    async fn difference(&self, context: &Context, request: DifferenceRequest) -> Result<Messages<DifferenceResponse>, Error> {
        let outcomes = self.compute(context, Algebra::Difference, &request.keys, request.destination.as_ref(), request.limit).await?;
        Ok(outcomes.map_ok(Into::into).boxed())
    }
}
