//! Real servers for tests: started on free ports with temporary data, and stopped when they are dropped.
//!
//! If a server is not installed, the test fails and says what to run; no test is skipped.

mod authority;
mod certificate;
mod kafka;
mod nats;
mod pgbouncer;
mod postgres;
mod process;
mod redis;
mod s3;

pub use authority::Authority;
pub use certificate::Certificate;
pub use kafka::{Kafka, KafkaOptions};
pub use nats::{Nats, NatsOptions};
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresOptions};
pub use process::free_port;
pub use redis::{Options, Redis};
pub use s3::S3;
