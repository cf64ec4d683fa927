//! Each pattern, and what a namespace does not support.

use prism_client::{
    Code, Connection, Support,
    consumer::{ConsumeRequest, ConsumerClient, consume_request, consume_response},
    keyvalue::{KeyValueClient, RetrieveRequest, StoreRequest},
    multicast_registry::{
        EnumerateRequest, MulticastRegistryClient, MulticastRequest, ReceiveRequest, RegisterRequest, multicast_response, receive_response,
    },
    producer::{OutgoingMessage, ProducerClient, PublishRequest, PublishStreamRequest},
    session_store::{CreateSessionRequest, GetSessionRequest, ListSessionsRequest, SessionStoreClient},
    work_queue::{CompleteRequest, SubmitRequest, TakeRequest, WorkQueueClient},
};
use test_support::http;

use super::{connect, start};

#[tokio::test]
async fn sessions_have_data_and_lists() {
    let gateway = start().await;
    let sessions = SessionStoreClient::open(&connect(&gateway), "sessions").await.unwrap();
    let data = [("cart".to_owned(), "3".to_owned())].into();
    let created = sessions.create_session(CreateSessionRequest { user: "ada".to_owned(), data, ..Default::default() }).await.unwrap();
    let found = sessions.get_session(GetSessionRequest { token: created.token, ..Default::default() }).await.unwrap();
    assert_eq!(found.session.unwrap().data["cart"], "3");
    let mut list = sessions.list_sessions(ListSessionsRequest { user: "ada".to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!(list.message().await.unwrap().unwrap().session.unwrap().user, "ada");
    assert!(list.message().await.unwrap().is_none());
    let error = sessions.get_session(GetSessionRequest { token: "none".to_owned(), ..Default::default() }).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::NotFound, "SESSION_NOT_FOUND"), "{error}");
}

#[tokio::test]
async fn jobs_are_taken_and_completed() {
    let gateway = start().await;
    let jobs = WorkQueueClient::open(&connect(&gateway), "jobs").await.unwrap();
    let queue = "photos".to_owned();
    jobs.submit(SubmitRequest { queue: queue.clone(), payload: "resize".into(), ..Default::default() }).await.unwrap();
    let taken = jobs.take(TakeRequest { queue: queue.clone(), ..Default::default() }).await.unwrap().jobs;
    assert_eq!((taken.len(), &taken[0].payload[..]), (1, &b"resize"[..]));
    jobs.complete(CompleteRequest { queue: queue.clone(), lease: taken[0].lease.clone(), ..Default::default() }).await.unwrap();
    assert!(jobs.take(TakeRequest { queue, ..Default::default() }).await.unwrap().jobs.is_empty());
}

#[tokio::test]
async fn identities_receive_multicasts() {
    let gateway = start().await;
    let devices = MulticastRegistryClient::open(&connect(&gateway), "devices").await.unwrap();
    devices
        .register(RegisterRequest { identity: "lamp".to_owned(), tags: vec!["kitchen".to_owned()], ..Default::default() })
        .await
        .unwrap();
    let mut found = devices.enumerate(EnumerateRequest { filter: "'kitchen' in tags".to_owned(), ..Default::default() }).await.unwrap();
    assert_eq!(found.message().await.unwrap().unwrap().identity.unwrap().identity, "lamp");
    let receive = ReceiveRequest { identity: "lamp".to_owned(), auto_ack: true, ..Default::default() };
    let mut received = devices.receive(receive).await.unwrap();
    assert!(matches!(received.message().await.unwrap().unwrap().event, Some(receive_response::Event::Connected(_))));
    let mut results = devices.multicast(MulticastRequest { payload: "on".into(), ..Default::default() }).await.unwrap();
    let result = results.message().await.unwrap().unwrap();
    assert!(matches!(result.outcome, Some(multicast_response::Outcome::Result(_))), "{result:?}");
    let Some(receive_response::Event::Message(message)) = received.message().await.unwrap().unwrap().event else { panic!("no message") };
    assert_eq!(&message.payload[..], b"on");
}

