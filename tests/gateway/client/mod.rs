//! The Rust client (`clients/rust`) against running gateways: every pattern, capabilities, retries, deadlines, and streams that continue
//! after a restart.

mod examples;
mod patterns;
mod resumed;
mod retries;

use prism_client::Connection;
use test_support::gateway::Gateway;

/// Namespaces of the patterns, over SQLite, so that their data survives a restart. `live` has no slot for payloads.
const CONFIG: &str = "
backends:
  disk: {type: sqlite, path: prism-data/prism.db}
  ram: {type: memory}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: disk}}
  - {name: orders, pattern: producer, slots: {messaging: disk, ids: disk}}
  - name: billing
    pattern: consumer
    slots: {messaging: {backend: disk, keyspace: orders}, progress: disk}
  - {name: live, pattern: producer, slots: {messaging: ram}}
  - {name: sessions, pattern: session-store, slots: {sessions: disk}}
  - {name: jobs, pattern: work-queue, slots: {jobs: disk}}
  - {name: devices, pattern: multicast-registry, slots: {registry: ram, messaging: ram}}
";

async fn start() -> Gateway {
    Gateway::start(CONFIG).await
}

/// A connection with the defaults.
fn connect(gateway: &Gateway) -> Connection {
    Connection::to(&gateway.url()).connect().unwrap()
}
