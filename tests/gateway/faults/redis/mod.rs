//! Redis is killed, hangs, runs out of memory, becomes a replica, or refuses the connection.

mod access;
mod gateway;
mod outage;
mod state;
mod streams;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use test_support::servers::Redis;

use super::Server;

impl Server for Redis {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn settings(&self) -> Value {
        json!({"url": self.url()})
    }

    fn port(&self) -> u16 {
        Redis::port(self)
    }

    fn pause(&self, paused: bool) {
        Redis::pause(self, paused);
    }

    fn kill(&mut self) {
        Redis::kill(self);
    }

    fn resume(&mut self) {
        Redis::resume(self).unwrap();
    }
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
