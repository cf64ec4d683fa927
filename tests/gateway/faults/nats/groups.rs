//! Two gateways share a consumer group or a queue, and one of them is killed.

use test_support::servers::Nats;

use super::super::groups;

#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    groups::a_killed_gateway_leaves_its_records_to_another(&Nats::start().unwrap()).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_its_messages_to_another() {
    groups::a_killed_gateway_leaves_its_messages_to_another(&Nats::start().unwrap()).await;
}
