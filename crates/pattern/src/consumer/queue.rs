//! Topics that are queues.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{ReceiveOptions, filter::PASSED_OVER, lease, message, settings::ConsumerSettings};
use crate::{
    messaging::{
        dead_letters::{self, DeadLetters},
        delays,
        payloads::{PayloadReader, PayloadReference},
    },
    required_interface,
};
use prism_call::{
    Context, Error,
    proto::{
        messaging::v1::MessageLease,
        models::queue::v1::{
            CompleteRequest, DequeueWithTimeoutRequest, ExtendVisibilityRequest, LeasedMessage, PeekRequest, QueueBasic, QueueVisibility,
            ReleaseRequest,
        },
        patterns::consumer::v1::{GetGroupResponse, Message},
    },
};
use prism_slot::{Slot, time};

/// Calls of one Ack that are in flight.
const CONCURRENCY: usize = 16;

/// The queues of a namespace.
pub struct Queues {
    visibility: Arc<dyn QueueVisibility>,
    basic: Option<Arc<dyn QueueBasic>>,
    dead_letters: Option<DeadLetters>,
    payloads: Option<Arc<PayloadReader>>,
    settings: ConsumerSettings,
    backend: String,
}

impl Queues {
    pub fn new(slot: &Slot, payloads: Option<Arc<PayloadReader>>, settings: ConsumerSettings) -> Result<Self, Error> {
        let dead_letters = slot.interfaces.queue_dead_letter.clone();
        Ok(Self {
            visibility: required_interface(slot, "queue_visibility", slot.interfaces.queue_visibility.clone())?,
            basic: slot.interfaces.queue_basic.clone(),
            dead_letters: dead_letters.map(|interface| DeadLetters::new(interface, *settings.max_attempts)),
            payloads,
            settings,
            backend: slot.backend.clone(),
        })
    }

