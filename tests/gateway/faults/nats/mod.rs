//! NATS is killed, hangs, loses connections, refuses the login, or is full.

mod access;
mod gateway;
mod groups;
mod outage;
mod state;
mod streams;

use serde_json::{Value, json};
use test_support::servers::Nats;

use super::Server;

impl Server for Nats {
    fn kind(&self) -> &'static str {
        "nats"
    }

    fn settings(&self) -> Value {
        json!({"url": self.url(), "request_timeout": "1s"})
    }

    fn port(&self) -> u16 {
        Nats::port(self)
    }

    fn pause(&self, paused: bool) {
        Nats::pause(self, paused);
    }

    fn kill(&mut self) {
        Nats::kill(self);
    }

    fn resume(&mut self) {
        Nats::resume(self).unwrap();
    }
}
