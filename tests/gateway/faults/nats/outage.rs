//! The NATS server stops under load and starts again, hangs, or loses its connections.

use std::time::Duration;

use test_support::servers::Nats;

use super::super::{metrics, outage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    outage::killed_and_started_again_under_load(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    outage::a_server_that_is_not_there_yet(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    outage::a_backend_that_was_closed(&Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    outage::a_watch_outlives_the_server(&mut Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    outage::a_server_that_hangs(&Nats::start().unwrap(), Duration::from_secs(10)).await;
}

#[tokio::test]
async fn connections_that_stall() {
    outage::connections_that_stall(&Nats::start().unwrap()).await;
}

#[tokio::test]
async fn connections_that_are_cut() {
    outage::connections_that_are_cut(&Nats::start().unwrap()).await;
}

#[tokio::test]
async fn connections_are_in_the_metrics() {
    metrics::connections_are_in_the_metrics(&mut Nats::start().unwrap()).await;
}
