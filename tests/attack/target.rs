//! The gateway that is attacked, and what must hold afterwards.

use std::time::{Duration, Instant};

use test_support::{gateway::Gateway, http};

/// Most memory that a gateway may take because of an attack.
pub const MEMORY: u64 = 256 << 20;
/// Longest time of a small request while an attack is going on.
const SOON: Duration = Duration::from_secs(10);

/// A namespace in memory. Its base path is `/store`.
pub const STORE: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";

/// Checks that the gateway still serves other clients soon, and that its memory is bounded.
pub async fn is_well(gateway: &Gateway, before: u64) {
    let began = Instant::now();
    let put = http::send(gateway.address, "PUT", "/store/v1/values/well", &[], "yes").await.unwrap();
    assert_eq!(put.status, 200, "{}\n{}", put.text(), gateway.log());
    assert_eq!(http::get(gateway.address, "/store/v1/values/well").await.unwrap().text(), "yes");
    assert_eq!(http::get(gateway.admin, "/healthz").await.unwrap().status, 200);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let grown = gateway.private_memory().saturating_sub(before);
    assert!(grown < MEMORY, "{} MiB more than before", grown >> 20);
}
