//! Redis is killed, hangs, runs out of memory, becomes a replica, or refuses the connection.

mod access;
mod gateway;
mod outage;
mod state;
mod streams;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use prism::{
    call::Error,
    driver::Backend,
    proto::models::keyvalue::v1::{GetRequest, KeyValueBasic, SetRequest},
};
use serde_json::json;
use test_support::servers::Redis;

use super::{backend, context, healthy, slot};

/// A server and a backend that is connected to it.
async fn connected(server: &Redis) -> Arc<dyn Backend> {
    let backend = backend("redis", json!({"url": server.url()})).await;
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

/// Sends a command directly to the server. With `wait`, its response is read, and must not be an error.
fn command(server: &Redis, text: &str, wait: bool) -> Option<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    if !wait {
        return Some(stream);
    }
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap();
    assert!(read > 0 && answer[0] != b'-', "{text}: {}", String::from_utf8_lossy(&answer[..read]));
    None
}
