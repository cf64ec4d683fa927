//! Subscribe and Consume.

use prism::{
    call::Messages,
    proto::patterns::consumer::v1::{
        ConsumeRequest, ConsumeResponse, Message, Start, SubscribeRequest, SubscribeResponse,
        consume_request::{Begin, Leases, Request, Return},
        consume_response::Event,
    },
};
use serde_json::json;

use super::{payloads, publish, publish_to, receive_now, topic};
use crate::{
    patterns::Bench,
    support::{PATIENCE, all, invalid, millis, next, silent, stream_refusal},
};

/// Another topic.
pub const OTHER: &str = "other.topic";

fn subscription() -> SubscribeRequest {
    SubscribeRequest { topic: topic(), ..SubscribeRequest::default() }
}

fn in_group() -> SubscribeRequest {
    SubscribeRequest { group: "default".to_owned(), ..subscription() }
}

async fn subscribe(bench: &Bench, request: SubscribeRequest) -> Messages<SubscribeResponse> {
    bench.stream("Subscribe", request).await.unwrap()
}

async fn next_payload(subscription: &mut Messages<SubscribeResponse>) -> String {
    String::from_utf8(next(subscription).await.message.expect("a message").payload.to_vec()).unwrap()
}

pub async fn a_stream_is_read_by_everybody_and_continued_by_cursor(bench: Bench) {
    publish(&bench, &["one", "two"]).await;
    let mut first = subscribe(&bench, subscription()).await;
    let mut second = subscribe(&bench, subscription()).await;
    let one = next(&mut first).await;
    assert_eq!(payloads(&[one.message.clone().unwrap()]), ["one"]);
    assert!(one.message.unwrap().lease.is_empty() && !one.cursor.is_empty());
    assert_eq!((next_payload(&mut second).await, next_payload(&mut second).await), ("one".to_owned(), "two".to_owned()));
    publish(&bench, &["three"]).await;
    assert_eq!(next_payload(&mut second).await, "three");
    let mut continued = subscribe(&bench, SubscribeRequest { cursor: one.cursor, ..subscription() }).await;
    assert_eq!((next_payload(&mut continued).await, next_payload(&mut continued).await), ("two".to_owned(), "three".to_owned()));
    silent(&mut continued).await;
}

