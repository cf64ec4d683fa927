//! The stream of one member of a consumer group.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Streams, record};
use crate::{
    client::Place,
    codec::Stored,
    deadline::Deadline,
    journal::{At, GroupName, Journal, Leave, Operation, Outcome, Range, SEEN_EVERY, Take, Taken},
    reader::{complete_tail, read},
    tails::Follower,
};
use prism_call::{Context, Error, Messages, proto::models::stream::v1::JoinConsumerGroupResponse};
use prism_driver::{
    stream::consumer_group_not_found,
    time::{self, Millis},
};

/// Most records that a member takes at once.
const BATCH: usize = 64;
/// How long a member waits before it looks again, if nothing wakes it.
const WAIT: Duration = Duration::from_secs(1);
/// How long a member waits for a stream that does not exist before it looks again. A creation by this gateway wakes it.
const ABSENT: Duration = Duration::from_millis(250);
/// Shortest pause while nothing can be taken: the clock of the broker is behind that of this gateway, or a record that is due can't be read yet.
const CLOCK: Duration = Duration::from_millis(20);

/// How a client takes part.
pub struct Membership {
    pub name: GroupName,
    /// Name of the member; empty = the server makes one.
    pub member: String,
    pub max_in_flight: u32,
    pub ack_timeout: Duration,
}

/// A member of a group. It leaves the group when it is dropped.
pub struct GroupMember {
    streams: Streams,
    context: Context,
    topic: String,
    name: GroupName,
    group_id: u64,
    id: u32,
    member: String,
    max_in_flight: u32,
    ack_timeout: Millis,
    taken: VecDeque<JoinConsumerGroupResponse>,
    /// When the group last heard of this member.
    seen: Option<Instant>,
    follower: Option<Follower>,
    changes: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

/// What a member could get now.
#[derive(Default)]
struct View {
    room: usize,
    due: Vec<At>,
    next_due: Option<Millis>,
    /// The first offset of each partition that nobody got.
    next: BTreeMap<u32, u64>,
    not_before: Millis,
}

impl GroupMember {
    pub fn new(streams: Streams, context: Context, membership: Membership, group_id: u64, permit: OwnedSemaphorePermit) -> Self {
        let Membership { name, member, max_in_flight, ack_timeout } = membership;
        let id = rand::random_range(1..=u32::MAX);
        Self {
            topic: streams.names.stream(&name.stream),
            changes: streams.journal.changes(),
            streams,
            context,
            name,
            group_id,
            id,
            member: if member.is_empty() { format!("{id:08x}") } else { member },
            max_in_flight,
            ack_timeout: time::ceil_millis(ack_timeout),
            taken: VecDeque::new(),
            seen: None,
            follower: None,
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
                Ok(wait) => {
                    outage.ended();
                    if self.taken.is_empty() {
                        self.wait(wait).await;
                    }
                }
                Err(error) => outage.wait(error, self.streams.client.status.is_closed()).await?,
            }
        }
    }

    /// Waits for a new record, a change of the group, or a time.
    async fn wait(&mut self, at_most: Duration) {
        if let Some(follower) = &mut self.follower {
            tokio::select! {
                () = follower.changed(at_most) => {}
                _ = tokio::time::timeout(at_most, self.changes.changed()) => {}
            }
        } else {
            let mut created = self.streams.client.created.subscribe();
            tokio::select! {
                _ = created.changed() => {}
                _ = tokio::time::timeout(at_most.min(ABSENT), self.changes.changed()) => {}
            }
        }
    }

