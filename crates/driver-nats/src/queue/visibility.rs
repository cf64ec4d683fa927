//! `queue_visibility`

use async_trait::async_trait;

use super::{Queues, document_tokens, lease::Lease, message, state::QueueState};
use crate::{client::Deadline, documents::Changed, table::Conflicts};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::{
    check,
    queue::{lease_lost, lease_time, message_limit, release_delay, required_lease_time, wait_time},
    time::{self, Millis},
};

impl Queues {
    /// Ends a lease whose message stays in the queue, or moves to its dead-letter queue.
    async fn release_until(&self, deadline: &Deadline, lease: &Lease, until: Millis) -> Result<(), Error> {
        let (log, tokens) = (self.log(&lease.queue), document_tokens(&lease.queue));
        let _guard = self.documents.lock(deadline, &tokens).await?;
        let mut conflicts = Conflicts::default();
        loop {
            let (mut state, sequence) = self.documents.load::<QueueState>(deadline, &tokens).await?.ok_or_else(lease_lost)?;
            let open = *state.leased(lease.sequence, lease.number, time::now()).ok_or_else(lease_lost)?;
            if state.has_failed(&open) {
                self.move_to_dead_letters(deadline, &lease.queue, &log, &mut state, lease.sequence).await?;
            } else if let Some(open) = state.open.get_mut(&lease.sequence) {
                (open.lease, open.until) = (0, until);
            }
            if self.documents.save(deadline, &tokens, sequence, &state).await?.is_some() {
                return Ok(());
            }
            conflicts.pause(deadline).await?;
        }
    }
}

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(
        &self,
        context: &Context,
        request: DequeueWithTimeoutRequest,
    ) -> Result<DequeueWithTimeoutResponse, Error> {
        check::name("queue", &request.queue)?;
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        let lease_time = lease_time(request.visibility_timeout.as_ref())?;
        let attempt = self.take_or_wait(context, &request.queue, limit, wait, lease_time).await?;
        let leased = attempt.taken.iter().map(|taken| {
            let lease = Lease { queue: request.queue.clone(), sequence: taken.stored.sequence, number: taken.lease };
            Ok(LeasedMessage {
                message: Some(message::decode(&taken.stored, taken.attempts)?),
                lease: lease.encode(),
                lease_expire_time: Some(time::timestamp(taken.until)),
            })
        });
        Ok(DequeueWithTimeoutResponse { messages: leased.collect::<Result<_, Error>>()? })
    }

    async fn extend_visibility(&self, context: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let lease = Lease::decode(&request.lease)?;
        let lease_time = required_lease_time(request.visibility_timeout.as_ref())?;
        let (deadline, tokens) = (self.client.deadline(context), document_tokens(&lease.queue));
        let extended = self.documents.update(&deadline, &tokens, |state: &mut QueueState| {
            let now = time::now();
            match state.leased(lease.sequence, lease.number, now) {
                Some(open) => {
                    open.until = time::after(now, lease_time);
                    Changed::Yes(Some(open.until))
                }
                None => Changed::No(None),
            }
        });
        let until = extended.await?.flatten().ok_or_else(lease_lost)?;
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(until)) })
    }

    async fn release(&self, context: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let lease = Lease::decode(&request.lease)?;
        let until = time::after(time::now(), release_delay(request.delay.as_ref())?);
        self.release_until(&self.client.deadline(context), &lease, until).await?;
        Ok(ReleaseResponse {})
    }

    async fn complete(&self, context: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let Lease { queue, sequence, number } = Lease::decode(&request.lease)?;
        let (deadline, tokens) = (self.client.deadline(context), document_tokens(&queue));
        let guard = self.documents.lock(&deadline, &tokens).await?;
        let (mut state, stored) = self.documents.load::<QueueState>(&deadline, &tokens).await?.ok_or_else(lease_lost)?;
        state.leased(sequence, number, time::now()).ok_or_else(lease_lost)?;
        // Of several calls with the lease, one deletes the message.
        if !self.log(&queue).delete(&deadline, sequence).await? {
            return Err(lease_lost());
        }
        state.open.remove(&sequence);
        if self.documents.save(&deadline, &tokens, stored, &state).await?.is_none() {
            drop(guard);
            let forget = |state: &mut QueueState| {
                state.open.retain(|other, open| *other != sequence || open.lease != number);
            };
            self.documents.upsert(&deadline, &tokens, forget).await?;
        }
        Ok(CompleteResponse {})
    }
}
