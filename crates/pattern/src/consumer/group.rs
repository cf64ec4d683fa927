//! Groups that read streams. Their progress is in the slot `progress`.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::{ReceiveOptions, filter::PASSED_OVER, lease, message, settings::ConsumerSettings, state};
use crate::{empty_slot, messaging::payloads::PayloadReader, required_interface};
use prism_call::{
    Code, Context, Error, Messages,
    proto::{
        messaging::v1::{GroupState, MessageLease},
        models::{
            keyvalue::v1::{CompareAndSwapRequest, GetRequest, KeyValueBasic, KeyValueCas},
            stream::v1::{
                GetLatestOffsetRequest, ReadRequest, ReadResponse, Record, ReplayRangeRequest, StreamBasic, StreamReplay, read_request,
                replay_range_request,
            },
        },
        patterns::consumer::v1::{GetGroupResponse, Message, SeekRequest, Start, seek_request::Place},
    },
};
use prism_slot::{Slot, time};

/// Tries to change a state that other gateways change at the same time, and the pause before the second one, which grows.
const MAX_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);
/// How often a waiting call looks for messages that others gave back.
const LOOK: Duration = Duration::from_secs(1);
/// A shorter wait would only occupy the backend.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// Bytes of payloads after which a response gets no further message.
pub const MAX_BYTES: usize = 4 << 20;
/// Most records that the lag counts.
const MAX_COUNTED: u32 = 1000;
/// Most records that a look reads if the group has a filter.
const FILTERED_PAGE: usize = 100;
/// Locks for groups: the calls of one gateway don't conflict with each other.
const LOCKS: usize = 64;

/// The groups of a namespace.
pub struct StreamGroups {
    basic: Arc<dyn StreamBasic>,
    replay: Option<Arc<dyn StreamReplay>>,
    progress: Option<Progress>,
    payloads: Option<Arc<PayloadReader>>,
    settings: ConsumerSettings,
    backend: String,
    locks: Vec<Mutex<()>>,
}

/// Where the states of groups are.
struct Progress {
    basic: Arc<dyn KeyValueBasic>,
    cas: Arc<dyn KeyValueCas>,
}

/// What one look for messages found.
enum Found {
    Messages(Vec<Message>),
    /// Only messages that the filter does not match: how many. The group has passed over them.
    PassedOver(u64),
    /// Nothing: the offset of the next record, whether the group may have more messages in flight, and the time until one comes back.
    Nothing {
        next_offset: u64,
        has_room: bool,
        until_ready: Duration,
    },
}

