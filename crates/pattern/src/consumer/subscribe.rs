//! Streams messages to a subscriber.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, stream};

use super::{
    Consumer, FilterFields, MAX_MESSAGES, ReceiveOptions, Source,
    filter::{MessageFilter, filter_items},
    live::LiveEvent,
    payload,
    shared::SubscriptionItem,
    topics,
};
use crate::messaging::{delays::MAX_WAIT, names, payloads::PayloadReader};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::stream::v1::read_request,
        patterns::consumer::v1::{Message, Start, SubscribeRequest, SubscribeResponse},
    },
};

/// Messages that a subscription takes from its group at once.
const PAGE: u32 = 16;
const _: () = assert!(PAGE <= MAX_MESSAGES);

pub async fn subscribe(consumer: &Consumer, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscriptionItem>, Error> {
    let start = request.start();
    let SubscribeRequest { topic, group, auto_ack, cursor, lease_duration, topics, filter, discard_unmatched, .. } = request;
    let lease = consumer.lease_time(lease_duration.as_ref())?;
    let filter = consumer.filter(&FilterFields { path: "", filter: &filter, discard_unmatched })?;
    if !topics.is_empty() {
        topics::check(&topic, &topics)?;
        return subscribe_to_several(consumer, context, topics, (&group, start, &cursor), filter).await;
    }
    names::topic(&topic)?;
    match &*consumer.source {
        Source::Live(topics) => {
            if !group.is_empty() {
                return Err(Error::invalid("group", "must be empty, since the topics of this namespace are live"));
            }
            refuse_cursor(&cursor)?;
            let events = topics.subscribe(context, topic.clone()).await?;
            let items = filter_items(filter, topic.clone(), Box::pin(events.map(|event| Ok(of_live(event?).into()))));
            Ok(with_payloads(consumer, context, topic, items))
        }
        Source::Stream { tails, .. } if group.is_empty() => {
            let start = match (cursor.is_empty(), start) {
                (false, _) => read_request::Start::Cursor(cursor),
                (true, Start::Latest) => read_request::Start::Latest(true),
                (true, _) => read_request::Start::FromOffset(0),
            };
            let items = filter_items(filter, topic.clone(), tails.subscribe(context, &topic, start).await?);
            Ok(with_payloads(consumer, context, topic, items))
        }
        source @ (Source::Stream { .. } | Source::Queue(_)) => {
            refuse_cursor(&cursor)?;
            if let Source::Stream { groups, .. } = source {
                groups.check_progress()?;
            }
            let group = consumer.check_group(&topic, group)?;
            let options = ReceiveOptions { topic: topic.clone(), group, limit: PAGE, wait: MAX_WAIT, lease, start, auto_ack, filter };
            let messages = of_group(consumer.source.clone(), context.clone(), options);
            let items = messages.map(|message| Ok(SubscribeResponse { message: Some(message?), ..SubscribeResponse::default() }.into()));
            Ok(with_payloads(consumer, context, topic, Box::pin(items)))
        }
    }
}

/// Streams messages of several topics, without a group.
async fn subscribe_to_several(
    consumer: &Consumer,
    context: &Context,
    names: Vec<String>,
    (group, start, cursor): (&str, Start, &str),
    filter: Option<Arc<MessageFilter>>,
) -> Result<Messages<SubscriptionItem>, Error> {
    if !group.is_empty() {
        return Err(Error::invalid("group", "must be empty: several topics are read without a group"));
    }
    match &*consumer.source {
        Source::Live(topics) => {
            refuse_cursor(cursor)?;
            let mut all = Vec::with_capacity(names.len());
            for name in names {
                let events = topics.subscribe(context, name.clone()).await?;
                let of_topic = name.clone();
                let items = events.map(move |event| Ok(SubscribeResponse { topic: Some(of_topic.clone()), ..of_live(event?) }.into()));
                let items = filter_items(filter.clone(), name.clone(), Box::pin(items));
                all.push(with_payloads(consumer, context, name, items));
            }
            Ok(Box::pin(stream::select_all(all)))
        }
        Source::Stream { groups, tails } => {
            let items = topics::read((groups, tails), context, names, start, topics::Positions::decode(cursor)?).await?;
            let items = filter_items(filter, String::new(), items);
            Ok(with_payloads(consumer, context, String::new(), items))
        }
        Source::Queue(_) => Err(consumer.unavailable("a subscription to several topics")),
    }
}

fn of_live(event: LiveEvent) -> SubscribeResponse {
    match event {
        LiveEvent::Message(message) => SubscribeResponse { message: Some(*message), ..SubscribeResponse::default() },
        LiveEvent::Gap(missed) => SubscribeResponse { gap: Some(missed), ..SubscribeResponse::default() },
    }
}

/// Puts the payloads of messages into them, one after the other, as the client takes them.
fn with_payloads(consumer: &Consumer, context: &Context, topic: String, items: Messages<SubscriptionItem>) -> Messages<SubscriptionItem> {
    let Some(payloads) = consumer.payloads.clone() else { return items };
    let context = context.clone();
    Box::pin(items.then(move |item| {
        let (payloads, context, topic) = (payloads.clone(), context.clone(), topic.clone());
        async move {
            let item = item?;
            // What needs no payload stays shared.
            if item.message().is_none_or(|message| message.stored_payload.is_none()) {
                return Ok(item);
            }
            let response = item.into_response();
            let topic = response.topic.clone().unwrap_or(topic);
            with_payload(&payloads, &context, &topic, response).await.map(SubscriptionItem::from)
        }
    }))
}

async fn with_payload(
    payloads: &PayloadReader,
    context: &Context,
    topic: &str,
    response: SubscribeResponse,
) -> Result<SubscribeResponse, Error> {
    let Some(message) = response.message else { return Ok(response) };
    let message = payload::fetch(Some(payloads), context, topic, message).await?;
    Ok(SubscribeResponse { message: Some(message), ..response })
}

fn refuse_cursor(cursor: &str) -> Result<(), Error> {
    if cursor.is_empty() {
        return Ok(());
    }
    Err(Error::invalid("cursor", "must be empty: only a stream that is read without a group can be continued")
        .with_reason("INVALID_CURSOR"))
}

/// The messages of a group, from its subscription to its end.
struct GroupSubscription {
    source: Arc<Source>,
    context: Context,
    options: ReceiveOptions,
    ready: VecDeque<Message>,
    /// Leases of messages that the client has taken, if they are acknowledged automatically.
    taken: Vec<String>,
}

/// Streams the messages of a group until an error.
fn of_group(source: Arc<Source>, context: Context, options: ReceiveOptions) -> Messages<Message> {
    let subscription = GroupSubscription { source, context, options, ready: VecDeque::new(), taken: Vec::new() };
    Box::pin(stream::try_unfold(subscription, |mut subscription| async move {
        let message = subscription.next().await?;
        Ok(Some((message, subscription)))
    }))
}

impl GroupSubscription {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                if self.options.auto_ack {
                    self.taken.push(message.lease.clone());
                }
                return Ok(message);
            }
            if !self.taken.is_empty() {
                let leases = std::mem::take(&mut self.taken);
                self.source.ack(&self.context, &self.options.topic, &self.options.group, &leases).await?;
            }
            self.ready = self.source.receive(&self.context, &self.options).await?.into();
        }
    }
}
