//! Four gateways share one backend, with sixteen clients at each gateway. One gateway is killed with `kill -9` under load. Afterwards,
//! every gateway returns every acknowledged registration, and nothing else.

mod load;
mod contents;

use std::{sync::Arc, time::Instant};

use contents::RegistryContents;
use load::Load;
use test_support::{gateway::Gateway, servers::Redis};

const GATEWAYS: usize = 4;
const CLIENTS: usize = 16;
/// Number of registrations by each client.
const ROUNDS: usize = 8;

fn config(backend: &str) -> String {
    format!(
        "
backends: {{store: {backend}}}
namespaces:
  - name: schemas
    pattern: schema-registry
    slots: {{storage: store}}
    frontends: [{{frontend: confluent-schema-registry, base_path: /registry}}]
"
    )
}

async fn check_agreement_over(backend: &str) {
    let config = config(backend);
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(Gateway::start(&config).await);
    }
    let addresses: Vec<_> = gateways.iter().map(|gateway| gateway.address).collect();
    let load = Arc::new(Load::new(&addresses));
    let began = Instant::now();
    let clients: Vec<_> = (0..GATEWAYS * CLIENTS).map(|client| tokio::spawn(load.clone().client(client, ROUNDS))).collect();

    // Under load, kill one gateway and start it again.
    let all = GATEWAYS * CLIENTS * ROUNDS;
    load.reached(all / 4).await;
    let mut killed = gateways.remove(0);
    killed.kill();
    load.reached(all / 2).await;
    gateways.insert(0, killed.restart().await);
    let left = all - load.acknowledged();
    assert!(left > 0, "all registrations finished before the gateway restarted");

    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    println!(
        "{} registrations, {} of them with answers lost, in {:?}; {left} after the restart",
        acknowledged.len(),
        load.lost_responses(),
        began.elapsed()
    );
    assert_eq!(acknowledged.len(), all);
    assert!(load.lost_responses() > 0, "no call was interrupted by the kill");

    let contents = RegistryContents::read(addresses[0]).await;
    for &address in &addresses[1..] {
        assert_eq!(RegistryContents::read(address).await, contents, "{address}");
    }
    contents.check_numbering();
    contents.check_registrations(&acknowledged);
    futures::future::join_all(addresses.iter().map(|&address| contents.check_ids(address))).await;
    // A gateway that starts now reads the same from the storage.
    let late = Gateway::start(&config).await;
    assert_eq!(RegistryContents::read(late.address).await, contents);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_redis() {
    let redis = Redis::start().unwrap();
    check_agreement_over(&format!("{{type: redis, url: '{}'}}", redis.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    check_agreement_over(&format!("{{type: sqlite, path: '{}'}}", folder.path().join("registry.db").display())).await;
}
