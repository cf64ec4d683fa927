//! What happens when backend servers fail: they are killed, hang, run out of memory, or refuse the connection.

mod credentials;
mod gateway;
mod groups;
#[cfg(feature = "kafka")]
mod kafka;
mod metrics;
mod nats;
mod outage;
mod outbox;
mod postgres;
mod proxy;
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod streams;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prism::{
    call::{Code, Context, Error},
    driver::{self, Backend, Keyspace},
    proto::models::keyvalue::v1::{GetRequest, KeyValueBasic, SetRequest},
    slot::Slot,
};
use serde_json::Value;

/// Maximum time until the backend is healthy again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum time until a call fails with UNAVAILABLE. The backends have one second (Kafka five, because a new topic takes long), and the rest is for a busy machine. Without
/// a limit of the backend, a call would take ten seconds.
const IN_TIME: Duration = Duration::from_secs(8);

/// A server that can fail.
pub trait Server {
    /// The kind of backend.
    fn kind(&self) -> &'static str;

    /// The settings of a backend that uses it. Its calls have one second.
    fn settings(&self) -> Value;

    /// Its port on this machine.
    fn port(&self) -> u16;

    /// The settings of a backend that uses it through a proxy with this port.
    fn settings_through(&self, port: u16) -> Value {
        let mut settings = self.settings();
        for name in ["url", "endpoint"] {
            if let Some(Value::String(url)) = settings.get_mut(name) {
                *url = url.replace(&format!(":{}", self.port()), &format!(":{port}"));
            }
        }
        settings
    }

    /// Stops it without ending it, or lets it continue.
    fn pause(&self, paused: bool);

    /// Kills it as a crash would.
    fn kill(&mut self);

    /// Starts it again with the same data.
    fn resume(&mut self);
}

/// Connects a backend with these settings.
async fn backend(kind: &str, values: Value) -> Arc<dyn Backend> {
    let Value::Object(values) = values else { panic!("settings are an object") };
    let kind = driver::kind(kind).unwrap();
    (kind.connect)(driver::settings::BackendSettings { name: "main".to_owned(), values }).await.unwrap()
}

/// Returns one keyspace of the backend, as patterns get it.
fn slot(backend: &Arc<dyn Backend>) -> Slot {
    let keyspace = Keyspace { namespace: "shop".to_owned(), slot: "data".to_owned() };
    Slot::fill(&keyspace, "main", "server", backend.as_ref())
}

fn context() -> Context {
    Context::internal("shop").with_timeout(Duration::from_secs(10))
}

/// Waits until the backend is healthy.
async fn healthy(backend: &Arc<dyn Backend>) {
    let began = Instant::now();
    while let Err(error) = backend.health().await {
        assert!(began.elapsed() < PATIENCE, "not healthy after {PATIENCE:?}: {error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that an error has a retry delay, and that it came in time.
#[track_caller]
fn away(error: &Error, began: Instant) {
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_UNAVAILABLE"), "{error:?}");
    assert!(error.retry_after().is_some_and(|wait| !wait.is_zero() && wait < PATIENCE), "{error:?}");
    assert!(began.elapsed() < IN_TIME, "answered after {:?}: {error:?}", began.elapsed());
    assert_eq!(error.get("backend"), Some("main"));
}

/// Connects a backend to a server.
async fn connected(server: &impl Server) -> Arc<dyn Backend> {
    let backend = backend(server.kind(), server.settings()).await;
    healthy(&backend).await;
    backend
}

fn keyvalue(backend: &Arc<dyn Backend>) -> Arc<dyn KeyValueBasic> {
    slot(backend).interfaces.keyvalue_basic.unwrap()
}

async fn set(store: &Arc<dyn KeyValueBasic>, key: &str, value: impl Into<Bytes>) -> Result<u64, Error> {
    let request = SetRequest { key: Bytes::copy_from_slice(key.as_bytes()), value: value.into(), ttl: None, flags: 0 };
    Ok(store.set(&context(), request).await?.revision)
}

async fn get(store: &Arc<dyn KeyValueBasic>, key: &str) -> Result<Option<Bytes>, Error> {
    let request = GetRequest { key: Bytes::copy_from_slice(key.as_bytes()) };
    Ok(store.get(&context(), request).await?.entry.map(|entry| entry.value))
}
