//! `pubsub_basic`

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use prism::{
    call::Code,
    proto::models::pubsub::v1::{PublishRequest, SubscribeRequest, SubscribeResponse, UnsubscribeRequest},
};

use super::{Event, attributes, event, payload, subscribed};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, eventually, invalid, next, now, refusal, refused, silent, since_1970, sleep, stream_refusal},
};

suite! { "pubsub_basic":
    subscribed_comes_first;
    messages_arrive_unchanged;
    messages_arrive_in_order;
    every_subscription_gets_every_message;
    earlier_messages_are_not_delivered;
    topics_match_exactly;
    a_topic_without_subscribers;
    payloads_and_attributes_of_all_kinds;
    topics_beyond_ascii;
    receivers_are_counted_or_absent;
    unsubscribe_ends_the_stream;
    unsubscribe_delivers_what_is_buffered;
    an_unknown_subscription_is_not_found;
    an_id_is_in_use_while_its_stream_is_open;
    a_dropped_subscription_is_gone;
    a_slow_subscriber_gets_a_gap;
    a_slow_subscriber_does_not_delay_others;
    many_publishers_and_subscribers;
    keyspaces_are_isolated;
    bad_requests_are_refused;
}

async fn subscribed_comes_first(s: Subject) {
    let request = SubscribeRequest { topic: "news".to_owned(), subscription: "mine".to_owned() };
    let mut stream = s.pubsub_basic().subscribe(&s.context, request).await.unwrap();
    assert_eq!(subscribed(&mut stream).await, "mine");
    // Messages that are published after this event arrive.
    s.publish("news", "1").await;
    assert_eq!(payload(&mut stream).await, "1");
    let mut ids = BTreeSet::new();
    for topic in ["news", "other", "other"] {
        let request = SubscribeRequest { topic: topic.to_owned(), ..Default::default() };
        let mut stream = s.pubsub_basic().subscribe(&s.context, request).await.unwrap();
        let id = subscribed(&mut stream).await;
        assert!(!id.is_empty() && id.len() <= 200 && ids.insert(id), "the server makes different ids");
    }
}

async fn messages_arrive_unchanged(s: Subject) {
    let mut stream = s.subscribe("orders.eu").await;
    let before = now();
    let sent = attributes(&[("kind", "new"), ("leer", ""), ("gr\u{f6}\u{df}e", "\u{6771}\u{4eac} 9")]);
    let request =
        PublishRequest { topic: "orders.eu".to_owned(), payload: Bytes::from_static(b"\0\xff payload"), attributes: sent.clone() };
    s.pubsub_basic().publish(&s.context, request).await.unwrap();
    let message = event(&mut stream).await.message();
    assert_eq!(message.topic, "orders.eu");
    assert_eq!(&message.payload[..], b"\0\xff payload");
    assert_eq!(message.attributes, sent);
    let at = since_1970(message.publish_time.as_ref());
    assert!((before - 1000..=now() + 1000).contains(&at), "published at {at}");
    assert_eq!((message.ordering_key, message.sequence), (None, 0));
}

async fn messages_arrive_in_order(s: Subject) {
    let mut stream = s.subscribe("news").await;
    for number in 0..200 {
        s.publish("news", &number.to_string()).await;
    }
    for number in 0..200 {
        assert_eq!(payload(&mut stream).await, number.to_string());
    }
    silent(&mut stream).await;
}

async fn every_subscription_gets_every_message(s: Subject) {
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(s.subscribe("news").await);
    }
    s.publish("news", "1").await;
    s.publish("news", "2").await;
    for stream in &mut streams {
        assert_eq!(payload(stream).await, "1");
        assert_eq!(payload(stream).await, "2");
    }
}

async fn earlier_messages_are_not_delivered(s: Subject) {
    s.publish("news", "before").await;
    let mut stream = s.subscribe("news").await;
    s.publish("news", "after").await;
    assert_eq!(payload(&mut stream).await, "after");
}

