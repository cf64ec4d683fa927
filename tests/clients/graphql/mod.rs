//! Runs the suite in `tests/clients/graphql` with Node.js against a gateway: the audits of GraphQL over HTTP, and published clients.

use test_support::gateway::Gateway;

use super::suite::{self, installed};

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 136;

const CONFIG: &str = "
listeners:
  main: {graphql: graphql}
frontends:
  subgraph: {type: graphql, settings: {federation: true}}
backends:
  ram: {type: memory, max_bytes: 256MiB}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
  - {name: interfaces, pattern: interfaces, slots: {backend: ram}}
  - {name: products, pattern: keyvalue, slots: {storage: ram}, frontends: [subgraph]}
  - {name: orders, pattern: keyvalue, slots: {storage: ram}, frontends: [subgraph]}
";

#[tokio::test]
async fn audits_and_published_clients_of_graphql() {
    installed("tests/clients/graphql/node_modules/graphql-http");
    let gateway = Gateway::start(CONFIG).await;
    suite::npm(&installed("tests/clients/graphql"), [("PRISM_URL", gateway.url())], CASES);
}
