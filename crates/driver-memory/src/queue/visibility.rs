//! `queue_visibility`

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::{
    id,
    queue::{invalid_lease, lease_lost, lease_time, release_delay, required_lease_time},
    time,
};

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(&self, _: &Context, request: DequeueWithTimeoutRequest) -> Result<DequeueWithTimeoutResponse, Error> {
        let duration = lease_time(request.visibility_timeout.as_ref())?;
        let queue = &request.queue;
        let leased = self.take(queue, request.limit, request.wait.as_ref(), |state, now| state.lease_next(queue, duration, now)).await?;
        let messages = leased
            .into_iter()
            .map(|(message, lease, expires)| LeasedMessage {
                message: Some(message),
                lease: id::to_text(lease),
                lease_expire_time: Some(time::timestamp(expires)),
            })
            .collect();
        Ok(DequeueWithTimeoutResponse { messages })
    }

    async fn extend_visibility(&self, _: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let lease = parse_lease(&request.lease)?;
        let duration = required_lease_time(request.visibility_timeout.as_ref())?;
        let now = time::now();
        let expires = time::after(now, duration);
        if !self.state(now)?.extend_lease(lease, expires) {
            return Err(lease_lost());
        }
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(expires)) })
    }

    async fn release(&self, _: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let lease = parse_lease(&request.lease)?;
        let now = time::now();
        let due = time::after(now, release_delay(request.delay.as_ref())?);
        if self.state(now)?.release(lease, due, now) { Ok(ReleaseResponse {}) } else { Err(lease_lost()) }
    }

    async fn complete(&self, _: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let lease = parse_lease(&request.lease)?;
        if self.state(time::now())?.complete(lease) { Ok(CompleteResponse {}) } else { Err(lease_lost()) }
    }
}

fn parse_lease(lease: &str) -> Result<u128, Error> {
    id::parse(lease).ok_or_else(invalid_lease)
}