async fn topics_match_exactly(s: Subject) {
    let mut stream = s.subscribe("a.b").await;
    for other in ["a", "a.c", "a.b.c", "b", "A.b", "a.bb", "xa.b"] {
        s.publish(other, "not mine").await;
    }
    s.publish("a.b", "mine").await;
    assert_eq!(payload(&mut stream).await, "mine");
    silent(&mut stream).await;
}

async fn a_topic_without_subscribers(s: Subject) {
    let answer = s.publish("nobody", "1").await;
    assert!(matches!(answer.receivers, None | Some(0)), "{answer:?}");
}

async fn payloads_and_attributes_of_all_kinds(s: Subject) {
    let mut stream = s.subscribe("news").await;
    let many: BTreeMap<String, String> = (0..64).map(|number| (format!("name{number:0124}"), "v".repeat(1024))).collect();
    for (payload, attributes) in [
        (Bytes::new(), BTreeMap::new()),
        (Bytes::from_static(b"\xc3\x28\0"), BTreeMap::new()),
        (Bytes::from(vec![7; 1 << 20]), BTreeMap::new()),
        (Bytes::new(), many),
        (Bytes::from_static(b"x"), attributes(&[("n", ""), (":", "="), ("a b", "\n\0")])),
    ] {
        let request = PublishRequest { topic: "news".to_owned(), payload: payload.clone(), attributes: attributes.clone() };
        s.pubsub_basic().publish(&s.context, request).await.unwrap();
        let message = event(&mut stream).await.message();
        assert!(
            message.payload == payload && message.attributes == attributes,
            "a different message of {} bytes came",
            message.payload.len()
        );
    }
}

async fn topics_beyond_ascii(s: Subject) {
    let longest = "t".repeat(200);
    for topic in ["gr\u{f6}\u{df}e.\u{6771}", "a/b:c{d}[e]?", "with-dash_and%", &longest] {
        let mut stream = s.subscribe(topic).await;
        s.publish(topic, "1").await;
        assert_eq!(event(&mut stream).await.message().topic, topic);
    }
}

async fn receivers_are_counted_or_absent(s: Subject) {
    let _one = s.subscribe("news").await;
    let _two = s.subscribe("news").await;
    let _other = s.subscribe("other").await;
    if let Some(receivers) = s.publish("news", "1").await.receivers {
        assert_eq!(receivers, 2);
    }
}

async fn unsubscribe_ends_the_stream(s: Subject) {
    let mut stream = s.subscribe_as("news", "mine").await;
    s.publish("news", "1").await;
    assert_eq!(payload(&mut stream).await, "1");
    assert!(s.unsubscribe("mine").await);
    assert!(all(stream).await.is_empty());
    assert!(!s.unsubscribe("mine").await);
    // The id can be used again.
    let mut stream = s.subscribe_as("news", "mine").await;
    s.publish("news", "2").await;
    assert_eq!(payload(&mut stream).await, "2");
}

