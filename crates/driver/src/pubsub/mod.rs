//! Subscriptions: their events, the bounded buffer between publishers and a subscriber, and what selects their messages.

mod filter;
mod pattern;

use std::collections::VecDeque;

pub use filter::Filter;
pub use pattern::TopicPattern;

use prism_call::{
    Code, Error,
    proto::models::pubsub::v1::{
        Gap, Message, SubscribeDurableResponse, SubscribeFilteredResponse, SubscribeOrderedResponse, SubscribePatternResponse,
        SubscribeResponse, Subscribed, subscribe_durable_response, subscribe_filtered_response, subscribe_ordered_response,
        subscribe_pattern_response, subscribe_response,
    },
};

/// An event of a subscription. Each RPC that subscribes has its own response message for it.
#[derive(Clone, Debug)]
pub enum SubscriptionEvent {
    /// The subscription is open; always the first event.
    Subscribed(Subscribed),
    /// A message.
    Message(Message),
    /// Messages were lost.
    Gap(Gap),
}

/// The response messages differ only in their names.
macro_rules! responses {
    ($($response:ident in $module:ident;)*) => {
        $(impl From<SubscriptionEvent> for $response {
            fn from(event: SubscriptionEvent) -> Self {
                Self {
                    event: Some(match event {
                        SubscriptionEvent::Subscribed(subscribed) => $module::Event::Subscribed(subscribed),
                        SubscriptionEvent::Message(message) => $module::Event::Message(message),
                        SubscriptionEvent::Gap(gap) => $module::Event::Gap(gap),
                    }),
                }
            }
        })*
    };
}

responses! {
    SubscribeResponse in subscribe_response;
    SubscribePatternResponse in subscribe_pattern_response;
    SubscribeFilteredResponse in subscribe_filtered_response;
    SubscribeOrderedResponse in subscribe_ordered_response;
    SubscribeDurableResponse in subscribe_durable_response;
}

/// Messages that wait for one subscriber. Publishers never wait: a message that finds no room is dropped, and the
/// subscriber learns it from a gap at the same position.
#[derive(Debug)]
pub struct SubscriptionBuffer<M> {
    items: VecDeque<Item<M>>,
    messages: usize,
    bytes: u64,
    max_messages: usize,
    max_bytes: u64,
    /// Messages that were dropped after the last item.
    missed: u64,
    ended: bool,
}

#[derive(Debug)]
enum Item<M> {
    Message { message: M, bytes: u64 },
    Gap { missed: u64 },
}

/// The result of [`SubscriptionBuffer::pop`].
#[derive(Debug, PartialEq, Eq)]
pub enum NextItem<M> {
    /// The next message.
    Message(M),
    /// This number of messages was dropped at this position; 0 = unknown.
    Gap(u64),
    /// The buffer is empty.
    Empty,
    /// The buffer is empty, and nothing will be added.
    End,
}

impl<M> SubscriptionBuffer<M> {
    /// An empty buffer. A single message may be larger than `max_bytes`.
    pub fn new(max_messages: usize, max_bytes: u64) -> Self {
        Self { items: VecDeque::new(), messages: 0, bytes: 0, max_messages, max_bytes, missed: 0, ended: false }
    }

    /// Adds a message of a size in bytes. Returns false if it was dropped, because there is no room or the buffer has ended.
    pub fn offer(&mut self, message: M, bytes: u64) -> bool {
        if self.ended {
            return false;
        }
        if self.messages >= self.max_messages || (self.messages > 0 && self.bytes + bytes > self.max_bytes) {
            self.missed += 1;
            return false;
        }
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            self.items.push_back(Item::Gap { missed });
        }
        self.messages += 1;
        self.bytes += bytes;
        self.items.push_back(Item::Message { message, bytes });
        true
    }

    /// Adds a gap of unknown size, which includes the messages dropped since the last item.
    pub fn add_unknown_gap(&mut self) {
        self.missed = 0;
        // One is enough, so that the buffer of a subscriber that does not read stays bounded.
        if !matches!(self.items.back(), Some(Item::Gap { missed: 0 })) {
            self.items.push_back(Item::Gap { missed: 0 });
        }
    }

    /// Removes and returns the first item.
    pub fn pop(&mut self) -> NextItem<M> {
        match self.items.pop_front() {
            Some(Item::Message { message, bytes }) => {
                self.messages -= 1;
                self.bytes -= bytes;
                NextItem::Message(message)
            }
            Some(Item::Gap { missed }) => NextItem::Gap(missed),
            None if self.missed > 0 => NextItem::Gap(std::mem::take(&mut self.missed)),
            None if self.ended => NextItem::End,
            None => NextItem::Empty,
        }
    }

    /// Accepts no more messages. Those in the buffer are still delivered.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`end`](Self::end) was called.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

/// Checks the length of an ordering key.
pub fn check_ordering_key(ordering_key: &str) -> Result<(), Error> {
    if ordering_key.len() > 256 {
        return Err(Error::invalid("ordering_key", "must have at most 256 bytes"));
    }
    Ok(())
}

/// `ALREADY_EXISTS SUBSCRIPTION_IN_USE`
pub fn subscription_in_use(id: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        "SUBSCRIPTION_IN_USE",
        format!("a subscription with the id {id:?} is open; choose another id, leave it empty, or end that subscription with Unsubscribe"),
    )
}

/// `NOT_FOUND SUBSCRIPTION_NOT_FOUND`
pub fn durable_subscription_not_found(topic: &str, subscription: &str) -> Error {
    Error::new(
        Code::NotFound,
        "SUBSCRIPTION_NOT_FOUND",
        format!("the topic {topic:?} has no durable subscription {subscription:?}; SubscribeDurable makes it"),
    )
}

/// `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS`; `setting` is the name of the limit in the configuration.
pub fn too_many_subscriptions(limit: usize, setting: &str) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_SUBSCRIPTIONS",
        format!("{limit} subscriptions and consumer group members are open, which is the limit ({setting}); end some or raise the limit"),
    )
    .with("limit", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_dropped_messages_at_their_position() {
        let mut buffer = SubscriptionBuffer::new(2, 100);
        let offered = ["1", "2", "3", "4"].map(|message| buffer.offer(message, 1));
        assert_eq!(offered, [true, true, false, false]);
        assert_eq!(buffer.pop(), NextItem::Message("1"));
        assert!(buffer.offer("5", 1));
        buffer.end();
        assert!(!buffer.offer("6", 1));
        let rest = [(); 4].map(|()| buffer.pop());
        assert_eq!(rest, [NextItem::Message("2"), NextItem::Gap(2), NextItem::Message("5"), NextItem::End]);
    }

    #[test]
    fn limits_bytes_but_accepts_one_large_message() {
        let mut buffer = SubscriptionBuffer::new(10, 100);
        assert!(buffer.offer("large", 1000));
        assert!(!buffer.offer("small", 1));
        buffer.add_unknown_gap();
        buffer.add_unknown_gap();
        assert_eq!(buffer.pop(), NextItem::Message("large"));
        assert_eq!(buffer.pop(), NextItem::Gap(0));
        assert_eq!(buffer.pop(), NextItem::Empty);
        assert!(buffer.offer("small", 1));
    }
}
