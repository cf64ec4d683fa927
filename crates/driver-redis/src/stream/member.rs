//! One member of a consumer group.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::stream;
use redis::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{LEAVE, Streams, TAKE, groups, offset::Id, record};
use crate::{error, reply};
use prism_call::{Code, Context, Error, Messages, proto::models::stream::v1::JoinConsumerGroupResponse};

/// How often a member looks for deliveries of others that are overdue, and so how late it may be.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How soon, and at the latest how late, a member that waits for acknowledgements looks whether there are any.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// A member while its stream is there; it leaves when it is dropped.
pub struct Member {
    streams: Streams,
    context: Context,
    stream: String,
    group: String,
    /// `ACK_TIMEOUT|RANDOM|NAME`
    consumer: String,
    max_in_flight: u32,
    taken: VecDeque<JoinConsumerGroupResponse>,
    /// Where to go on looking for overdue deliveries, and when.
    cursor: String,
    look_at: Instant,
    /// The last record that the group delivered, and how many more this member may get.
    delivered: Id,
    room: i64,
    _permit: OwnedSemaphorePermit,
}

/// The name of a consumer as its client gave it.
pub fn shown(consumer: &[u8]) -> String {
    let name = String::from_utf8_lossy(consumer);
    name.splitn(3, '|').nth(2).map_or_else(|| name.to_string(), str::to_owned)
}

impl Member {
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
            look_at: Instant::now(),
            delivered: Id(0),
            room: 0,
            _permit: permit,
        }
    }

    /// Its deliveries, until the group is deleted or the client leaves.
    pub fn messages(self) -> Messages<JoinConsumerGroupResponse> {
        Box::pin(stream::try_unfold(self, |mut member| async move {
            let next = member.next().await?;
            Ok::<_, Error>(Some((next, member)))
        }))
    }

    async fn next(&mut self) -> Result<JoinConsumerGroupResponse, Error> {
        let mut away: Option<Instant> = None;
        let mut pause = PAUSE.0;
        loop {
            if let Some(delivery) = self.taken.pop_front() {
                return Ok(delivery);
            }
            match self.step(&mut pause).await {
                Ok(()) => away = None,
                Err(error) => {
                    let since = *away.get_or_insert_with(Instant::now);
                    let patience = *self.streams.hub.settings().patience;
                    if error.code() != Code::Unavailable || since.elapsed() >= patience || self.streams.client.is_closed() {
                        return Err(error);
                    }
                    tokio::time::sleep(error::pause(&error)).await;
                }
            }
        }
    }

    /// Takes what is there; if nothing is, waits for a while.
    async fn step(&mut self, pause: &mut Duration) -> Result<(), Error> {
        self.take().await?;
        if !self.taken.is_empty() {
            return Ok(());
        }
        if self.room > 0 {
            *pause = PAUSE.0;
            let most = self.look_at.saturating_duration_since(Instant::now()).max(PAUSE.0);
            let key = self.streams.stream_key(&self.stream);
            self.streams.waiting.wait(&key, self.delivered, most).await
        } else {
            tokio::time::sleep(*pause).await;
            *pause = (*pause * 2).min(PAUSE.1);
            Ok(())
        }
    }

    /// Takes what this member may get now.
    pub async fn take(&mut self) -> Result<(), Error> {
        let look = Instant::now() >= self.look_at;
        let cursor = if look { self.cursor.as_str() } else { "" };
        let call = self.streams.script(&TAKE, &self.stream).arg(&self.group).arg(&self.consumer).arg(self.max_in_flight).arg(cursor);
        let answer = self.streams.call(&self.context, &call).await?;
        if answer == Value::Nil {
            return Err(groups::not_found(&self.stream, &self.group));
        }
        let mut answer = reply::list(answer)?.into_iter();
        let mut next = || answer.next().ok_or_else(error::unexpected);
        let (cursor, delivered, room) = (reply::some_bytes(next()?)?, next()?, next()?);
        if look {
            self.cursor = String::from_utf8(cursor.into()).map_err(|_| error::unexpected())?;
            // Behind a page of a long list comes the next one at once.
            self.look_at = Instant::now() + if self.cursor == "-" { LOOK_EVERY } else { PAUSE.0 };
        }
        self.delivered = Id::read(&delivered)?.unwrap_or_default();
        self.room = reply::integer(&room)?;
        while let (Some(id), Some(fields), Some(attempt)) = (answer.next(), answer.next(), answer.next()) {
            let (_, record) = record::read(&self.stream, &id, fields)?;
            let delivery_attempt = u32::try_from(reply::count(&attempt)?).unwrap_or(u32::MAX);
            self.taken.push_back(JoinConsumerGroupResponse { record: Some(record), delivery_attempt });
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the time to acknowledge does the rest.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let call = self.streams.script(&LEAVE, &self.stream).arg(&self.group).arg(&self.consumer);
        let (client, namespace) = (self.streams.client.clone(), self.context.namespace.clone());
        runtime.spawn(async move {
            if let Err(error) = client.call(&Context::internal(namespace), &call).await {
                tracing::debug!(%error, "a member of a consumer group could not be signed off; its records come again when they are overdue");
            }
        });
    }
}
