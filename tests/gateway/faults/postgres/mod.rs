//! PostgreSQL is killed, hangs, refuses the connection or a statement, or is behind PgBouncer.

mod access;
mod outage;
mod pooler;
mod state;
mod streams;

use serde_json::{Value, json};
use test_support::servers::Postgres;

use super::Server;

impl Server for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn settings(&self) -> Value {
        json!({"url": self.url(), "request_timeout": "1s"})
    }

    fn port(&self) -> u16 {
        Postgres::port(self)
    }

    fn pause(&self, paused: bool) {
        Postgres::pause(self, paused);
    }

    fn kill(&mut self) {
        Postgres::kill(self);
    }

    fn resume(&mut self) {
        Postgres::resume(self).unwrap();
    }
}
