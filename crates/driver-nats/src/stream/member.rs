//! The stream of one member of a consumer group.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Streams, group::Group, group_tokens, record};
use crate::{client::Deadline, documents::Changed, jetstream::Stored, log::Log, signals::Listener, table::Conflicts};
use prism_call::{Context, Error, Messages, proto::models::stream::v1::JoinConsumerGroupResponse};
use prism_driver::{
    stream::consumer_group_not_found,
    time::{self, Millis},
};

/// Most records that a member takes at once.
const BATCH: usize = 64;
/// Bytes of records after which a member takes no more at once.
const BATCH_BYTES: usize = 4 << 20;
/// How long a member waits before it looks again, if nothing wakes it.
const WAIT: Duration = Duration::from_secs(2);

/// A member of a group. It leaves the group when it is dropped.
pub struct GroupMember {
    streams: Streams,
    context: Context,
    log: Log,
    stream: String,
    group: String,
    /// The tokens of the group's document.
    tokens: String,
    /// The id of the group; `None` before the first attempt.
    group_id: Option<u64>,
    id: u32,
    name: String,
    max_in_flight: usize,
    ack_timeout: Duration,
    taken: VecDeque<JoinConsumerGroupResponse>,
    /// When a record is delivered again.
    next_due: Option<Millis>,
    listeners: Option<(Listener, Listener)>,
    _permit: OwnedSemaphorePermit,
}

/// How a client takes part.
pub struct Membership {
    pub stream: String,
    pub group: String,
    /// Empty = the server makes one.
    pub name: String,
    pub max_in_flight: usize,
    pub ack_timeout: Duration,
}

impl GroupMember {
    pub fn new(streams: Streams, context: Context, membership: Membership, permit: OwnedSemaphorePermit) -> Self {
        let Membership { stream, group, name, max_in_flight, ack_timeout } = membership;
        let id = rand::random_range(1..=u32::MAX);
        Self {
            log: streams.log(&stream),
            tokens: group_tokens(&stream, &group),
            streams,
            context,
            stream,
            group,
            group_id: None,
            id,
            name: if name.is_empty() { format!("{id:08x}") } else { name },
            max_in_flight,
            ack_timeout,
            taken: VecDeque::new(),
            next_due: None,
            listeners: None,
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
        let mut outage = self.streams.subscriptions.outage();
        loop {
            if let Some(delivery) = self.taken.pop_front() {
                return Ok(delivery);
            }
            match self.take().await {
                Ok(()) => {
                    outage.ended();
                    if self.taken.is_empty() {
                        self.wait().await;
                    }
                }
                Err(error) => outage.wait(error, self.streams.client.connection().is_closed()).await?,
            }
        }
    }

    /// Waits for a new record, a change of the group, or the time when a record is delivered again.
    async fn wait(&mut self) {
        let due = self.next_due.map(|due| Duration::from_millis(u64::try_from(due - time::now()).unwrap_or(0)));
        let at_most = due.map_or(WAIT, |due| due.min(WAIT));
        match &mut self.listeners {
            Some((records, group)) => tokio::select! {
                () = records.changed(at_most) => {}
                () = group.changed(at_most) => {}
            },
            None => tokio::time::sleep(at_most).await,
        }
    }

    /// Takes the records that this member may get now.
    pub async fn take(&mut self) -> Result<(), Error> {
        let deadline = self.streams.client.deadline(&self.context);
        if self.listeners.is_none() {
            let (signals, documents) = (&self.streams.signals, &self.streams.documents);
            let records = signals.listen(&deadline, &self.streams.wake_subject(&self.stream)).await?;
            self.listeners = Some((records, signals.listen(&deadline, &documents.wake_subject(&self.tokens)).await?));
        }
        let documents = self.streams.documents.clone();
        // Without the lock of the document: a client that does not read suspends this future anywhere, and others would wait for it.
        let mut conflicts = Conflicts::default();
        loop {
            let loaded = documents.load::<Group>(&deadline, &self.tokens).await?;
            let Some((mut group, sequence)) = loaded.filter(|(group, _)| self.group_id.is_none_or(|id| id == group.id)) else {
                return Err(consumer_group_not_found(&self.stream, &self.group));
            };
            self.group_id = Some(group.id);
            let (changed, taken) = self.deliver(&deadline, &mut group).await?;
            self.next_due = group.next_due();
            if !changed {
                return Ok(());
            }
            if documents.save(&deadline, &self.tokens, sequence, &group).await?.is_some() {
                for (stored, delivery_attempt) in taken {
                    let record = record::decode(&self.stream, stored)?;
                    self.taken.push_back(JoinConsumerGroupResponse { record: Some(record), delivery_attempt });
                }
                return Ok(());
            }
            conflicts.pause(&deadline).await?;
        }
    }

    /// Delivers records to this member, in the document only. Returns whether the document changed, and the records.
    async fn deliver(&self, deadline: &Deadline, group: &mut Group) -> Result<(bool, Vec<(Stored, u32)>), Error> {
        let now = time::now();
        let mut changed = group.refresh(self.id, &self.name, now);
        let room = group.room(self.id, self.max_in_flight, now).min(BATCH);
        let until = time::after(now, self.ack_timeout);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for sequence in group.due(now, room) {
            if bytes >= BATCH_BYTES {
                break;
            }
            changed = true;
            match self.log.read(deadline, sequence).await? {
                Some(stored) => {
                    bytes += stored.payload.len();
                    let attempts = group.deliver(sequence, self.id, until);
                    taken.push((stored, attempts));
                }
                // Retention removed it.
                None => drop(group.pending.remove(&sequence)),
            }
        }
        let room = room.saturating_sub(taken.len()).min(group.room_for_new());
        if room > 0 && bytes < BATCH_BYTES {
            for stored in self.log.page(deadline, group.next, room).await? {
                changed = true;
                if stored.time < group.not_before {
                    group.next = stored.sequence + 1;
                    continue;
                }
                let attempts = group.deliver(stored.sequence, self.id, until);
                taken.push((stored, attempts));
            }
        }
        Ok((changed, taken))
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // Without a runtime the process is ending. Its records are delivered again after their time to acknowledge.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (streams, tokens, id, group_id) = (self.streams.clone(), self.tokens.clone(), self.id, self.group_id);
        let context = Context::internal(self.context.namespace.clone());
        runtime.spawn(async move {
            let began = Instant::now();
            let deadline = streams.client.deadline(&context);
            let left = streams.documents.update(&deadline, &tokens, |group: &mut Group| {
                if Some(group.id) == group_id && group.members.contains_key(&id) {
                    group.leave(id);
                    Changed::Yes(())
                } else {
                    Changed::No(())
                }
            });
            if let Err(error) = left.await {
                tracing::debug!(%error, elapsed = ?began.elapsed(), "a member could not leave its consumer group; its records are delivered again later");
            }
        });
    }
}