#[tokio::test]
async fn streams_of_requests_publish_and_consume() {
    let gateway = start().await;
    let connection = connect(&gateway);
    let producer = ProducerClient::open(&connection, "orders").await.unwrap();
    let message = |number: usize| PublishStreamRequest {
        topic: "t".to_owned(),
        message: Some(OutgoingMessage { payload: number.to_string().into(), ..Default::default() }),
    };
    let published = producer.publish_stream(futures::stream::iter((0..5).map(message))).await.unwrap();
    assert_eq!(published.published, 5);
    let consumer = ConsumerClient::open(&connection, "billing").await.unwrap();
    let begin = consume_request::Begin { topic: "t".to_owned(), group: "g".to_owned(), credits: 5, ..Default::default() };
    let begin = ConsumeRequest { request: Some(consume_request::Request::Begin(begin)) };
    // The stream of requests stays open.
    let requests = futures::StreamExt::chain(futures::stream::iter([begin]), futures::stream::pending());
    let mut replies = consumer.consume(requests).await.unwrap();
    let mut payloads = Vec::new();
    while payloads.len() < 5 {
        if let Some(consume_response::Event::Message(message)) = replies.message().await.unwrap().unwrap().event {
            payloads.push(String::from_utf8(message.payload.to_vec()).unwrap());
        }
    }
    assert_eq!(payloads, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_a_namespace_does_not_support_fails_without_a_request() {
    let gateway = start().await;
    let connection = connect(&gateway);
    let live = ProducerClient::open(&connection, "live").await.unwrap();
    let unavailable: Vec<&str> = live
        .capabilities()
        .operations
        .iter()
        .filter(|known| known.support() == Support::Unavailable)
        .map(|known| known.rpc.as_str())
        .collect();
    assert_eq!(unavailable, ["PublishPayload"]);
    assert_eq!((live.support("Publish"), live.support("PublishPayload")), (Support::Native, Support::Unavailable));
    let before = requests(&gateway.metrics().await);
    let error = live.publish_payload(futures::stream::iter([])).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::Unimplemented, "CAPABILITY_UNAVAILABLE"), "{error}");
    assert_eq!(requests(&gateway.metrics().await), before);
    live.publish(PublishRequest { topic: "t".to_owned(), ..Default::default() }).await.unwrap();
    assert_ne!(requests(&gateway.metrics().await), before);
    let error = KeyValueClient::open(&connection, "live").await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "the service is not that of the namespace: {error}");
    let error = KeyValueClient::open(&connection, "none").await.unwrap_err();
    assert!(matches!(error.code(), Code::NotFound | Code::Unimplemented | Code::InvalidArgument), "{error}");
}

/// The lines about calls of the namespace `live`.
fn requests(metrics: &str) -> Vec<String> {
    metrics.lines().filter(|line| line.contains("prism_calls_total") && line.contains("\"live\"")).map(str::to_owned).collect()
}

#[tokio::test]
async fn metadata_is_sent_with_each_call() {
    let gateway = start().await;
    let traced = Connection::to(&gateway.url()).metadata("x-request-id", "from-the-client").unwrap().connect().unwrap();
    let client = KeyValueClient::open(&traced, "default").await.unwrap();
    client.store(StoreRequest { key: "a".to_owned(), value: "b".into(), ..Default::default() }).await.unwrap();
    let read = http::get(gateway.address, "/default/v1/values/a").await.unwrap();
    assert_eq!((read.status, read.text()), (200, "b"));
    let error = client.retrieve(RetrieveRequest { key: "none".to_owned() }).await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::NotFound, "KEY_NOT_FOUND"));
    assert!(Connection::to("no url").connect().is_err());
    assert!(Connection::to(&gateway.url()).metadata("no name", "x").is_err());
}
