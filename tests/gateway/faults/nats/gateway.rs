//! An outage of NATS as clients see it.

use test_support::servers::Nats;

use super::super::gateway;

#[tokio::test]
async fn the_gateway_survives_its_server() {
    gateway::the_gateway_survives_its_server(&mut Nats::start().unwrap()).await;
}