    /// Takes the records that this member may get now. Returns how long to wait if there are none.
    pub async fn take(&mut self) -> Result<Duration, Error> {
        let deadline = self.streams.client.deadline(&self.context);
        // What is applied from here on wakes the member.
        self.changes.borrow_and_update();
        let Some(view) = self.view() else { return Err(self.not_found()) };
        let mut records: BTreeMap<(u32, u64), Stored> = BTreeMap::new();
        let (mut again, mut new) = (Vec::new(), Vec::new());
        if view.room > 0 {
            again = self.read_due(&deadline, &view, &mut records).await?;
            new = self.read_new(&deadline, &view, &mut records).await?;
        }
        let fresh = self.seen.is_some_and(|seen| seen.elapsed() < Duration::from_millis(SEEN_EVERY.unsigned_abs()));
        if again.is_empty() && new.is_empty() && fresh {
            let due = view.next_due.map(|due| Duration::from_millis(u64::try_from(due - Journal::now()).unwrap_or(0)));
            return Ok(due.map_or(WAIT, |due| due.clamp(CLOCK, WAIT)));
        }
        let asked = !again.is_empty() || !new.is_empty();
        let take = Take {
            name: self.name.clone(),
            group_id: self.group_id,
            member: self.id,
            member_name: self.member.clone(),
            max_in_flight: self.max_in_flight,
            ack_timeout: self.ack_timeout,
            new,
            again,
        };
        let Outcome::Taken(taken) = self.streams.journal.execute(&deadline, Operation::Take(take)).await? else {
            return Err(self.not_found());
        };
        self.seen = Some(Instant::now());
        let nothing = taken.is_empty();
        for Taken { partition, offset, attempt } in taken {
            let Some(stored) = records.remove(&(partition, offset)) else { continue };
            let cursor = record::encode_cursor(&self.name.stream, [(partition, offset + 1)].into_iter());
            let record = record::decode(stored, cursor)?;
            self.taken.push_back(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: attempt });
        }
        Ok(if asked && nothing { CLOCK } else { Duration::ZERO })
    }

    fn not_found(&self) -> Error {
        consumer_group_not_found(&self.name.stream, &self.name.group)
    }

    /// What the group has for this member; `None` if it was deleted.
    fn view(&self) -> Option<View> {
        let now = Journal::now();
        self.streams.journal.view(|state| {
            let group = state.groups.get(&self.name).filter(|group| group.id == self.group_id)?;
            Some(View {
                room: group.room(self.id, self.max_in_flight, now).min(BATCH),
                due: group.due(now, BATCH),
                next_due: group.next_due(),
                next: group.partitions.iter().map(|(partition, progress)| (*partition, progress.next)).collect(),
                not_before: group.not_before,
            })
        })
    }

    /// Reads records that are delivered again. Those that retention has removed are acknowledged.
    async fn read_due(&self, deadline: &Deadline, view: &View, records: &mut BTreeMap<(u32, u64), Stored>) -> Result<Vec<At>, Error> {
        let mut found = Vec::new();
        let mut due = view.due.iter().copied().take(view.room).collect::<VecDeque<At>>();
        while let Some(at) = due.front().copied() {
            let client = &self.streams.client;
            let read = read(client, deadline, &self.topic, self.follower.as_ref(), &[(at.partition, at.offset)], BATCH).await?;
            let page = read.unwrap_or_default();
            // Records before this offset that are not in the page were removed. An empty page does not say so: another gateway may have
            // read the record before the tail of this one has it.
            let behind = match page.last() {
                Some(last) => last.offset + 1,
                None => client.offsets(deadline, &self.topic, &[at.partition], Place::First).await?.first().copied().unwrap_or(0),
            };
            if behind <= at.offset {
                due.retain(|other| other.partition != at.partition);
                continue;
            }
            let mut page: BTreeMap<u64, Stored> = page.into_iter().map(|stored| (stored.offset, stored)).collect();
            let mut removed = Vec::new();
            // The page may have several of them.
            while let Some(next) = due.front().copied().filter(|next| next.partition == at.partition && next.offset < behind) {
                due.pop_front();
                match page.remove(&next.offset) {
                    Some(stored) => {
                        records.insert((next.partition, next.offset), stored);
                        found.push(next);
                    }
                    None => removed.push(next.offset),
                }
            }
            if !removed.is_empty() {
                self.forget(deadline, at.partition, removed).await?;
            }
        }
        Ok(found)
    }

    /// Acknowledges records that are gone.
    async fn forget(&self, deadline: &Deadline, partition: u32, offsets: Vec<u64>) -> Result<(), Error> {
        let ack = crate::journal::Ack { name: self.name.clone(), partition, offsets };
        self.streams.journal.execute(deadline, Operation::Ack(ack)).await.map(drop)
    }

    /// Reads records that nobody got.
    async fn read_new(
        &mut self,
        deadline: &Deadline,
        view: &View,
        records: &mut BTreeMap<(u32, u64), Stored>,
    ) -> Result<Vec<Range>, Error> {
        let client = self.streams.client.clone();
        let Some(count) = client.partitions_within(deadline, &self.topic, WAIT).await? else { return Ok(Vec::new()) };
        if self.follower.is_none() {
            self.follower = Some(client.follow(&self.topic)?);
        }
        let Some(follower) = &self.follower else { return Ok(Vec::new()) };
        complete_tail(&client, deadline, &self.topic, follower, 0..count).await?;
        let next = |partition: u32| view.next.get(&partition).copied().unwrap_or(0);
        let mut from: Vec<(u32, u64)> = (0..count).map(|partition| (partition, next(partition))).collect();
        // A page begins with another partition each time, so that a busy one does not keep the others waiting.
        from.rotate_left(rand::random_range(0..count.max(1)) as usize);
        let room = view.room.saturating_sub(records.len());
        if room == 0 {
            return Ok(Vec::new());
        }
        let page = if let Some(page) = read(&client, deadline, &self.topic, Some(follower), &from, room).await? {
            page
        } else {
            // Retention removed records that nobody got, or the group begins at an offset that nobody has reached.
            let partitions: Vec<u32> = from.iter().map(|(partition, _)| *partition).collect();
            let first = client.offsets(deadline, &self.topic, &partitions, Place::First).await?;
            let ends = client.offsets(deadline, &self.topic, &partitions, Place::End).await?;
            from = from
                .into_iter()
                .zip(first.into_iter().zip(ends))
                .map(|((partition, from), (first, end))| (partition, from.max(first), end))
                .filter(|(_, from, end)| from <= end)
                .map(|(partition, from, _)| (partition, from))
                .collect();
            if from.is_empty() {
                return Ok(Vec::new());
            }
            read(&client, deadline, &self.topic, Some(follower), &from, room).await?.unwrap_or_default()
        };
        let mut ranges: BTreeMap<u32, Range> = BTreeMap::new();
        for stored in page.into_iter().filter(|stored| stored.offset >= next(stored.partition)) {
            let range = ranges.entry(stored.partition).or_insert_with(|| Range {
                partition: stored.partition,
                from: next(stored.partition),
                ..Range::default()
            });
            range.to = stored.offset + 1;
            if stored.time >= view.not_before {
                range.offsets.push(stored.offset);
                records.insert((stored.partition, stored.offset), stored);
            }
        }
        Ok(ranges.into_values().collect())
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and its records are delivered again after their time to acknowledge.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (streams, context) = (self.streams.clone(), Context::internal(self.context.namespace.clone()));
        let leave = Leave { name: self.name.clone(), group_id: self.group_id, member: self.id };
        runtime.spawn(async move {
            let deadline = streams.client.deadline(&context);
            if let Err(error) = streams.journal.execute(&deadline, Operation::Leave(leave)).await {
                tracing::debug!(%error, "a member could not leave its consumer group; its records are delivered again later");
            }
        });
    }
}
