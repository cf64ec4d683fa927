//! The stream of one member of a consumer group.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::stream;
use redis::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{LEAVE, Streams, TAKE, record, record_id::RecordId};
use crate::{error, reply};
use prism_call::{Code, Context, Error, Messages, proto::models::stream::v1::JoinConsumerGroupResponse};
use prism_driver::stream::consumer_group_not_found;

/// How often a member looks for expired deliveries of other members. A redelivery may be late by this time.
const CHECK_INTERVAL: Duration = Duration::from_millis(400);
/// The first and the longest pause between two looks for acknowledgements, while a member has `max_in_flight` records.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(200);

/// A member of a group. It leaves the group when it is dropped.
pub struct GroupMember {
    streams: Streams,
    context: Context,
    stream: String,
    group: String,
    /// `ACK_TIMEOUT|RANDOM|NAME`
    consumer: String,
    max_in_flight: u32,
    taken: VecDeque<JoinConsumerGroupResponse>,
    /// The position of the search for expired deliveries, and when it continues.
    cursor: String,
    next_check: Instant,
    /// The last record that the group delivered.
    delivered: RecordId,
    /// How many more records this member may get.
    room: i64,
    _permit: OwnedSemaphorePermit,
}

/// The name that the client gave to a consumer.
pub fn client_name(consumer: &[u8]) -> String {
    let name = String::from_utf8_lossy(consumer);
    name.splitn(3, '|').nth(2).map_or_else(|| name.to_string(), str::to_owned)
}

impl GroupMember {
    pub fn new(
        streams: Streams,
        context: Context,
        stream: String,
        group: String,
        consumer: String,
        max_in_flight: u32,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            streams,
            context,
            stream,
            group,
            consumer,
            max_in_flight,
            taken: VecDeque::new(),
            cursor: "-".to_owned(),
            next_check: Instant::now(),
            delivered: RecordId(0),
            room: 0,
            _permit: permit,
        }
    }

    /// The deliveries, until the group is deleted or the client leaves.
    pub fn messages(self) -> Messages<JoinConsumerGroupResponse> {
        Box::pin(stream::try_unfold(self, |mut member| async move {
            let next = member.next().await?;
            Ok::<_, Error>(Some((next, member)))
        }))
    }

    async fn next(&mut self) -> Result<JoinConsumerGroupResponse, Error> {
        let mut unavailable_since: Option<Instant> = None;
        let mut pause = MIN_PAUSE;
        loop {
            if let Some(delivery) = self.taken.pop_front() {
                return Ok(delivery);
            }
            match self.take_or_wait(&mut pause).await {
                Ok(()) => unavailable_since = None,
                Err(error) => {
                    let since = *unavailable_since.get_or_insert_with(Instant::now);
                    let patience = *self.streams.hub.settings().patience;
                    if error.code() != Code::Unavailable || since.elapsed() >= patience || self.streams.client.is_closed() {
                        return Err(error);
                    }
                    tokio::time::sleep(error::retry_pause(&error)).await;
                }
            }
        }
    }

    /// Takes records; if there are none, waits for a while.
    async fn take_or_wait(&mut self, pause: &mut Duration) -> Result<(), Error> {
        self.take().await?;
        if !self.taken.is_empty() {
            return Ok(());
        }
        if self.room > 0 {
            *pause = MIN_PAUSE;
            let longest = self.next_check.saturating_duration_since(Instant::now()).max(MIN_PAUSE);
            let key = self.streams.stream_key(&self.stream);
            self.streams.wait_for_record(&key, self.delivered, longest).await
        } else {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(MAX_PAUSE);
            Ok(())
        }
    }

    /// Takes the records that this member may get now.
    pub async fn take(&mut self) -> Result<(), Error> {
        let check = Instant::now() >= self.next_check;
        let cursor = if check { self.cursor.as_str() } else { "" };
        let call = self.streams.script(&TAKE, &self.stream).arg(&self.group).arg(&self.consumer).arg(self.max_in_flight).arg(cursor);
        let reply = self.streams.call(&self.context, &call).await?;
        if reply == Value::Nil {
            return Err(consumer_group_not_found(&self.stream, &self.group));
        }
        let mut items = reply::list(reply)?.into_iter();
        let mut next = || items.next().ok_or_else(error::unexpected_reply);
        let (cursor, delivered, room) = (reply::required_bytes(next()?)?, next()?, next()?);
        if check {
            self.cursor = String::from_utf8(cursor.into()).map_err(|_| error::unexpected_reply())?;
            // The next page of a long list follows at once.
            self.next_check = Instant::now() + if self.cursor == "-" { CHECK_INTERVAL } else { MIN_PAUSE };
        }
        self.delivered = RecordId::parse(&delivered)?.unwrap_or_default();
        self.room = reply::integer(&room)?;
        while let (Some(id), Some(fields), Some(attempt)) = (items.next(), items.next(), items.next()) {
            let (_, record) = record::decode(&self.stream, &id, fields)?;
            let delivery_attempt = u32::try_from(reply::count(&attempt)?).unwrap_or(u32::MAX);
            self.taken.push_back(JoinConsumerGroupResponse { record: Some(record), delivery_attempt });
        }
        Ok(())
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // Without a runtime the process is ending. Its records are delivered again after the time to acknowledge.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let call = self.streams.script(&LEAVE, &self.stream).arg(&self.group).arg(&self.consumer);
        let (client, namespace) = (self.streams.client.clone(), self.context.namespace.clone());
        runtime.spawn(async move {
            if let Err(error) = client.call(&Context::internal(namespace), &call).await {
                tracing::debug!(%error, "a member could not leave its consumer group; its records are delivered again after their ack_timeout");
            }
        });
    }
}
