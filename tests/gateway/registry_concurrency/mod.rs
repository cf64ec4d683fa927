//! Four gateways over one backend, sixteen clients at each, and a `kill -9` in between: what was acknowledged is there, for everyone,
//! and nothing else.

mod load;
mod told;

use std::{sync::Arc, time::Instant};

use load::Load;
use test_support::{gateway::Gateway, servers::Redis};
use told::Told;

const GATEWAYS: usize = 4;
const CLIENTS: usize = 16;
/// Registrations of each client.
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

async fn agree_over(backend: &str) {
    let config = config(backend);
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(Gateway::start(&config).await);
    }
    let addresses: Vec<_> = gateways.iter().map(|gateway| gateway.address).collect();
    let load = Arc::new(Load::new(&addresses));
    let began = Instant::now();
    let clients: Vec<_> = (0..GATEWAYS * CLIENTS).map(|client| tokio::spawn(load.clone().client(client, ROUNDS))).collect();

    // In the middle of it one ends as in a crash, and comes back.
    let all = GATEWAYS * CLIENTS * ROUNDS;
    load.reached(all / 4).await;
    let mut killed = gateways.remove(0);
    killed.kill();
    load.reached(all / 2).await;
    gateways.insert(0, killed.restart().await);
    let left = all - load.acknowledged();
    assert!(left > 0, "all was over before the gateway came back");

    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    println!(
        "{} registrations, {} of them with answers lost, in {:?}; {left} after the restart",
        acknowledged.len(),
        load.lost(),
        began.elapsed()
    );
    assert_eq!(acknowledged.len(), all);
    assert!(load.lost() > 0, "the killed gateway had nothing to do");

    let told = Told::by(addresses[0]).await;
    for &address in &addresses[1..] {
        assert_eq!(Told::by(address).await, told, "{address}");
    }
    told.is_sound();
    told.has_all(&acknowledged);
    futures::future::join_all(addresses.iter().map(|&address| told.reads_back(address))).await;
    // One that begins now reads the same from the storage.
    let late = Gateway::start(&config).await;
    assert_eq!(Told::by(late.address).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_redis() {
    let redis = Redis::start().unwrap();
    agree_over(&format!("{{type: redis, url: '{}'}}", redis.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    agree_over(&format!("{{type: sqlite, path: '{}'}}", folder.path().join("registry.db").display())).await;
}
