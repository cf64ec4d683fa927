//! Publishes messages and consumes them as a group: `cargo run -p prism-client --example messages http://127.0.0.1:8980 orders billing`.

use prism_client::{
    Connection, Error,
    consumer::{AckRequest, ConsumerClient, ReceiveRequest},
    producer::{ProducerClient, PublishRequest},
};

/// Runs the example with the namespaces of a producer and a consumer. Returns what it prints.
pub async fn run(url: &str, producer: &str, consumer: &str) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    // Publish is executed once for each key, so it can be repeated.
    let connection = Connection::to(url).idempotency_keys().connect()?;
    let producer = ProducerClient::open(&connection, producer).await?;
    let consumer = ConsumerClient::open(&connection, consumer).await?;
    let topic = "orders.eu".to_owned();
    for number in 1..=3 {
        let payload = format!("order {number}").into();
        producer.publish(PublishRequest { topic: topic.clone(), payload, ..PublishRequest::default() }).await?;
    }
    let group = "billing".to_owned();
    while lines.len() < 3 {
        let request = ReceiveRequest { topic: topic.clone(), group: group.clone(), limit: 2, ..ReceiveRequest::default() };
        let messages = consumer.receive(request).await?.messages;
        let leases: Vec<String> = messages.iter().map(|message| message.lease.clone()).collect();
        lines.extend(messages.iter().map(|message| format!("received {}", String::from_utf8_lossy(&message.payload))));
        if !leases.is_empty() {
            consumer.ack(AckRequest { topic: topic.clone(), group: group.clone(), leases }).await?;
        }
    }
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let url = argument("http://127.0.0.1:8980");
    for line in run(&url, &argument("orders"), &argument("billing")).await? {
        println!("{line}");
    }
    Ok(())
}
