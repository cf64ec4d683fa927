//! `queue_visibility`.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::{
    Queues, limit,
    rows::{self, LEASED, SCHEDULED},
    settle::{self, Held},
    wait,
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Code, Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::{
    cursor,
    time::{self, Millis},
};

const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_hours(12);
const DEFAULT_LEASE: Duration = Duration::from_secs(30);

fn visibility_timeout(timeout: &prost_types::Duration) -> Result<Millis, Error> {
    Ok(millis(time::between("visibility_timeout", timeout, MIN_LEASE, MAX_LEASE)?))
}

/// Rounded up: what is promised for a time lasts it.
fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// The right to one delivery: which message, and a number that only this delivery has.
#[derive(Clone, Copy)]
struct Lease {
    message: i64,
    number: i64,
}

impl Lease {
    fn of(message: i64) -> Self {
        Self { message, number: rand::random() }
    }

    fn text(self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.message.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        cursor::encode(&bytes)
    }

    fn read(text: &str) -> Result<Self, Error> {
        let bytes: Option<[u8; 16]> = cursor::decode(text).ok().flatten().and_then(|bytes| bytes.try_into().ok());
        let Some(number) = bytes.map(u128::from_be_bytes) else {
            return Err(
                Error::invalid("lease", "is no lease that was given out here; send one as it was received").with_reason("INVALID_LEASE")
            );
        };
        let half = |bits: u128| i64::from_be_bytes(u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0).to_be_bytes());
        Ok(Self { message: half(number >> 64), number: half(number) })
    }

    /// The message, if the lease lasts.
    fn held(self, tx: &Tx<'_>, space: i64) -> DatabaseResult<Held> {
        let mut select = tx.connection.prepare_cached(
            "SELECT queue, attempts FROM messages WHERE keyspace = ?1 AND id = ?2 AND lease = ?3 AND state = ?4 AND due > ?5",
        )?;
        let row = select.query_row((space, self.message, self.number, LEASED, time::now()), |row| {
            Ok(Held { keyspace: space, id: self.message, queue: row.get(0)?, attempts: row.get(1)? })
        });
        Ok(row.optional()?.ok_or_else(lost)?)
    }
}

fn lost() -> Error {
    Error::new(
        Code::FailedPrecondition,
        "LEASE_LOST",
        "the lease has ended: its time was over, or the message was completed or released; take a message anew",
    )
}

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(&self, _: &Context, request: DequeueWithTimeoutRequest) -> Result<DequeueWithTimeoutResponse, Error> {
        let (most, wait) = (limit(request.limit)?, wait(request.wait.as_ref())?);
        let timeout = request.visibility_timeout.as_ref().map_or(Ok(millis(DEFAULT_LEASE)), visibility_timeout)?;
        let take = self.take(request.queue, wait, move |tx, space, queue| {
            let mut update = tx.connection.prepare_cached(
                "UPDATE messages SET state = ?3, due = ?4, lease = ?5, attempts = attempts + 1 WHERE keyspace = ?1 AND id = ?2",
            )?;
            let mut messages = Vec::new();
            for (id, mut message) in rows::next(tx.connection, space, queue, most)? {
                let (lease, expires) = (Lease::of(id), time::now() + timeout);
                update.execute((space, id, LEASED, expires, lease.number))?;
                message.delivery_attempt += 1;
                messages.push(LeasedMessage {
                    message: Some(message),
                    lease: lease.text(),
                    lease_expire_time: Some(time::timestamp(expires)),
                });
            }
            Ok(messages)
        });
        Ok(DequeueWithTimeoutResponse { messages: take.await? })
    }

    async fn extend_visibility(&self, _: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let lease = Lease::read(&request.lease)?;
        let Some(timeout) = &request.visibility_timeout else {
            return Err(Error::invalid("visibility_timeout", "must be set, as 30s"));
        };
        let timeout = visibility_timeout(timeout)?;
        let write = self.space.write(move |tx, space| {
            let (held, expires) = (lease.held(tx, space)?, time::now() + timeout);
            let mut update = tx.connection.prepare_cached("UPDATE messages SET due = ?3 WHERE keyspace = ?1 AND id = ?2")?;
            update.execute((space, held.id, expires))?;
            // Who waits may have to look earlier than they thought.
            settle::signal(tx, held.queue)?;
            Ok(expires)
        });
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(write.await?)) })
    }

    async fn release(&self, _: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let lease = Lease::read(&request.lease)?;
        let delay = request.delay.as_ref().map_or(Ok(Duration::ZERO), |delay| time::between("delay", delay, Duration::ZERO, MAX_LEASE))?;
        let write = self.space.write(move |tx, space| {
            let held = lease.held(tx, space)?;
            if delay.is_zero() || held.failed(tx)?.is_some() {
                return held.give_back(tx);
            }
            let mut update =
                tx.connection.prepare_cached("UPDATE messages SET state = ?3, due = ?4, lease = 0 WHERE keyspace = ?1 AND id = ?2")?;
            update.execute((space, held.id, SCHEDULED, time::now() + millis(delay)))?;
            settle::signal(tx, held.queue)
        });
        write.await?;
        Ok(ReleaseResponse {})
    }

    async fn complete(&self, _: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let lease = Lease::read(&request.lease)?;
        let write = self.space.write(move |tx, space| {
            let held = lease.held(tx, space)?;
            tx.connection.prepare_cached("DELETE FROM messages WHERE keyspace = ?1 AND id = ?2")?.execute((space, held.id))?;
            Ok(())
        });
        write.await?;
        Ok(CompleteResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_comes_back_as_it_went() {
        let lease = Lease::of(i64::MAX - 3);
        let read = Lease::read(&lease.text()).unwrap();
        assert_eq!((read.message, read.number), (lease.message, lease.number));
        for text in ["", "x", "AAAA", "not base64!"] {
            assert_eq!(Lease::read(text).err().unwrap().reason(), "INVALID_LEASE");
        }
    }
}
