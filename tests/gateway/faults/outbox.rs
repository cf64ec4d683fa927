//! Two gateways with an outbox are killed in a loop while clients write through both.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{TryStreamExt as _, future::join_all};
use prism::{
    call::Context,
    driver::Keyspace,
    proto::models::stream::v1::{ReadRequest, StreamBasic},
};
use rand::Rng as _;
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http, poll,
    servers::{Nats, Postgres, Redis},
};

use super::{Server, backend};

/// How often gateways are killed.
const ROUNDS: usize = 12;
const WRITERS: usize = 6;

/// Writes numbers through both gateways: each transaction stores the next number and publishes it. Returns the last number that is stored.
async fn write(addresses: [SocketAddr; 2], writer: usize, is_over: &AtomicBool) -> u64 {
    let (key, mut turn) = (format!("numbers/{writer}"), writer);
    loop {
        turn += 1;
        let address = addresses[turn % 2];
        // A gateway that was killed answers nothing, and a transaction may have been done without an answer.
        let Ok(found) = http::get(address, &format!("/shop/v1/values/{key}")).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let stored = match found.status {
            200 => found.text().parse().unwrap(),
            404 => 0,
            _ => continue,
        };
        if is_over.load(Ordering::Relaxed) {
            return stored;
        }
        for number in stored + 1..stored + 6 {
            let condition = match number {
                1 => json!({"key": key, "exists": false}),
                _ => json!({"key": key, "value": BASE64_STANDARD.encode((number - 1).to_string())}),
            };
            let value = BASE64_STANDARD.encode(number.to_string());
            let transaction = json!({
                "conditions": [condition],
                "thenOperations": [
                    {"store": {"key": key, "value": value}},
                    {"publish": {"topic": "numbers", "key": key, "payload": value}},
                ],
            });
            let json = [("content-type", "application/json")];
            let done = http::send(address, "POST", "/shop/v1/transactions", &json, transaction.to_string()).await;
            if !done.is_ok_and(|answer| answer.status == 200 && answer.json()["succeeded"] == json!(true)) {
                break;
            }
        }
    }
}

/// Returns the numbers of each key in the order of the stream, each message once, and how many came more than once.
async fn published(streams: &dyn StreamBasic) -> (BTreeMap<String, Vec<u64>>, usize) {
    let request = ReadRequest { stream: "numbers".to_owned(), ..ReadRequest::default() };
    let records: Vec<_> = streams.read(&Context::internal("test"), request).await.unwrap().try_collect().await.unwrap();
    let (mut seen, mut found, mut repeated) = (HashSet::new(), BTreeMap::<String, Vec<u64>>::new(), 0);
    for record in records.into_iter().map(|response| response.record.unwrap()) {
        if !seen.insert(record.attributes["prism-message-id"].clone()) {
            repeated += 1;
            continue;
        }
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
        found.entry(text(&record.key)).or_default().push(text(&record.payload).parse().unwrap());
    }
    (found, repeated)
}

/// Returns how many messages came more than once.
async fn nothing_is_lost_when_gateways_are_killed(storage: (&str, Value), messages: (&str, Value)) -> usize {
    let settings = |(kind, settings): &(&str, Value)| {
        let mut settings = settings.clone();
        settings["type"] = json!(kind);
        settings
    };
    let config = format!(
        "
backends:
  storage: {}
  messages: {}
namespaces:
  - name: shop
    pattern: keyvalue
    slots: {{storage: storage, messaging: messages}}
    settings: {{outbox: {{model: stream, lease: 1s}}}}
",
        settings(&storage),
        settings(&messages)
    );
    let mut gateways = HashMap::new();
    for index in 0..2 {
        gateways.insert(index, Gateway::start(&config).await);
    }
    let addresses = [gateways[&0].address, gateways[&1].address];
    let backend = backend(messages.0, messages.1).await;
    let keyspace = Keyspace { namespace: "shop".to_owned(), slot: "messaging".to_owned() };
    let streams = backend.keyspace(&keyspace).stream_basic.unwrap();
    let is_over = AtomicBool::new(false);
    let killing = async {
        let mut random = 0;
        for round in 0..ROUNDS {
            // So that each round has seen messages that were published since the last kill, and kills at another step.
            let before: usize = published(&*streams).await.0.values().map(Vec::len).sum();
            poll::until("new messages", || async {
                let now: usize = published(&*streams).await.0.values().map(Vec::len).sum();
                if now > before { Ok(()) } else { Err(format!("{now} messages")) }
            })
            .await;
            random = (random + rand::rng().random_range(0..150)) % 150;
            tokio::time::sleep(Duration::from_millis(random)).await;
            let killed = gateways.remove(&(round % 2)).unwrap();
            gateways.insert(round % 2, killed.restart().await);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let writers = join_all((0..WRITERS).map(|writer| write(addresses, writer, &is_over)));
    let ((), stored) = tokio::join!(killing, writers);
    let expected: BTreeMap<_, Vec<u64>> =
        stored.iter().enumerate().map(|(writer, last)| (format!("numbers/{writer}"), (1..=*last).collect())).collect();
    assert!(stored.iter().sum::<u64>() > ROUNDS as u64, "the writers wrote too little: {stored:?}");
    poll::until("all messages", || async {
        let (found, _) = published(&*streams).await;
        let lengths = |numbers: &BTreeMap<String, Vec<u64>>| numbers.values().map(Vec::len).collect::<Vec<_>>();
        if lengths(&found) == lengths(&expected) { Ok(()) } else { Err(format!("{:?} of {:?}", lengths(&found), lengths(&expected))) }
    })
    .await;
    let (found, repeated) = published(&*streams).await;
    assert_eq!(found, expected);
    repeated
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_postgres() {
    let server = Postgres::start().unwrap();
    nothing_is_lost_when_gateways_are_killed((server.kind(), server.settings()), (server.kind(), server.settings())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_redis() {
    let server = Redis::start().unwrap();
    nothing_is_lost_when_gateways_are_killed((server.kind(), server.settings()), (server.kind(), server.settings())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_from_postgres_to_nats() {
    let (storage, messages) = (Postgres::start().unwrap(), Nats::start().unwrap());
    let repeated =
        nothing_is_lost_when_gateways_are_killed((storage.kind(), storage.settings()), (messages.kind(), messages.settings())).await;
    assert_eq!(repeated, 0, "JetStream knows the ids of messages");
}
