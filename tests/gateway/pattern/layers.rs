//! The capabilities of a pattern are those of the slot's outermost layer.

#[path = "../../../crates/slot/tests/layers/adding.rs"]
mod adding;

use std::sync::Arc;

use prism::{
    proto::{
        Interfaces,
        patterns::{
            keyvalue::v1::{GetCapabilitiesRequest, GetCapabilitiesResponse, RetrieveBatchRequest, RetrieveBatchResponse},
            slots::v1::{Capabilities, Support},
        },
    },
    slot::Layer,
};

use super::{Bench, memory_with};

/// Makes the memory driver look like a driver without `keyvalue_batch`.
struct WithoutBatch;

impl Layer for WithoutBatch {
    fn name(&self) -> &'static str {
        "without-batch"
    }

    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces {
        Interfaces { keyvalue_batch: None, ..interfaces }
    }
}

async fn capabilities(bench: &Bench) -> Capabilities {
    bench.call::<GetCapabilitiesResponse>("GetCapabilities", GetCapabilitiesRequest {}).await.unwrap().capabilities.unwrap()
}

fn support(capabilities: &Capabilities, rpc: &str) -> Support {
    capabilities.operations.iter().find(|operation| operation.rpc == rpc).unwrap().support()
}

#[tokio::test]
async fn a_layer_that_adds_an_interface_adds_a_capability() {
    let without = Bench::over(memory_with(&[Arc::new(WithoutBatch)]).await).await;
    let response = capabilities(&without).await;
    assert_eq!(response.slots[0].layers, ["guard", "without-batch"]);
    assert!(!response.slots[0].interfaces.contains(&"keyvalue_batch".to_owned()));
    assert_eq!(support(&response, "RetrieveBatch"), Support::Emulated);

    let with = Bench::over(memory_with(&[Arc::new(WithoutBatch), Arc::new(adding::Adding)]).await).await;
    let response = capabilities(&with).await;
    assert_eq!(response.slots[0].layers, ["guard", "adding", "without-batch"]);
    assert!(response.slots[0].interfaces.contains(&"keyvalue_batch".to_owned()));
    assert_eq!(support(&response, "RetrieveBatch"), Support::Native);
    let request = RetrieveBatchRequest { keys: vec!["a".to_owned()] };
    assert_eq!(with.call::<RetrieveBatchResponse>("RetrieveBatch", request).await.unwrap().results.len(), 1);
}