pub async fn subscribers_come_at_any_time_and_miss_nothing(bench: Bench) {
    const MESSAGES: usize = 120;
    let payloads: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    let publishing = async {
        for page in payloads.chunks(10) {
            publish(&bench, &page.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
    };
    // Each one begins when the one before has come further, and so at another place of the topic.
    let subscribing = async {
        let mut subscriptions = vec![(subscribe(&bench, subscription()).await, 0)];
        while let Some((stream, received)) = subscriptions.last_mut()
            && *received + 10 <= MESSAGES
        {
            for _ in 0..10 {
                assert_eq!(next_payload(stream).await, received.to_string());
                *received += 1;
            }
            let mut later = subscribe(&bench, subscription()).await;
            let so_far = *received;
            for number in 0..so_far {
                assert_eq!(next_payload(&mut later).await, number.to_string());
            }
            subscriptions.push((later, so_far));
        }
        for (stream, received) in &mut subscriptions {
            for number in *received..MESSAGES {
                assert_eq!(next_payload(stream).await, number.to_string());
            }
            silent(stream).await;
        }
    };
    futures::join!(publishing, subscribing);
}

/// A subscription to the topic and to another one.
fn to_both() -> SubscribeRequest {
    SubscribeRequest { topic: String::new(), topics: vec![topic(), OTHER.to_owned()], ..subscription() }
}

/// Returns the topic and the payload of the next message.
async fn next_of(subscription: &mut Messages<SubscribeResponse>) -> (String, String) {
    let response = next(subscription).await;
    (response.topic.expect("a topic"), String::from_utf8(response.message.expect("a message").payload.to_vec()).unwrap())
}

pub async fn several_topics_are_read_and_continued_by_one_cursor(bench: Bench) {
    let (topic, other) = (topic(), OTHER.to_owned());
    let message = |topic: &str, payload: &str| (topic.to_owned(), payload.to_owned());
    let mut latest = subscribe(&bench, SubscribeRequest { start: Start::Latest.into(), ..to_both() }).await;
    publish(&bench, &["one"]).await;
    let mut first = subscribe(&bench, to_both()).await;
    let one = next(&mut first).await;
    assert_eq!(one.topic.as_ref(), Some(&topic));
    publish_to(&bench, OTHER, &["two"]).await;
    let two = next(&mut first).await;
    assert_eq!((two.topic.as_deref(), payloads(&[two.message.unwrap()])), (Some(OTHER), vec!["two"]));
    publish(&bench, &["three"]).await;
    publish_to(&bench, OTHER, &["four"]).await;
    // Behind the first message, the other topic has not begun; behind the second one, both have.
    let mut continued = subscribe(&bench, SubscribeRequest { cursor: one.cursor, ..to_both() }).await;
    let mut rest = vec![next_of(&mut continued).await, next_of(&mut continued).await, next_of(&mut continued).await];
    rest.sort();
    let mut expected = vec![message(&other, "two"), message(&topic, "three"), message(&other, "four")];
    expected.sort();
    assert_eq!(rest, expected);
    let mut continued = subscribe(&bench, SubscribeRequest { cursor: two.cursor.clone(), ..to_both() }).await;
    let mut rest = vec![next_of(&mut continued).await, next_of(&mut continued).await];
    rest.sort();
    let mut expected = vec![message(&topic, "three"), message(&other, "four")];
    expected.sort();
    assert_eq!(rest, expected);
    silent(&mut continued).await;
    // A topic can be left out, and another one begins at the start.
    let request =
        SubscribeRequest { topic: String::new(), topics: vec![OTHER.to_owned(), "third".to_owned()], cursor: two.cursor, ..subscription() };
    let mut changed = subscribe(&bench, request).await;
    assert_eq!(next_of(&mut changed).await, message(&other, "four"));
    // Whoever begins at the end can continue before the first message of each topic has come.
    // Topics have no order among each other.
    let begun = next(&mut latest).await;
    let request = SubscribeRequest { start: Start::Latest.into(), cursor: begun.cursor, ..to_both() };
    let mut continued = subscribe(&bench, request).await;
    let mut all = vec![String::from_utf8(begun.message.unwrap().payload.to_vec()).unwrap()];
    for _ in 0..3 {
        all.push(next_of(&mut continued).await.1);
    }
    all.sort();
    assert_eq!(all, ["four", "one", "three", "two"]);
}

pub async fn several_live_topics_are_read_in_one_stream(bench: Bench) {
    let stream = subscribe(&bench, to_both()).await;
    let mut both = subscribe_live(&bench, stream, |event| event.message.is_some()).await;
    let mut received = vec![];
    // The other subscription may begin later.
    for _ in 0..100 {
        publish_to(&bench, OTHER, &["other"]).await;
        received.extend(tokio::time::timeout(std::time::Duration::from_millis(100), next_of(&mut both)).await.ok());
        if received.iter().any(|(topic, _)| topic == OTHER) {
            break;
        }
    }
    assert!(received.contains(&(OTHER.to_owned(), "other".to_owned())), "{received:?}");
    assert!(received.iter().all(|(of, payload)| (of == OTHER) == (payload == "other")), "{received:?}");
}

pub async fn messages_of_a_group_are_acknowledged_when_they_are_taken(bench: Bench) {
    let bench = bench.with(json!({"lease_duration": "1s"})).await;
    publish(&bench, &["one", "two"]).await;
    let mut messages = subscribe(&bench, SubscribeRequest { auto_ack: true, ..in_group() }).await;
    assert_eq!((next_payload(&mut messages).await, next_payload(&mut messages).await), ("one".to_owned(), "two".to_owned()));
    publish(&bench, &["three"]).await;
    assert_eq!(next_payload(&mut messages).await, "three");
    drop(messages);
    // Without automatic acknowledgement, a message comes again. The last one was not acknowledged, since nobody took the next one.
    let mut messages = subscribe(&bench, in_group()).await;
    for _ in 0..2 {
        let message = next(&mut messages).await.message.unwrap();
        assert_eq!(payloads(std::slice::from_ref(&message)), ["three"]);
        assert!(!message.lease.is_empty() && message.attempt > 1);
    }
}

/// Opens a subscription of a live topic, and publishes until it is there.
pub async fn subscribe_live<T>(bench: &Bench, mut stream: Messages<T>, is_message: impl Fn(T) -> bool) -> Messages<T> {
    let began = std::time::Instant::now();
    loop {
        publish(bench, &["are you there?"]).await;
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), futures::StreamExt::next(&mut stream)).await;
        if let Ok(Some(Ok(event))) = waited
            && is_message(event)
        {
            return stream;
        }
        assert!(began.elapsed() < PATIENCE, "the subscription never began");
    }
}

