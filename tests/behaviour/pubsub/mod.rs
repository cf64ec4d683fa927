//! The pub/sub interfaces.

mod basic;
mod filtering;
mod gateways;
mod ordering;
mod persistent;
mod persistent_gateways;
mod wildcards;

use std::collections::BTreeMap;

use prism::{
    call::Messages,
    proto::models::pubsub::v1::{
        Gap, Message, PublishRequest, PublishResponse, SubscribeDurableResponse, SubscribeFilteredResponse, SubscribeOrderedResponse,
        SubscribePatternResponse, SubscribeRequest, SubscribeResponse, Subscribed, UnsubscribeRequest, subscribe_durable_response,
        subscribe_filtered_response, subscribe_ordered_response, subscribe_pattern_response, subscribe_response,
    },
};

use crate::{subject::Subject, suite::Suite, support::next};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[
    &basic::SUITE,
    &filtering::SUITE,
    &gateways::SUITE,
    &ordering::SUITE,
    &persistent::SUITE,
    &persistent_gateways::SUITE,
    &wildcards::SUITE,
];

/// An event of a subscription, from any of the subscribe RPCs.
#[derive(Clone, Debug)]
enum Event {
    Subscribed(Subscribed),
    Message(Message),
    Gap(Gap),
}

/// Declares how a response converts to an [`Event`].
macro_rules! events {
    ($($response:ident in $module:ident;)+) => {
        $(impl From<$response> for Event {
            fn from(response: $response) -> Self {
                match response.event.expect("each answer has an event") {
                    $module::Event::Subscribed(subscribed) => Self::Subscribed(subscribed),
                    $module::Event::Message(message) => Self::Message(message),
                    $module::Event::Gap(gap) => Self::Gap(gap),
                }
            }
        })+
    };
}

events! {
    SubscribeResponse in subscribe_response;
    SubscribePatternResponse in subscribe_pattern_response;
    SubscribeFilteredResponse in subscribe_filtered_response;
    SubscribeOrderedResponse in subscribe_ordered_response;
    SubscribeDurableResponse in subscribe_durable_response;
}

impl Event {
    fn message(self) -> Message {
        match self {
            Self::Message(message) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }
}

async fn event<T: Into<Event>>(stream: &mut Messages<T>) -> Event {
    next(stream).await.into()
}

/// Returns the payload of the next event, which must be a message.
async fn payload<T: Into<Event>>(stream: &mut Messages<T>) -> String {
    String::from_utf8(event(stream).await.message().payload.to_vec()).unwrap()
}

/// Returns the id in the first event of a subscription.
async fn subscribed<T: Into<Event>>(stream: &mut Messages<T>) -> String {
    match event(stream).await {
        Event::Subscribed(subscribed) => subscribed.subscription,
        other => panic!("the first event is {other:?}"),
    }
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn publish(&self, topic: &str, payload: &str) -> PublishResponse {
        let request = PublishRequest { topic: topic.to_owned(), payload: payload.to_owned().into(), attributes: BTreeMap::new() };
        self.pubsub_basic().publish(&self.context, request).await.unwrap()
    }

    /// Opens a subscription and reads its first event.
    async fn subscribe(&self, topic: &str) -> Messages<SubscribeResponse> {
        self.subscribe_as(topic, "").await
    }

    async fn subscribe_as(&self, topic: &str, subscription: &str) -> Messages<SubscribeResponse> {
        let request = SubscribeRequest { topic: topic.to_owned(), subscription: subscription.to_owned() };
        let mut stream = self.pubsub_basic().subscribe(&self.context, request).await.unwrap();
        let id = subscribed(&mut stream).await;
        assert!(!id.is_empty() && (subscription.is_empty() || id == subscription), "{id:?}");
        stream
    }

    async fn unsubscribe(&self, subscription: &str) -> bool {
        let request = UnsubscribeRequest { subscription: subscription.to_owned() };
        self.pubsub_basic().unsubscribe(&self.context, request).await.unwrap().found
    }
}