async fn unsubscribe_delivers_what_is_buffered(s: Subject) {
    let stream = s.subscribe_as("news", "mine").await;
    // The second subscription shows when all messages have passed the backend.
    let mut witness = s.subscribe("news").await;
    for number in 0..10 {
        s.publish("news", &number.to_string()).await;
    }
    for number in 0..10 {
        assert_eq!(payload(&mut witness).await, number.to_string());
    }
    sleep(20).await;
    assert!(s.unsubscribe("mine").await);
    let rest: Vec<Event> = all(stream).await.into_iter().map(Event::from).collect();
    assert_eq!(
        rest.into_iter().map(|event| event.message().payload).collect::<Vec<_>>(),
        (0..10).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

async fn an_unknown_subscription_is_not_found(s: Subject) {
    assert!(!s.unsubscribe("unknown").await);
}

async fn an_id_is_in_use_while_its_stream_is_open(s: Subject) {
    let stream = s.subscribe_as("news", "mine").await;
    for topic in ["news", "other"] {
        let request = SubscribeRequest { topic: topic.to_owned(), subscription: "mine".to_owned() };
        let error = refusal(s.pubsub_basic().subscribe(&s.context, request).await).await;
        refused::<()>(Err(error), Code::AlreadyExists, "SUBSCRIPTION_IN_USE");
    }
    drop(stream);
    eventually("the id is free again", || async {
        let request = SubscribeRequest { topic: "news".to_owned(), subscription: "mine".to_owned() };
        match s.pubsub_basic().subscribe(&s.context, request).await {
            Ok(mut stream) => match futures::StreamExt::next(&mut stream).await {
                Some(Ok(_)) => true,
                Some(Err(error)) => {
                    assert_eq!(error.reason(), "SUBSCRIPTION_IN_USE", "{error:?}");
                    false
                }
                None => panic!("the stream ended"),
            },
            Err(error) => {
                assert_eq!(error.reason(), "SUBSCRIPTION_IN_USE", "{error:?}");
                false
            }
        }
    })
    .await;
}

async fn a_dropped_subscription_is_gone(s: Subject) {
    // More subscriptions in sequence than one connection may have open at a time.
    for _ in 0..100 {
        drop(s.subscribe("news").await);
    }
    // This one is dropped before it is polled.
    for _ in 0..20 {
        let request = SubscribeRequest { topic: "news".to_owned(), ..Default::default() };
        drop(s.pubsub_basic().subscribe(&s.context, request).await.unwrap());
    }
    let mut stream = s.subscribe("news").await;
    eventually("only the open subscription counts", || async {
        let receivers = s.publish("news", "1").await.receivers;
        matches!(receivers, None | Some(1))
    })
    .await;
    assert_eq!(payload(&mut stream).await, "1");
}

/// Publishes far more messages than a buffer holds, then reads what was kept. Returns the numbers of delivered and published messages.
async fn overflow_buffer(s: &Subject) -> (u64, u64) {
    const SENT: u64 = 3000;
    let mut stream = s.subscribe("news").await;
    for number in 0..SENT {
        s.publish("news", &number.to_string()).await;
    }
    // Publish the last message repeatedly until the buffer has room for it.
    let mut messages = 0;
    let mut missed = 0;
    let mut gaps = 0;
    let mut last: Option<u64> = None;
    loop {
        let item = tokio::time::timeout(Duration::from_millis(300), next(&mut stream)).await;
        let Ok(item) = item else {
            s.publish("news", "end").await;
            continue;
        };
        match Event::from(item) {
            Event::Message(message) if &message.payload[..] == b"end" => break,
            Event::Message(message) => {
                let number: u64 = String::from_utf8(message.payload.to_vec()).unwrap().parse().unwrap();
                assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
                last = Some(number);
                messages += 1;
            }
            Event::Gap(gap) => {
                gaps += 1;
                missed += gap.missed;
            }
            Event::Subscribed(_) => panic!("subscribed twice"),
        }
    }
    if messages < SENT {
        assert!(gaps > 0, "{} messages were lost without a gap event", SENT - messages);
        assert!(missed == 0 || missed + messages == SENT, "{missed} reported as missed, {messages} delivered of {SENT}");
    }
    (messages, SENT)
}

async fn a_slow_subscriber_gets_a_gap(s: Subject) {
    let (delivered, sent) = overflow_buffer(&s).await;
    assert!(delivered < sent, "the buffer is unbounded: 3,000 messages waited for one subscriber");
    assert!(delivered >= 1000, "only {delivered} messages were kept");
}

async fn a_slow_subscriber_does_not_delay_others(s: Subject) {
    let _slow = s.subscribe("news").await;
    let mut fast = s.subscribe("news").await;
    for number in 0..1500 {
        s.publish("news", &number.to_string()).await;
        assert_eq!(payload(&mut fast).await, number.to_string());
    }
}

async fn many_publishers_and_subscribers(s: Subject) {
    const PUBLISHERS: usize = 5;
    const EACH: usize = 30;
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = s.subscribe("news").await;
        readers.push(tokio::spawn(async move {
            let mut last = [None; PUBLISHERS];
            for _ in 0..PUBLISHERS * EACH {
                let text = payload(&mut stream).await;
                let (publisher, number) = text.split_once('/').unwrap();
                let (publisher, number): (usize, usize) = (publisher.parse().unwrap(), number.parse().unwrap());
                assert!(last[publisher].is_none_or(|last| number > last), "publisher {publisher}: {number} after {:?}", last[publisher]);
                last[publisher] = Some(number);
            }
            assert!(last.iter().all(|last| *last == Some(EACH - 1)));
        }));
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let s = s.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    s.publish("news", &format!("{publisher}/{number}")).await;
                }
            })
        })
        .collect();
    for task in publishers.into_iter().chain(readers) {
        task.await.unwrap();
    }
}