pub async fn live_messages_reach_those_who_are_there(bench: Bench) {
    publish(&bench, &["nobody is there"]).await;
    let mut subscriptions = vec![];
    for _ in 0..2 {
        let stream = subscribe(&bench, subscription()).await;
        subscriptions.push(subscribe_live(&bench, stream, |event| event.message.is_some()).await);
    }
    publish(&bench, &["one", "two"]).await;
    for subscription in &mut subscriptions {
        let mut received = vec![];
        while received.last().is_none_or(|last| last != "two") {
            received.extend(Some(next_payload(subscription).await).filter(|payload| payload != "are you there?"));
        }
        assert_eq!(received, ["one", "two"]);
    }
}

pub async fn subscriptions_are_checked(bench: Bench) {
    let refused = async |request| stream_refusal(bench.stream::<SubscribeResponse>("Subscribe", request).await).await;
    invalid(refused(SubscribeRequest { topic: "a b".to_owned(), ..subscription() }).await, "INVALID_NAME", "topic");
    invalid(refused(SubscribeRequest { lease_duration: Some(millis(1)), ..subscription() }).await, "INVALID_FIELD", "lease_duration");
    let cursor = SubscribeRequest { cursor: "nonsense".to_owned(), ..subscription() };
    assert_eq!(refused(cursor).await.unwrap_err().reason(), "INVALID_CURSOR");
    let several = |topics: &[&str]| SubscribeRequest {
        topic: String::new(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        ..subscription()
    };
    if bench.model() == "queue" {
        assert_eq!(refused(several(&[OTHER])).await.unwrap_err().reason(), "CAPABILITY_UNAVAILABLE");
    } else {
        let single = SubscribeRequest { cursor: "AAAAAAAAAAE".to_owned(), ..to_both() };
        assert_eq!(refused(single).await.unwrap_err().reason(), "INVALID_CURSOR");
    }
    invalid(refused(several(&["a b"])).await, "INVALID_NAME", "topic");
    invalid(refused(SubscribeRequest { topics: vec![OTHER.to_owned()], ..subscription() }).await, "INVALID_FIELD", "topic");
    invalid(refused(several(&[OTHER, OTHER])).await, "INVALID_FIELD", "topics");
    invalid(refused(SubscribeRequest { group: "default".to_owned(), ..to_both() }).await, "INVALID_FIELD", "group");
    let many: Vec<_> = (0..17).map(|number| number.to_string()).collect();
    assert_eq!(
        refused(SubscribeRequest { topic: String::new(), topics: many, ..subscription() }).await.unwrap_err().reason(),
        "BATCH_SIZE"
    );
    if bench.model() == "pubsub" {
        invalid(refused(in_group()).await, "INVALID_FIELD", "group");
    } else if bench.model() == "stream" && !bench.fills("progress") {
        assert_eq!(refused(in_group()).await.unwrap_err().reason(), "CAPABILITY_UNAVAILABLE");
    }
}

fn begin(credits: u32) -> ConsumeRequest {
    ConsumeRequest { request: Some(Request::Begin(Begin { topic: topic(), credits, ..Begin::default() })) }
}

fn request(request: Request) -> ConsumeRequest {
    ConsumeRequest { request: Some(request) }
}

pub async fn next_message(events: &mut Messages<ConsumeResponse>) -> Message {
    match next(events).await.event {
        Some(Event::Message(message)) => message,
        other => panic!("not a message: {other:?}"),
    }
}

async fn settled(events: &mut Messages<ConsumeResponse>) -> u32 {
    match next(events).await.event {
        Some(Event::Settled(count)) => count,
        other => panic!("not an answer: {other:?}"),
    }
}

pub async fn consumers_need_credits(bench: Bench) {
    publish(&bench, &["one", "two", "three"]).await;
    let (requests, mut events) = bench.exchange::<_, ConsumeResponse>("Consume", begin(2)).await.unwrap();
    let first = [next_message(&mut events).await, next_message(&mut events).await];
    assert_eq!(payloads(&first), ["one", "two"]);
    silent(&mut events).await;
    requests.unbounded_send(request(Request::Credits(1))).unwrap();
    assert_eq!(next_message(&mut events).await.payload, "three");
    drop(requests);
    assert!(all(events).await.is_empty(), "the stream ends when the client has closed its direction and has no credits");
}

pub async fn consuming_settles_messages(bench: Bench) {
    publish(&bench, &["one", "two"]).await;
    let (requests, mut events) = bench.exchange::<_, ConsumeResponse>("Consume", begin(10)).await.unwrap();
    let (one, two) = (next_message(&mut events).await, next_message(&mut events).await);
    let leases = |leases: &[&Message]| Leases { leases: leases.iter().map(|message| message.lease.clone()).collect() };
    requests.unbounded_send(request(Request::Ack(leases(&[&one])))).unwrap();
    assert_eq!(settled(&mut events).await, 1);
    requests.unbounded_send(request(Request::Ack(leases(&[&one])))).unwrap();
    assert_eq!(settled(&mut events).await, 0, "its lease has ended");
    let nack = Return { lease: two.lease.clone(), delay: Some(millis(0)) };
    requests.unbounded_send(request(Request::Nack(nack.clone()))).unwrap();
    assert_eq!(settled(&mut events).await, 1);
    let again = next_message(&mut events).await;
    assert_eq!((&again.payload[..], again.attempt), (&b"two"[..], 2));
    requests.unbounded_send(request(Request::Nack(nack))).unwrap();
    assert_eq!(settled(&mut events).await, 0);
    requests.unbounded_send(request(Request::Ack(leases(&[&again])))).unwrap();
    assert_eq!(settled(&mut events).await, 1);
    publish(&bench, &["three"]).await;
    assert_eq!(next_message(&mut events).await.payload, "three");
    drop((requests, events));
    assert!(receive_now(&bench).await.iter().all(|message| message.payload == "three"));
}

pub async fn a_consumer_of_a_live_topic_needs_credits(bench: Bench) {
    let (requests, events) = bench.exchange::<_, ConsumeResponse>("Consume", begin(10_000)).await.unwrap();
    let mut events = subscribe_live(&bench, events, |response| matches!(response.event, Some(Event::Message(_)))).await;
    publish(&bench, &["one"]).await;
    while next_message(&mut events).await.payload != "one" {}
    drop((requests, events));
    let (_requests, mut events) = bench.exchange::<_, ConsumeResponse>("Consume", begin(0)).await.unwrap();
    publish(&bench, &["two"]).await;
    silent(&mut events).await;
}

pub async fn requests_of_consumers_are_checked(bench: Bench) {
    let refused = async |first| match bench.exchange::<_, ConsumeResponse>("Consume", first).await {
        Ok((_requests, events)) => stream_refusal(Ok(events)).await,
        Err(error) => Err(error),
    };
    invalid(refused(request(Request::Credits(1))).await, "INVALID_FIELD", "begin");
    invalid(refused(ConsumeRequest { request: None }).await, "INVALID_FIELD", "begin");
    invalid(refused(begin(10_001)).await, "INVALID_FIELD", "begin.credits");
    let nowhere = Begin { topic: "a b".to_owned(), ..Begin::default() };
    invalid(refused(request(Request::Begin(nowhere))).await, "INVALID_NAME", "topic");
    if bench.model() == "stream" && !bench.fills("progress") {
        assert_eq!(refused(begin(1)).await.unwrap_err().reason(), "CAPABILITY_UNAVAILABLE");
    }
}