impl StreamGroups {
    pub fn new(
        messaging: &Slot,
        progress: Option<&Slot>,
        payloads: Option<Arc<PayloadReader>>,
        settings: ConsumerSettings,
    ) -> Result<Self, Error> {
        let open = |slot: &Slot| {
            Ok::<_, Error>(Progress {
                basic: required_interface(slot, "keyvalue_basic", slot.interfaces.keyvalue_basic.clone())?,
                cas: required_interface(slot, "keyvalue_cas", slot.interfaces.keyvalue_cas.clone())?,
            })
        };
        Ok(Self {
            basic: required_interface(messaging, "stream_basic", messaging.interfaces.stream_basic.clone())?,
            replay: messaging.interfaces.stream_replay.clone(),
            progress: progress.map(open).transpose()?,
            payloads,
            settings,
            backend: messaging.backend.clone(),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// Receives messages, and waits for the first one.
    pub async fn receive(&self, context: &Context, options: &ReceiveOptions) -> Result<Vec<Message>, Error> {
        let deadline = Instant::now() + options.wait;
        let mut passed_over = 0;
        loop {
            let (next_offset, has_room, until_ready) = match self.look(context, options).await? {
                Found::Messages(messages) => return Ok(messages),
                Found::PassedOver(count) => {
                    passed_over += count;
                    if passed_over >= PASSED_OVER && Instant::now() >= deadline {
                        return Ok(Vec::new());
                    }
                    continue;
                }
                Found::Nothing { next_offset, has_room, until_ready } => (next_offset, has_room, until_ready),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            let wait = left.min(until_ready.max(SHORTEST_WAIT));
            if has_room {
                self.wait_for_record(context, &options.topic, next_offset, wait).await?;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Looks for messages once: those that are ready again, then new ones.
    async fn look(&self, context: &Context, options: &ReceiveOptions) -> Result<Found, Error> {
        let ReceiveOptions { topic, group, limit, lease, start, .. } = options;
        let key = key(topic, group);
        let _guard = self.lock(&key).await;
        for attempt in 1..=MAX_TRIES {
            let (mut state, revision) = match self.load(context, &key).await? {
                Some(known) => known,
                None => (GroupState { next_offset: self.start(context, topic, *start).await?, ..GroupState::default() }, 0),
            };
            let (now, limit) = (time::now(), *limit as usize);
            let is_changed = state::bury(&mut state, now, *self.settings.max_attempts);
            let mut bytes = 0;
            let ready = state::ready(&state, now, limit);
            let (mut messages, mut missing, mut passed_over) = (Vec::new(), Vec::new(), 0);
            for offset in ready {
                if bytes > MAX_BYTES {
                    break;
                }
                let found = self.read(context, topic, offset, 1, &mut bytes).await?.pop();
                match found.filter(|record| record.offset == offset).map(message::of_record) {
                    Some(message) if options.matches(&message).await => messages.push(message),
                    found => {
                        passed_over += u64::from(found.is_some());
                        missing.push(offset);
                    }
                }
            }
            let room = (limit - messages.len()).min(self.settings.max_in_flight.to_usize().saturating_sub(state.open.len()));
            if room > 0 && bytes <= MAX_BYTES {
                passed_over += self.read_new(context, options, &mut state, (room, &mut bytes, &mut messages)).await?;
            }
            state::forget(&mut state, &missing);
            let until = time::after(now, *lease);
            for message in &mut messages {
                let token = state::deliver(&mut state, message.offset.unwrap_or_default(), until);
                message.lease = lease::encode(topic, group, &token);
                message.attempt = token.attempt;
                message.lease_expire_time = Some(time::timestamp(until));
            }
            let is_unchanged = messages.is_empty() && missing.is_empty() && passed_over == 0 && !is_changed && revision > 0;
            if is_unchanged || self.store(context, &key, &state, revision).await? {
                if !messages.is_empty() {
                    return Ok(Found::Messages(messages));
                }
                if passed_over > 0 {
                    return Ok(Found::PassedOver(passed_over));
                }
                let has_room = state.open.len() < self.settings.max_in_flight.to_usize();
                let until_ready = state::until_ready(&state, time::now(), LOOK);
                return Ok(Found::Nothing { next_offset: state.next_offset, has_room, until_ready });
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(busy())
    }

    /// Reads new messages for a group, at most as many as there is room for. Returns the number of those that the filter does not match, and moves the
    /// group behind them.
    async fn read_new(
        &self,
        context: &Context,
        options: &ReceiveOptions,
        state: &mut GroupState,
        (room, bytes, messages): (usize, &mut usize, &mut Vec<Message>),
    ) -> Result<u64, Error> {
        let limit = if options.filter.is_some() { FILTERED_PAGE } else { room };
        let (mut left, mut passed_over) = (room, 0);
        for record in self.read(context, &options.topic, state.next_offset, limit, bytes).await? {
            let offset = record.offset;
            let message = message::of_record(record);
            if !options.matches(&message).await {
                passed_over += 1;
                state::pass_over(state, offset);
            } else if left > 0 {
                left -= 1;
                messages.push(message);
            } else {
                break;
            }
        }
        Ok(passed_over)
    }

    /// Reads records of the stream from an offset, and counts the bytes of their payloads.
    async fn read(&self, context: &Context, topic: &str, from: u64, limit: usize, bytes: &mut usize) -> Result<Vec<Record>, Error> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut found = self.open_read(context, topic, read_request::Start::FromOffset(from), limit, false).await?;
        let mut records = Vec::new();
        while let Some(record) = found.next().await.transpose()? {
            *bytes = bytes.saturating_add(message::payload_bytes(&record, self.payloads.as_deref()));
            records.push(record);
            if *bytes > MAX_BYTES {
                break;
            }
        }
        Ok(records)
    }

    /// Reads records of the stream, without a group.
    pub async fn open_read(
        &self,
        context: &Context,
        topic: &str,
        start: read_request::Start,
        limit: u32,
        follow: bool,
    ) -> Result<Messages<Record>, Error> {
        let request = ReadRequest { stream: topic.to_owned(), limit, follow, start: Some(start) };
        let records = self.basic.read(context, request).await?;
        Ok(Box::pin(records.map(|item: Result<ReadResponse, Error>| {
            let record = item?.record.unwrap_or_default();
            if record.partition == 0 { Ok(record) } else { Err(partitioned()) }
        })))
    }

    async fn wait_for_record(&self, context: &Context, topic: &str, from: u64, wait: Duration) -> Result<(), Error> {
        let mut next = self.open_read(context, topic, read_request::Start::FromOffset(from), 1, true).await?;
        match tokio::time::timeout(wait, next.next()).await {
            Ok(Some(Err(error))) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the offset where a new group begins.
    pub async fn start(&self, context: &Context, topic: &str, start: Start) -> Result<u64, Error> {
        if start == Start::Latest { self.end(context, topic).await } else { Ok(0) }
    }

    /// Returns the offset behind the last record.
    pub async fn end(&self, context: &Context, topic: &str) -> Result<u64, Error> {
        Ok(self.basic.get_latest_offset(context, GetLatestOffsetRequest { stream: topic.to_owned() }).await?.next_offset)
    }

    pub async fn ack(&self, context: &Context, topic: &str, group: &str, leases: &[MessageLease]) -> Result<u32, Error> {
        self.change(context, topic, group, |state| {
            let acknowledged = leases.iter().filter(|lease| state::ack(state, lease)).count();
            (u32::try_from(acknowledged).unwrap_or(u32::MAX), acknowledged > 0)
        })
        .await
    }

    pub async fn nack(
        &self,
        context: &Context,
        topic: &str,
        group: &str,
        lease: &MessageLease,
        delay: Option<Duration>,
    ) -> Result<Option<prost_types::Timestamp>, Error> {
        let delay = delay.unwrap_or_else(|| self.settings.backoff(lease.attempt));
        let until = time::after(time::now(), delay);
        let max_attempts = *self.settings.max_attempts;
        let nacked = |state: &mut GroupState| {
            let dead = state::nack(state, lease, until, max_attempts);
            (dead, dead.is_some())
        };
        let dead = self.change(context, topic, group, nacked).await?.ok_or_else(lease::lost)?;
        Ok((!dead).then(|| time::timestamp(until)))
    }

    pub async fn extend(
        &self,
        context: &Context,
        topic: &str,
        group: &str,
        lease: &MessageLease,
        duration: Duration,
    ) -> Result<Option<prost_types::Timestamp>, Error> {
        let until = time::after(time::now(), duration);
        let extended = |state: &mut GroupState| {
            let is_valid = state::extend(state, lease, until);
            (is_valid, is_valid)
        };
        if self.change(context, topic, group, extended).await? { Ok(Some(time::timestamp(until))) } else { Err(lease::lost()) }
    }

    /// Moves a group. Returns the offset where it continues.
    pub async fn seek(&self, context: &Context, request: SeekRequest) -> Result<u64, Error> {
        let SeekRequest { topic, group, place } = request;
        let offset = match place {
            None => return Err(Error::invalid("place", "offset, time or start must be set")),
            Some(Place::Offset(offset)) => offset,
            Some(Place::Start(start)) => self.start(context, &topic, Start::try_from(start).unwrap_or_default()).await?,
            Some(Place::Time(at)) => self.offset_at(context, &topic, at).await?,
        };
        self.change(context, &topic, &group, |state| {
            state::seek(state, offset);
            (offset, true)
        })
        .await
    }

    /// Returns the offset of the first record that was appended at a time or later.
    async fn offset_at(&self, context: &Context, topic: &str, at: prost_types::Timestamp) -> Result<u64, Error> {
        let unavailable = || Error::capability_unavailable("Seek with `time`", "stream_replay", &self.backend);
        let replay = self.replay.as_ref().ok_or_else(unavailable)?;
        let end = self.end(context, topic).await?;
        let request = ReplayRangeRequest {
            stream: topic.to_owned(),
            start: Some(replay_range_request::Start::FromTime(at)),
            limit: 1,
            ..ReplayRangeRequest::default()
        };
        let first = replay.replay_range(context, request).await?.next().await.transpose()?;
        Ok(first.and_then(|found| found.record).map_or(end, |record| record.offset))
    }

    pub async fn describe(&self, context: &Context, topic: &str, group: &str) -> Result<GetGroupResponse, Error> {
        let key = key(topic, group);
        let (state, _) = self.load(context, &key).await?.unwrap_or_default();
        let (lag, lag_is_more) = self.count(context, topic, state.next_offset).await?;
        Ok(GetGroupResponse {
            next_offset: Some(state.next_offset),
            lag,
            lag_is_more,
            in_flight: state.open.len() as u64,
            dead: state.dead.len() as u64,
        })
    }

    /// Counts records from an offset up to a bound. Offsets have gaps, so they don't say how many records there are. Returns whether there are
    /// more.
    async fn count(&self, context: &Context, topic: &str, from: u64) -> Result<(u64, bool), Error> {
        let mut records = self.open_read(context, topic, read_request::Start::FromOffset(from), MAX_COUNTED + 1, false).await?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(record) = records.next().await.transpose()? {
            if count == u64::from(MAX_COUNTED) || bytes > MAX_BYTES {
                return Ok((count, true));
            }
            count += 1;
            bytes += record.payload.len();
        }
        Ok((count, false))
    }

    pub async fn list_dead(&self, context: &Context, topic: &str, group: &str, limit: u32) -> Result<Vec<Message>, Error> {
        let (state, _) = self.load(context, &key(topic, group)).await?.unwrap_or_default();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for offset in state.dead.into_iter().take(limit as usize) {
            let record = self.read(context, topic, offset, 1, &mut bytes).await?.pop();
            messages.extend(record.filter(|record| record.offset == offset).map(message::of_record));
            if bytes > MAX_BYTES {
                break;
            }
        }
        Ok(messages)
    }

    pub async fn redrive_dead(&self, context: &Context, topic: &str, group: &str, limit: u32) -> Result<u64, Error> {
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        self.change(context, topic, group, |state| counted(state::redrive(state, limit))).await
    }

    pub async fn discard_dead(&self, context: &Context, topic: &str, group: &str, limit: u32) -> Result<u64, Error> {
        self.change(context, topic, group, |state| counted(state::discard(state, limit as usize))).await
    }

    /// Changes the state of a group. The change returns its result, and whether it changed anything.
    async fn change<T>(
        &self,
        context: &Context,
        topic: &str,
        group: &str,
        change: impl Fn(&mut GroupState) -> (T, bool) + Send,
    ) -> Result<T, Error> {
        let key = key(topic, group);
        let _guard = self.lock(&key).await;
        for attempt in 1..=MAX_TRIES {
            let (mut state, revision) = self.load(context, &key).await?.unwrap_or_default();
            let (result, is_changed) = change(&mut state);
            if !is_changed || self.store(context, &key, &state, revision).await? {
                return Ok(result);
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(busy())
    }

    async fn load(&self, context: &Context, key: &Bytes) -> Result<Option<(GroupState, u64)>, Error> {
        let entry = self.progress()?.basic.get(context, GetRequest { key: key.clone() }).await?.entry;
        let decode = |value| GroupState::decode(value).map_err(|_| Error::internal("the slot `progress` has a state that can't be read"));
        entry.map(|entry| Ok((decode(entry.value)?, entry.revision))).transpose()
    }

    /// Stores a state. Returns false if another gateway has changed it.
    async fn store(&self, context: &Context, key: &Bytes, state: &GroupState, revision: u64) -> Result<bool, Error> {
        let value = state.encode_to_vec().into();
        let request = CompareAndSwapRequest { key: key.clone(), expected_revision: revision, value, ..CompareAndSwapRequest::default() };
        Ok(self.progress()?.cas.compare_and_swap(context, request).await?.swapped)
    }

    /// Checks that there can be groups.
    pub fn check_progress(&self) -> Result<(), Error> {
        self.progress().map(drop)
    }

    fn progress(&self) -> Result<&Progress, Error> {
        self.progress.as_ref().ok_or_else(|| empty_slot("a group that reads a stream", "progress", "keyvalue_cas"))
    }

    async fn lock(&self, key: &Bytes) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.locks[index].lock().await
    }
}

fn counted(count: usize) -> (u64, bool) {
    (count as u64, count > 0)
}

/// Names of topics have no `/`, so no two groups have the same key.
fn key(topic: &str, group: &str) -> Bytes {
    format!("{topic}/{group}").into()
}

/// `ABORTED GROUP_BUSY`
fn busy() -> Error {
    Error::new(Code::Aborted, "GROUP_BUSY", "other gateways changed the progress of this group at the same time; repeat the call")
        .with_retry_after(Duration::from_millis(100))
}

/// `FAILED_PRECONDITION STREAM_PARTITIONED`
fn partitioned() -> Error {
    let message = "the stream has several partitions; a consumer reads streams with one partition only";
    Error::new(Code::FailedPrecondition, "STREAM_PARTITIONED", message)
}
