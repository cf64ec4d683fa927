//! An outage of Redis as clients see it.

use test_support::servers::Redis;

use super::super::gateway;

#[tokio::test]
async fn the_gateway_survives_its_server() {
    gateway::the_gateway_survives_its_server(&mut Redis::start().unwrap()).await;
}