async fn keyspaces_are_isolated(s: Subject) {
    let (other, slot) = (s.other_keyspace(), s.other_slot());
    let (mut mine, mut theirs, mut third) = (s.subscribe("news").await, other.subscribe("news").await, slot.subscribe("news").await);
    s.publish("news", "mine").await;
    other.publish("news", "theirs").await;
    slot.publish("news", "the third").await;
    assert_eq!(payload(&mut mine).await, "mine");
    assert_eq!(payload(&mut theirs).await, "theirs");
    assert_eq!(payload(&mut third).await, "the third");
    // A second request for a keyspace returns the same keyspace.
    s.reopened().publish("news", "again").await;
    assert_eq!(payload(&mut mine).await, "again");
    silent(&mut theirs).await;
}

async fn bad_requests_are_refused(s: Subject) {
    let pubsub = s.pubsub_basic();
    let too_long = "t".repeat(201);
    for topic in ["", "a b", "a\u{a0}b", "a\n", "a..b", ".a", "a.", "a.*", "*", ">", "a.>", "a*b", too_long.as_str()] {
        let publish = PublishRequest { topic: topic.to_owned(), ..Default::default() };
        invalid(pubsub.publish(&s.context, publish).await, "INVALID_NAME", "topic");
        let subscribe = SubscribeRequest { topic: topic.to_owned(), ..Default::default() };
        invalid(stream_refusal(pubsub.subscribe(&s.context, subscribe).await).await, "INVALID_NAME", "topic");
    }
    let subscribe = SubscribeRequest { topic: "news".to_owned(), subscription: too_long.clone() };
    invalid(stream_refusal::<SubscribeResponse>(pubsub.subscribe(&s.context, subscribe).await).await, "INVALID_NAME", "subscription");
    for subscription in ["", &too_long] {
        let request = UnsubscribeRequest { subscription: subscription.to_owned() };
        invalid(pubsub.unsubscribe(&s.context, request).await, "INVALID_NAME", "subscription");
    }
    let many: BTreeMap<String, String> = (0..65).map(|number| (format!("name{number}"), String::new())).collect();
    for bad in [many, attributes(&[("", "v")]), attributes(&[(&"n".repeat(129), "v")]), attributes(&[("n", &"v".repeat(1025))])] {
        let publish = PublishRequest { topic: "news".to_owned(), attributes: bad, ..Default::default() };
        invalid(pubsub.publish(&s.context, publish).await, "INVALID_ATTRIBUTES", "attributes");
    }
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let payload = vec![0; usize::try_from(limit).unwrap() + 1].into();
        let publish = PublishRequest { topic: "news".to_owned(), payload, ..Default::default() };
        invalid(pubsub.publish(&s.context, publish).await, "VALUE_TOO_LARGE", "payload");
    }
}
