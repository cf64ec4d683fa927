//! The Redis server stops under load and starts again, hangs, or loses its connections.

use std::time::Duration;

use test_support::servers::Redis;

use super::super::{metrics, outage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    outage::killed_and_started_again_under_load(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    outage::a_server_that_is_not_there_yet(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    outage::a_backend_that_was_closed(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    outage::a_watch_outlives_the_server(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    outage::a_server_that_hangs(&Redis::start().unwrap(), Duration::from_secs(3)).await;
}

#[tokio::test]
async fn connections_that_stall() {
    outage::connections_that_stall(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn connections_that_are_cut() {
    outage::connections_that_are_cut(&Redis::start().unwrap()).await;
}

#[tokio::test]
async fn connections_are_in_the_metrics() {
    metrics::connections_are_in_the_metrics(&mut Redis::start().unwrap()).await;
}
