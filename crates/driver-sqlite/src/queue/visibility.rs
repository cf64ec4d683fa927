//! `queue_visibility`

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;

use super::{
    Queues,
    due::{self, UnreadyMessage},
    rows,
    state::{LEASED, SCHEDULED},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        CompleteRequest, CompleteResponse, DequeueWithTimeoutRequest, DequeueWithTimeoutResponse, ExtendVisibilityRequest,
        ExtendVisibilityResponse, LeasedMessage, QueueVisibility, ReleaseRequest, ReleaseResponse,
    },
};
use prism_driver::{
    cursor,
    queue::{invalid_lease, lease_lost, lease_time, message_limit, release_delay, required_lease_time, wait_time},
    time,
};

/// A lease of one delivery: the id of the message, and a random number of the delivery.
#[derive(Clone, Copy)]
struct Lease {
    message: i64,
    number: i64,
}

impl Lease {
    fn new(message: i64) -> Self {
        Self { message, number: rand::random() }
    }

    /// The text that clients get.
    fn encode(self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.message.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        cursor::encode(&bytes)
    }

    fn decode(text: &str) -> Result<Self, Error> {
        let bytes: Option<[u8; 16]> = cursor::decode(text).ok().flatten().and_then(|bytes| bytes.try_into().ok());
        let Some(number) = bytes.map(u128::from_be_bytes) else {
            return Err(invalid_lease());
        };
        let half = |bits: u128| i64::from_be_bytes(u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0).to_be_bytes());
        Ok(Self { message: half(number >> 64), number: half(number) })
    }

    /// The message of the lease. Fails if the lease has ended.
    fn message(self, tx: &Tx<'_>, keyspace: i64) -> DatabaseResult<UnreadyMessage> {
        let mut select = tx.connection.prepare_cached(
            "SELECT queue, attempts FROM messages WHERE keyspace = ?1 AND id = ?2 AND lease = ?3 AND state = ?4 AND due > ?5",
        )?;
        let row = select.query_row((keyspace, self.message, self.number, LEASED, time::now()), |row| {
            Ok(UnreadyMessage { keyspace, id: self.message, queue: row.get(0)?, attempts: row.get(1)? })
        });
        Ok(row.optional()?.ok_or_else(lease_lost)?)
    }
}

#[async_trait]
impl QueueVisibility for Queues {
    async fn dequeue_with_timeout(&self, _: &Context, request: DequeueWithTimeoutRequest) -> Result<DequeueWithTimeoutResponse, Error> {
        let (limit, wait) = (message_limit(request.limit)?, wait_time(request.wait.as_ref())?);
        let duration = lease_time(request.visibility_timeout.as_ref())?;
        let take = self.take(request.queue, wait, move |tx, keyspace, queue| {
            let mut update = tx.connection.prepare_cached(
                "UPDATE messages SET state = ?3, due = ?4, lease = ?5, attempts = attempts + 1 WHERE keyspace = ?1 AND id = ?2",
            )?;
            let mut messages = Vec::new();
            for (id, mut message) in rows::next_ready(tx.connection, keyspace, queue, limit)? {
                let (lease, expires) = (Lease::new(id), time::after(time::now(), duration));
                update.execute((keyspace, id, LEASED, expires, lease.number))?;
                message.delivery_attempt += 1;
                messages.push(LeasedMessage {
                    message: Some(message),
                    lease: lease.encode(),
                    lease_expire_time: Some(time::timestamp(expires)),
                });
            }
            Ok(messages)
        });
        Ok(DequeueWithTimeoutResponse { messages: take.await? })
    }

    async fn extend_visibility(&self, _: &Context, request: ExtendVisibilityRequest) -> Result<ExtendVisibilityResponse, Error> {
        let lease = Lease::decode(&request.lease)?;
        let duration = required_lease_time(request.visibility_timeout.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let (message, expires) = (lease.message(tx, keyspace)?, time::after(time::now(), duration));
            let mut update = tx.connection.prepare_cached("UPDATE messages SET due = ?3 WHERE keyspace = ?1 AND id = ?2")?;
            update.execute((keyspace, message.id, expires))?;
            // Waiting calls may have to wake earlier than planned.
            due::signal(tx, message.queue)?;
            Ok(expires)
        });
        Ok(ExtendVisibilityResponse { lease_expire_time: Some(time::timestamp(write.await?)) })
    }

    async fn release(&self, _: &Context, request: ReleaseRequest) -> Result<ReleaseResponse, Error> {
        let lease = Lease::decode(&request.lease)?;
        let delay = release_delay(request.delay.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let message = lease.message(tx, keyspace)?;
            if delay.is_zero() || message.failed_target(tx)?.is_some() {
                return message.end_lease(tx);
            }
            let mut update =
                tx.connection.prepare_cached("UPDATE messages SET state = ?3, due = ?4, lease = 0 WHERE keyspace = ?1 AND id = ?2")?;
            update.execute((keyspace, message.id, SCHEDULED, time::after(time::now(), delay)))?;
            due::signal(tx, message.queue)
        });
        write.await?;
        Ok(ReleaseResponse {})
    }

    async fn complete(&self, _: &Context, request: CompleteRequest) -> Result<CompleteResponse, Error> {
        let lease = Lease::decode(&request.lease)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let message = lease.message(tx, keyspace)?;
            tx.connection.prepare_cached("DELETE FROM messages WHERE keyspace = ?1 AND id = ?2")?.execute((keyspace, message.id))?;
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
    fn a_lease_is_decoded_as_it_was_encoded() {
        let lease = Lease::new(i64::MAX - 3);
        let read = Lease::decode(&lease.encode()).unwrap();
        assert_eq!((read.message, read.number), (lease.message, lease.number));
        for text in ["", "x", "AAAA", "not base64!"] {
            assert_eq!(Lease::decode(text).err().unwrap().reason(), "INVALID_LEASE");
        }
    }
}