    /// Receives messages. Those that the filter does not match are removed.
    pub async fn receive(&self, context: &Context, options: &ReceiveOptions) -> Result<Vec<Message>, Error> {
        if options.filter.is_none() {
            return self.take(context, options, options.wait).await;
        }
        let deadline = Instant::now() + options.wait;
        let mut passed_over = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let taken = self.take(context, options, left).await?;
            let is_end = taken.is_empty();
            let (mut wanted, mut others) = (Vec::with_capacity(taken.len()), Vec::new());
            for message in taken {
                if options.matches(&message).await {
                    wanted.push(message);
                } else {
                    others.push(lease::decode("lease", &options.topic, &options.group, &message.lease)?);
                }
            }
            passed_over += others.len() as u64;
            self.ack(context, &options.topic, others).await?;
            if is_end || !wanted.is_empty() || (left.is_zero() && passed_over >= PASSED_OVER) {
                return Ok(wanted);
            }
        }
    }

    /// Takes messages, and waits for the first one.
    async fn take(&self, context: &Context, options: &ReceiveOptions, wait: Duration) -> Result<Vec<Message>, Error> {
        let ReceiveOptions { topic, group, limit, lease, auto_ack, .. } = options;
        let request = DequeueWithTimeoutRequest {
            queue: topic.clone(),
            visibility_timeout: delays::protobuf(*lease),
            limit: *limit,
            wait: delays::protobuf(wait).filter(|_| !wait.is_zero()),
        };
        let leased = self.visibility.dequeue_with_timeout(context, request).await?.messages;
        if let (Some(dead_letters), false) = (&self.dead_letters, leased.is_empty()) {
            dead_letters.try_configure(context, topic).await;
        }
        // Subscribers read a payload that is too large for its message after the gateway has acknowledged the message, so it expires.
        let is_removable = |size: u64| !*auto_ack || self.payloads.as_ref().is_some_and(|payloads| payloads.is_inline(size));
        let to_message = |leased: LeasedMessage| {
            let message = message::of_queue(leased.message.unwrap_or_default());
            let stored = message.stored_payload.as_ref().filter(|stored| is_removable(stored.size));
            let payload = stored.map(|stored| stored.name.clone()).unwrap_or_default();
            let token = MessageLease { lease: leased.lease, attempt: message.attempt, payload, ..MessageLease::default() };
            Message { lease: lease::encode(topic, group, &token), lease_expire_time: leased.lease_expire_time, ..message }
        };
        Ok(leased.into_iter().map(to_message).collect())
    }

    pub async fn ack(&self, context: &Context, topic: &str, leases: Vec<MessageLease>) -> Result<u32, Error> {
        let complete = |lease: MessageLease| self.complete(context, topic, lease);
        let calls: Vec<_> = leases.into_iter().map(complete).collect();
        let mut results = stream::iter(calls).buffer_unordered(CONCURRENCY);
        let mut acknowledged = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(()) => acknowledged += 1,
                Err(error) if error.reason() == "LEASE_LOST" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(acknowledged)
    }

    /// Completes a message, and then removes its payload, which nobody needs any longer.
    async fn complete(&self, context: &Context, topic: &str, lease: MessageLease) -> Result<(), Error> {
        self.visibility.complete(context, CompleteRequest { lease: lease.lease }).await?;
        if let (Some(payloads), Some(reference)) = (&self.payloads, PayloadReference::of_name(&lease.payload)) {
            payloads.remove(context, topic, reference).await;
        }
        Ok(())
    }

    pub async fn nack(
        &self,
        context: &Context,
        lease: MessageLease,
        delay: Option<Duration>,
    ) -> Result<Option<prost_types::Timestamp>, Error> {
        let delay = delay.unwrap_or_else(|| self.settings.backoff(lease.attempt));
        self.visibility.release(context, ReleaseRequest { lease: lease.lease, delay: delays::protobuf(delay) }).await?;
        let dead = self.dead_letters.is_some() && lease.attempt >= *self.settings.max_attempts;
        Ok((!dead).then(|| time::timestamp(time::after(time::now(), delay))))
    }

    pub async fn extend(
        &self,
        context: &Context,
        lease: MessageLease,
        duration: Duration,
    ) -> Result<Option<prost_types::Timestamp>, Error> {
        let request = ExtendVisibilityRequest { lease: lease.lease, visibility_timeout: delays::protobuf(duration) };
        Ok(self.visibility.extend_visibility(context, request).await?.lease_expire_time)
    }

    pub async fn describe(&self, context: &Context, topic: &str) -> Result<GetGroupResponse, Error> {
        let basic = self.basic("GetGroup")?;
        let (alive, dead) = dead_letters::depths(&**basic, context, topic).await?;
        let lag = alive.ready.saturating_add(alive.scheduled);
        Ok(GetGroupResponse { next_offset: None, lag, lag_is_more: false, in_flight: alive.leased, dead })
    }

    pub async fn list_dead(&self, context: &Context, topic: &str, limit: u32) -> Result<Vec<Message>, Error> {
        let request = PeekRequest { queue: dead_letters::queue_of(topic), limit };
        let messages = self.basic("ListDeadMessages")?.peek(context, request).await?.messages;
        Ok(messages.into_iter().map(message::of_queue).collect())
    }

    pub async fn redrive_dead(&self, context: &Context, topic: String, limit: u32) -> Result<u64, Error> {
        let unavailable = || Error::capability_unavailable("RedriveDeadMessages", "queue_dead_letter", &self.backend);
        self.dead_letters.as_ref().ok_or_else(unavailable)?.redrive(context, topic, limit).await
    }

    pub async fn discard_dead(&self, context: &Context, topic: &str, limit: u32) -> Result<u64, Error> {
        dead_letters::discard(&**self.basic("DiscardDeadMessages")?, context, topic, limit).await
    }

    fn basic(&self, rpc: &str) -> Result<&Arc<dyn QueueBasic>, Error> {
        self.basic.as_ref().ok_or_else(|| Error::capability_unavailable(rpc, "queue_basic", &self.backend))
    }
}
