//! `queue_dead_letter`

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use super::{
    Queues, document_tokens, message,
    state::{DeadLetter, Open, QueueState},
};
use crate::{client::Deadline, jetstream::Stored, log::Log, table::Conflicts};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::{
    check,
    queue::{dead_letter_not_configured, delivery_attempts},
    time,
};

/// Messages that Redrive reads at once, and moves at once.
const PAGE: usize = 256;
const BATCH: usize = 100;
/// How long messages are leased that are being moved.
const MOVE: Duration = Duration::from_secs(30);

impl Queues {
    /// Leases ready messages of the dead-letter queue `dead` that have failed in `queue`: at most `limit` with a sequence from `from` to `last`.
    /// Returns them with their leases, and where the next search begins.
    async fn lease_failed(
        &self,
        deadline: &Deadline,
        dead: &str,
        queue: &str,
        from: u64,
        last: u64,
        limit: usize,
    ) -> Result<(Vec<(Stored, u64)>, u64), Error> {
        let (log, tokens) = (self.log(dead), document_tokens(dead));
        let _guard = self.documents.lock(deadline, &tokens).await?;
        let mut conflicts = Conflicts::default();
        loop {
            let (mut state, sequence) = self.documents.load::<QueueState>(deadline, &tokens).await?.unwrap_or_default();
            let now = time::now();
            let mut leased = Vec::new();
            let page = log.page(deadline, from, PAGE).await?;
            // A page of large messages is shorter, so that only an empty page is the end.
            let mut next = page.last().map_or(last, |stored| stored.sequence).saturating_add(1);
            for stored in page.into_iter().filter(|stored| stored.sequence <= last) {
                if leased.len() == limit {
                    next = stored.sequence;
                    break;
                }
                let open = state.open.get(&stored.sequence).copied();
                let ready = open.is_none_or(|open| open.until <= now);
                if ready && message::source(&stored)?.as_deref() == Some(queue) {
                    let (lease, attempts) = (rand::random_range(1..=u64::MAX), open.map_or(0, |open| open.attempts));
                    state.open.insert(stored.sequence, Open { lease, attempts, until: time::after(now, MOVE) });
                    leased.push((stored, lease));
                }
            }
            if leased.is_empty() || self.documents.save(deadline, &tokens, sequence, &state).await?.is_some() {
                return Ok((leased, next));
            }
            conflicts.pause(deadline).await?;
        }
    }

    /// Moves leased messages back. Returns how many.
    async fn move_back(&self, deadline: &Deadline, dead: &str, to: &Log, leased: &[(Stored, u64)]) -> Result<u64, Error> {
        let from = self.log(dead);
        let mut moved = 0;
        for (stored, _) in leased {
            message::copy(deadline, stored, &from, to, None).await?;
            moved += u64::from(from.delete(deadline, stored.sequence).await?);
        }
        let leases: BTreeMap<u64, u64> = leased.iter().map(|(stored, lease)| (stored.sequence, *lease)).collect();
        let forget = |state: &mut QueueState| {
            state.open.retain(|sequence, open| leases.get(sequence).is_none_or(|lease| *lease != open.lease));
        };
        self.documents.upsert(deadline, &document_tokens(dead), forget).await?;
        Ok(moved)
    }
}

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(
        &self,
        context: &Context,
        request: ConfigureDeadLetterRequest,
    ) -> Result<ConfigureDeadLetterResponse, Error> {
        let attempts = delivery_attempts(&request)?;
        let ConfigureDeadLetterRequest { queue, dead_letter_queue, .. } = request;
        let dead_letter = (!dead_letter_queue.is_empty()).then_some(DeadLetter { queue: dead_letter_queue, attempts });
        let configure = |state: &mut QueueState| {
            state.dead_letter.clone_from(&dead_letter);
            state.clone()
        };
        let state = self.documents.upsert(&self.client.deadline(context), &document_tokens(&queue), configure).await?;
        self.watch(&queue, &state);
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(
        &self,
        context: &Context,
        request: GetDeadLetterQueueRequest,
    ) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        let deadline = self.client.deadline(context);
        let Some(DeadLetter { queue, attempts }) = self.settled(&deadline, &request.queue).await?.dead_letter else {
            return Ok(GetDeadLetterQueueResponse::default());
        };
        let depth = self.depth(&deadline, &queue).await?.ready;
        let config = DeadLetterConfig { dead_letter_queue: queue, max_delivery_attempts: attempts };
        Ok(GetDeadLetterQueueResponse { config: Some(config), depth })
    }

    async fn redrive(&self, context: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        check::name("queue", &request.queue)?;
        let deadline = self.client.deadline(context);
        let state = self.settled(&deadline, &request.queue).await?;
        let dead = state.dead_letter.ok_or_else(|| dead_letter_not_configured(&request.queue))?.queue;
        let last = self.log(&dead).info(&deadline).await?.map_or(0, |info| info.state.last_seq);
        let to = self.log(&request.queue);
        let most = if request.limit == 0 { u64::MAX } else { request.limit.into() };
        let (mut moved, mut from) = (0, 1);
        while moved < most && from <= last {
            // Each step has the time of a request; the deadline of the caller holds for all of them.
            let deadline = self.client.deadline(context);
            let limit = usize::try_from(most - moved).unwrap_or(BATCH).min(BATCH);
            let (leased, next) = self.lease_failed(&deadline, &dead, &request.queue, from, last, limit).await?;
            moved += if leased.is_empty() { 0 } else { self.move_back(&deadline, &dead, &to, &leased).await? };
            from = next;
        }
        Ok(RedriveResponse { moved })
    }
}
