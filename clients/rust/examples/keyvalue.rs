//! Stores values, reads them, and follows their changes: `cargo run -p prism-client --example keyvalue http://127.0.0.1:8980 default`.

use prism_client::{
    CallOptions, Connection, Error, Support,
    keyvalue::{CompareAndStoreRequest, KeyValueClient, RetrieveRequest, ScanRequest, StoreRequest, WatchRequest, watch_response::Event},
};

/// Runs the example. Returns what it prints.
pub async fn run(url: &str, namespace: &str) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let connection = Connection::to(url).connect()?;
    let client = KeyValueClient::open(&connection, namespace).await?;
    lines.push(format!("watches: {}", client.support("Watch") == Support::Native));

    let store = |key: &str, value: &str| StoreRequest { key: key.to_owned(), value: value.to_owned().into(), ..StoreRequest::default() };
    let stored = client.store(store("fruit/apple", "red")).await?;
    let changed = CompareAndStoreRequest {
        key: "fruit/apple".to_owned(),
        expected_revision: stored.revision,
        value: "green".into(),
        ..CompareAndStoreRequest::default()
    };
    // With a key, the call is executed once, however often it is sent.
    client.with(CallOptions::new().idempotency_key("paint-the-apple")?).compare_and_store(changed).await?;
    let apple = client.retrieve(RetrieveRequest { key: "fruit/apple".to_owned() }).await?;
    lines.push(format!("apple: {}", String::from_utf8_lossy(&apple.value)));

    client.store(store("fruit/pear", "yellow")).await?;
    let mut entries = client.scan(ScanRequest { prefix: "fruit/".to_owned(), ..ScanRequest::default() }).await?;
    while let Some(entry) = entries.message().await? {
        lines.push(format!("{}: {}", entry.key, String::from_utf8_lossy(&entry.value)));
    }

    // The stream continues by itself if the gateway is restarted.
    let mut changes = client.watch(WatchRequest { prefix: "fruit/".to_owned(), ..WatchRequest::default() }).await?;
    while let Some(change) = changes.message().await? {
        match change.event {
            Some(Event::Entry(entry)) => lines.push(format!("there is {}", entry.key)),
            Some(Event::CaughtUp(_)) => {
                client.store(store("fruit/plum", "blue")).await?;
            }
            Some(Event::Stored(entry)) => {
                lines.push(format!("stored {}", entry.key));
                break;
            }
            Some(Event::Removed(_) | Event::Gap(_)) | None => {}
        }
    }
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8980".to_owned());
    for line in run(&url, &arguments.next().unwrap_or_else(|| "default".to_owned())).await? {
        println!("{line}");
    }
    Ok(())
}
