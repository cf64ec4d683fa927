//! Gateways that are killed while they write. `tests/gateway/durability` has the long form of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use test_support::{gateway::Gateway, http};

const CONFIG: &str = "
backends: {file: {type: sqlite, path: store.db}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: file}}
";
const ROUNDS: usize = 4;
const WRITERS: usize = 4;

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_it_is_killed() {
    let mut gateway = Gateway::start(CONFIG).await;
    let mut written = Vec::new();
    for round in 0..ROUNDS {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (address, acknowledged) = (gateway.address, acknowledged.clone());
                tokio::spawn(async move {
                    let mut keys = Vec::new();
                    for number in 0.. {
                        let key = format!("{round}-{writer}-{number}");
                        match http::send(address, "PUT", &format!("/store/v1/values/{key}"), &[], key.clone()).await {
                            Ok(answer) if answer.status == 200 => keys.push(key),
                            _ => break,
                        }
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    keys
                })
            })
            .collect();
        while acknowledged.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        gateway.kill();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        gateway = gateway.restart().await;
    }
    assert!(written.len() >= ROUNDS * 100);
    for key in written {
        let answer = http::get(gateway.address, &format!("/store/v1/values/{key}")).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, &*key));
    }
}
