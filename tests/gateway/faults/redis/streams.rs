//! Response streams during an outage of the server.

use test_support::servers::Redis;

use super::super::{groups, streams};

#[tokio::test]
async fn a_subscription_continues_after_a_reported_gap() {
    streams::a_subscription_continues_after_a_reported_gap(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn streams_end_when_the_outage_exceeds_their_patience() {
    streams::streams_end_when_the_outage_exceeds_their_patience(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn readers_and_members_go_on_where_they_were() {
    streams::readers_and_members_go_on_where_they_were(&mut Redis::start().unwrap()).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    groups::a_killed_gateway_leaves_its_records_to_another(&Redis::start().unwrap()).await;
}
