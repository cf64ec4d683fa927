//! Two gateways share a consumer group, and one of them is killed.

use prost_types::Duration;
use test_support::servers::Kafka;

use super::super::{Server as _, backend, connected, groups, healthy};

const TIMEOUT: Duration = Duration { seconds: 2, nanos: 0 };

/// A client of Kafka connects to the addresses that the brokers tell it, so there can't be a proxy. Instead, the gateway that is killed has
/// a runtime of its own, which ends without running any task to its end, as a process does.
#[tokio::test]
async fn a_killed_gateway_leaves_its_records_to_another() {
    let server = Kafka::start().unwrap();
    let survivor = connected(&server).await;
    groups::create(&survivor).await;
    let settings = server.settings();
    let lost = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (killed, member, lost) = runtime.block_on(async {
            let killed = backend("kafka", settings).await;
            healthy(&killed).await;
            let (member, lost) = groups::take(&killed, TIMEOUT).await;
            (killed, member, lost)
        });
        runtime.shutdown_background();
        // Outside of a runtime, the member can't leave the group.
        drop((member, killed));
        lost
    });
    let lost = tokio::task::spawn_blocking(|| lost.join().unwrap()).await.unwrap();
    groups::take_over(&survivor, TIMEOUT, lost).await;
}
