//! Takes ready messages out on lease.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Queues, document_tokens, message,
    state::{MAX_OPEN, QueueState},
};
use crate::{client::Deadline, jetstream::Stored, log::Log, signals::Listener, table::Conflicts};
use prism_call::{Context, Error};
use prism_driver::{
    lock::lock,
    time::{self, Millis},
};

/// Bytes of messages after which a call takes no more.
const MAX_BYTES: usize = 4 << 20;
/// Most failed messages that a call moves before it stores the state. So every call makes progress, even if thousands failed at once.
const MAX_MOVED: usize = 100;
/// Messages that are put in order by the times of their schedules.
const SCHEDULED_WINDOW: usize = 128;
/// How long a waiting call sleeps at most. Messages may become ready without a signal: when their scheduled time has come.
const POLL: Duration = Duration::from_millis(400);
/// Most queues with a dead-letter queue that a gateway watches in a keyspace.
const MAX_WATCHED: usize = 10_000;

/// A message that was taken.
pub struct Taken {
    pub stored: Stored,
    pub attempts: u32,
    pub lease: u64,
    pub until: Millis,
}

/// The result of an attempt to take messages.
pub struct Attempt {
    pub taken: Vec<Taken>,
    /// When a message becomes ready again.
    next_ready: Option<Millis>,
    /// The state that was stored, and its sequence.
    state: QueueState,
    sequence: u64,
}

impl Queues {
    /// Takes at most `limit` ready messages. Moves messages that have failed often enough, [`MAX_MOVED`] at most.
    pub(super) async fn take(&self, deadline: &Deadline, queue: &str, limit: usize, lease_time: Duration) -> Result<Attempt, Error> {
        let (log, tokens) = (self.log(queue), document_tokens(queue));
        let _guard = self.documents.lock(deadline, &tokens).await?;
        let mut conflicts = Conflicts::default();
        loop {
            let (mut state, sequence) = self.documents.load::<QueueState>(deadline, &tokens).await?.unwrap_or_default();
            self.watch(queue, &state);
            let before = state.clone();
            self.move_failed(deadline, queue, &log, &mut state).await?;
            let now = time::now();
            let until = time::after(now, lease_time);
            let mut taken = Vec::new();
            let (found, next) = self.find(deadline, &log, &mut state, limit).await?;
            state.next = next;
            for stored in found {
                let lease = rand::random_range(1..=u64::MAX);
                let attempts = state.lease(stored.sequence, lease, until);
                taken.push(Taken { stored, attempts, lease, until });
            }
            let next_ready = state.next_ready(now);
            if state == before {
                return Ok(Attempt { taken, next_ready, state, sequence });
            }
            if let Some(sequence) = self.documents.save(deadline, &tokens, sequence, &state).await? {
                return Ok(Attempt { taken, next_ready, state, sequence });
            }
            conflicts.pause(deadline).await?;
        }
    }

