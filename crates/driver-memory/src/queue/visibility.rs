//! `queue_visibility`

use std::time::Duration;

use async_trait::async_trait;

use super::Queues;
use prism_call::{
    Code, Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::time;

const DEFAULT_LEASE: Duration = Duration::from_secs(30);
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_hours(12);

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(&self, _: &Context, request: DequeueWithTimeoutRequest) -> Result<DequeueWithTimeoutResponse, Error> {
        let lasts = request.visibility_timeout.as_ref().map_or(Ok(DEFAULT_LEASE), lease_time)?;
        let queue = &request.queue;
        let leased = self.take(queue, request.limit, request.wait.as_ref(), |state, now| state.lease_next(queue, lasts, now)).await?;
        let messages = leased
            .into_iter()
            .map(|(message, id, ends)| LeasedMessage {
                message: Some(message),
                lease: format!("{id:032x}"),
                lease_expire_time: Some(time::timestamp(ends)),
            })
            .collect();
        Ok(DequeueWithTimeoutResponse { messages })
    }

    async fn extend_visibility(&self, _: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let id = parse(&request.lease)?;
        let Some(lasts) = &request.visibility_timeout else {
            return Err(Error::invalid("visibility_timeout", "must be set, between 1s and 43200s"));
        };
        let lasts = lease_time(lasts)?;
        let now = time::now();
        let ends = time::after(now, lasts);
        if !self.state(now)?.extend(id, ends) {
            return Err(lost());
        }
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(ends)) })
    }

    async fn release(&self, _: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let id = parse(&request.lease)?;
        let now = time::now();
        let delay = request.delay.as_ref().map(|delay| time::between("delay", delay, Duration::ZERO, MAX_LEASE)).transpose()?;
        let due = delay.map(|delay| time::after(now, delay));
        if self.state(now)?.give_back(id, due, now) { Ok(ReleaseResponse {}) } else { Err(lost()) }
    }

    async fn complete(&self, _: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let id = parse(&request.lease)?;
        if self.state(time::now())?.complete(id) { Ok(CompleteResponse {}) } else { Err(lost()) }
    }
}

fn lease_time(lasts: &prost_types::Duration) -> Result<Duration, Error> {
    time::between("visibility_timeout", lasts, MIN_LEASE, MAX_LEASE)
}

fn parse(lease: &str) -> Result<u128, Error> {
    let hexadecimal = lease.len() == 32 && lease.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal
        .then(|| u128::from_str_radix(lease, 16).ok())
        .flatten()
        .ok_or_else(|| Error::invalid("lease", "is no lease; send one as DequeueWithTimeout answered it").with_reason("INVALID_LEASE"))
}

fn lost() -> Error {
    Error::new(
        Code::FailedPrecondition,
        "LEASE_LOST",
        "the lease has ended: the message is done, or was given back, or its time was over and it is delivered again",
    )
}
