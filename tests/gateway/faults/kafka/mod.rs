//! Kafka is killed, hangs, or refuses the login.

mod access;
mod groups;
mod outage;
mod streams;

use serde_json::{Value, json};
use test_support::servers::Kafka;

use super::Server;

impl Server for Kafka {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn settings(&self) -> Value {
        json!({"url": self.url(), "request_timeout": "5s"})
    }

    fn port(&self) -> u16 {
        Kafka::port(self)
    }

    fn pause(&self, paused: bool) {
        Kafka::pause(self, paused);
    }

    fn kill(&mut self) {
        Kafka::kill(self);
    }

    fn resume(&mut self) {
        Kafka::resume(self).unwrap();
    }
}