    /// Finds the ready messages that come next: those that were taken before, then new ones. Forgets those that are not there any more.
    /// Returns the messages, and the position behind them.
    pub(super) async fn find(
        &self,
        deadline: &Deadline,
        log: &Log,
        state: &mut QueueState,
        limit: usize,
    ) -> Result<(Vec<Stored>, u64), Error> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for sequence in state.ready_again(time::now(), limit) {
            if bytes >= MAX_BYTES {
                return Ok((found, state.next));
            }
            match log.read(deadline, sequence).await? {
                Some(stored) => {
                    bytes += stored.payload.len();
                    found.push(stored);
                }
                None => drop(state.open.remove(&sequence)),
            }
        }
        let room = limit.saturating_sub(found.len()).min(MAX_OPEN.saturating_sub(state.open.len()));
        if room == 0 || bytes >= MAX_BYTES {
            return Ok((found, state.next));
        }
        let (new, next) = self.find_new(deadline, log, state, room).await?;
        found.extend(new);
        Ok((found, next))
    }

    /// Finds messages that were never taken. Returns them, and the sequence of the first one that is left.
    async fn find_new(&self, deadline: &Deadline, log: &Log, state: &QueueState, room: usize) -> Result<(Vec<Stored>, u64), Error> {
        // Messages that are open although they are behind the position were taken out of order.
        let size = room + state.open.range(state.next..).count();
        let mut page = log.page(deadline, state.next, size).await?;
        let was_scheduled = |page: &[Stored]| page.iter().any(|stored| message::ready_time(stored) != stored.time);
        if size < SCHEDULED_WINDOW && was_scheduled(&page) {
            // JetStream stores messages together whose times are close to each other, in any order.
            page = log.page(deadline, state.next, SCHEDULED_WINDOW).await?;
        }
        let end = page.last().map_or(state.next, |stored| stored.sequence + 1);
        page.retain(|stored| !state.open.contains_key(&stored.sequence));
        if was_scheduled(&page) {
            page.sort_by_key(|stored| (message::ready_time(stored), stored.sequence));
        }
        let left = page.split_off(room.min(page.len()));
        let next = left.iter().map(|stored| stored.sequence).min().unwrap_or(end);
        Ok((page, next))
    }

    /// Takes messages, and waits for the first one.
    pub(super) async fn take_or_wait(
        &self,
        context: &Context,
        queue: &str,
        limit: usize,
        wait: Duration,
        lease_time: Duration,
    ) -> Result<Attempt, Error> {
        let end = Instant::now() + wait;
        let mut listeners: Option<(Listener, Listener)> = None;
        loop {
            let deadline = self.client.deadline(context);
            let attempt = self.take(&deadline, queue, limit, lease_time).await?;
            let left = end.saturating_duration_since(Instant::now());
            if !attempt.taken.is_empty() || left.is_zero() {
                return Ok(attempt);
            }
            let Some((messages, state)) = &mut listeners else {
                // The next attempt sees what came before.
                let messages = self.signals.listen(&deadline, &self.wake_subject(queue)).await?;
                let state = self.signals.listen(&deadline, &self.documents.wake_subject(&document_tokens(queue))).await?;
                listeners = Some((messages, state));
                continue;
            };
            let ready = attempt.next_ready.map(|at| Duration::from_millis(u64::try_from(at - time::now()).unwrap_or(0)));
            let at_most = left.min(POLL).min(ready.unwrap_or(POLL));
            tokio::select! {
                () = messages.changed(at_most) => {}
                () = state.changed(at_most) => {}
            }
        }
    }

    /// Removes messages that an attempt has taken from the queue. Returns those that were still there.
    pub(super) async fn remove_taken(&self, deadline: &Deadline, queue: &str, attempt: Attempt) -> Result<Vec<Taken>, Error> {
        let Attempt { taken, mut state, sequence, .. } = attempt;
        if taken.is_empty() {
            return Ok(taken);
        }
        let log = self.log(queue);
        let mut removed = Vec::with_capacity(taken.len());
        let leases: BTreeMap<u64, u64> = taken.iter().map(|one| (one.stored.sequence, one.lease)).collect();
        for one in taken {
            if log.delete(deadline, one.stored.sequence).await? {
                removed.push(one);
            }
        }
        let forget = |state: &mut QueueState| {
            state.open.retain(|sequence, open| leases.get(sequence).is_none_or(|lease| *lease != open.lease));
        };
        forget(&mut state);
        let tokens = document_tokens(queue);
        if self.documents.save(deadline, &tokens, sequence, &state).await?.is_none() {
            self.documents.upsert(deadline, &tokens, forget).await?;
        }
        Ok(removed)
    }

    /// Moves messages to the dead-letter queue that have failed often enough, and removes them from the state: [`MAX_MOVED`] at most.
    async fn move_failed(&self, deadline: &Deadline, queue: &str, log: &Log, state: &mut QueueState) -> Result<(), Error> {
        for sequence in state.failed(time::now(), MAX_MOVED) {
            self.move_to_dead_letters(deadline, queue, log, state, sequence).await?;
        }
        Ok(())
    }

    /// Moves one message. Repeating it after an error does what is left.
    pub(super) async fn move_to_dead_letters(
        &self,
        deadline: &Deadline,
        queue: &str,
        log: &Log,
        state: &mut QueueState,
        sequence: u64,
    ) -> Result<(), Error> {
        if let Some(dead) = &state.dead_letter
            && let Some(stored) = log.read(deadline, sequence).await?
        {
            message::copy(deadline, &stored, log, &self.log(&dead.queue), Some(queue)).await?;
            log.delete(deadline, sequence).await?;
        }
        state.open.remove(&sequence);
        Ok(())
    }

    /// Notes that a queue has a dead-letter queue, for the sweeper.
    pub(super) fn watch(&self, queue: &str, state: &QueueState) {
        let mut watched = lock(&self.watched);
        match (&state.dead_letter, watched.contains(queue)) {
            (Some(_), false) if watched.len() < MAX_WATCHED => drop(watched.insert(queue.to_owned())),
            (None, true) => drop(watched.remove(queue)),
            _ => {}
        }
    }
}
