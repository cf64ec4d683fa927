//! The queue interfaces.

mod basic;
mod dead_letter;
mod delayed;
mod gateways;
mod priority;
mod visibility;

use std::collections::BTreeMap;

use prism::{
    call::Error,
    proto::models::queue::v1::{
        CompleteRequest, DequeueRequest, DequeueWithTimeoutRequest, EnqueueRequest, GetQueueDepthRequest, LeasedMessage, PeekRequest,
        QueueMessage, ReleaseRequest,
    },
};

use crate::{subject::Subject, suite::Suite, support::seconds};

/// All suites of the model.
pub const SUITES: &[&Suite] =
    &[&basic::SUITE, &dead_letter::SUITE, &delayed::SUITE, &gateways::SUITE, &priority::SUITE, &visibility::SUITE];

/// Short forms of the calls that most cases make.
impl Subject {
    async fn enqueue(&self, queue: &str, payload: &str) -> String {
        let request = EnqueueRequest { queue: queue.to_owned(), payload: payload.to_owned().into(), attributes: BTreeMap::new() };
        self.queue_basic().enqueue(&self.context, request).await.unwrap().message_id
    }

    async fn dequeue(&self, queue: &str, limit: u32) -> Vec<QueueMessage> {
        let request = DequeueRequest { queue: queue.to_owned(), limit, wait: None };
        self.queue_basic().dequeue(&self.context, request).await.unwrap().messages
    }

    /// Removes all ready messages, and returns their payloads.
    async fn drain(&self, queue: &str) -> Vec<String> {
        payloads(self.dequeue(queue, 100).await)
    }

    async fn peek(&self, queue: &str, limit: u32) -> Vec<QueueMessage> {
        self.queue_basic().peek(&self.context, PeekRequest { queue: queue.to_owned(), limit }).await.unwrap().messages
    }

    /// Returns the numbers of ready, leased and scheduled messages.
    async fn depth(&self, queue: &str) -> (u64, u64, u64) {
        let request = GetQueueDepthRequest { queue: queue.to_owned() };
        let depth = self.queue_basic().get_queue_depth(&self.context, request).await.unwrap();
        (depth.ready, depth.leased, depth.scheduled)
    }

    async fn lease(&self, queue: &str, limit: u32) -> Vec<LeasedMessage> {
        self.lease_for(queue, limit, 30).await
    }

    async fn lease_for(&self, queue: &str, limit: u32, timeout: i64) -> Vec<LeasedMessage> {
        let request = DequeueWithTimeoutRequest { queue: queue.to_owned(), visibility_timeout: Some(seconds(timeout)), limit, wait: None };
        self.queue_visibility().dequeue_with_timeout(&self.context, request).await.unwrap().messages
    }

    /// Leases the next message.
    async fn lease_one(&self, queue: &str) -> LeasedMessage {
        let mut leased = self.lease(queue, 1).await;
        assert_eq!(leased.len(), 1, "nothing is ready in {queue}");
        leased.remove(0)
    }

    /// Leases the next message, and waits for it up to `wait` seconds.
    async fn lease_waiting(&self, queue: &str, wait: i64) -> LeasedMessage {
        let request = DequeueWithTimeoutRequest { queue: queue.to_owned(), wait: Some(seconds(wait)), ..Default::default() };
        let mut leased = self.queue_visibility().dequeue_with_timeout(&self.context, request).await.unwrap().messages;
        assert_eq!(leased.len(), 1, "nothing became ready in {queue} within {wait} s");
        leased.remove(0)
    }

    async fn complete(&self, lease: &str) -> Result<(), Error> {
        let request = CompleteRequest { lease: lease.to_owned() };
        self.queue_visibility().complete(&self.context, request).await.map(drop)
    }

    async fn release(&self, lease: &str, delay: Option<prost_types::Duration>) -> Result<(), Error> {
        let request = ReleaseRequest { lease: lease.to_owned(), delay };
        self.queue_visibility().release(&self.context, request).await.map(drop)
    }
}

fn payloads(messages: impl IntoIterator<Item = QueueMessage>) -> Vec<String> {
    messages.into_iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
}

fn payload(leased: &LeasedMessage) -> &str {
    std::str::from_utf8(&leased.message.as_ref().expect("a lease has a message").payload).unwrap()
}

fn attempt(leased: &LeasedMessage) -> u32 {
    leased.message.as_ref().expect("a lease has a message").delivery_attempt
}
