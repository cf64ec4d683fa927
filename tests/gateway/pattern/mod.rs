//! Each pattern over the memory driver, with all of its interfaces and with some of them removed.

mod build;
mod cache;
mod capabilities;
mod keyvalue;
mod layers;
mod range;
mod reduced;
mod schema_registry;

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt as _;
use prism::{
    call::{CallLimits, Context, Error, Handler, Input, Method, Output},
    driver::{self, BackendSettings, Keyspace},
    pattern::{self, PatternEnvironment},
    proto::{self, Interfaces},
    slot::{Layer, Slot},
};
use prost::Message;

/// A handler of the pattern and the slot under it.
pub struct Bench {
    service: &'static str,
    pub handler: Arc<dyn Handler>,
    pub slot: Slot,
}

/// The slot `storage` over a new memory backend.
pub async fn memory() -> Slot {
    memory_with(&[]).await
}

/// The slot `storage` over a new memory backend, with more layers around the driver.
pub async fn memory_with(layers: &[Arc<dyn Layer>]) -> Slot {
    let kind = driver::kind("memory").unwrap();
    let settings = BackendSettings { name: "ram".to_owned(), values: serde_json::Map::new() };
    let backend = (kind.connect)(settings).await.unwrap();
    let keyspace = Keyspace { namespace: "test".to_owned(), slot: "storage".to_owned() };
    Slot::fill_with(&keyspace, "ram", kind.name, &*backend, layers)
}

pub fn environment() -> PatternEnvironment {
    PatternEnvironment::new("test", CallLimits::default())
}

impl Bench {
    /// KeyValue over all interfaces of the memory driver.
    pub async fn new() -> Self {
        Self::reduced(|_| ()).await
    }

    /// KeyValue over the memory driver, after `reduce` has removed interfaces.
    pub async fn reduced(reduce: impl FnOnce(&mut Interfaces)) -> Self {
        let mut slot = memory().await;
        reduce(&mut slot.interfaces);
        Self::over(slot).await
    }

    pub async fn over(slot: Slot) -> Self {
        Self::of_pattern("keyvalue", slot).await
    }

    /// Any pattern over this slot.
    pub async fn of_pattern(pattern: &str, slot: Slot) -> Self {
        let slots = BTreeMap::from([("storage".to_owned(), slot.clone())]);
        let pattern = pattern::find(pattern).unwrap();
        Self { service: pattern.service, handler: pattern.open(slots, &environment()).await.unwrap(), slot }
    }

    async fn output(&self, rpc: &str, request: impl Message) -> Result<Output, Error> {
        let methods = Method::of_service(proto::descriptors(), self.service).unwrap();
        let method = methods.iter().find(|method| method.name == rpc).unwrap();
        let context = Context::internal("test");
        Ok(self.handler.handle(&context, method, Input::One(request.encode_to_vec().into())).await?.output)
    }

    /// Calls an RPC that returns one message.
    pub async fn call<R: Message + Default>(&self, rpc: &str, request: impl Message) -> Result<R, Error> {
        match self.output(rpc, request).await? {
            Output::One(message) => Ok(R::decode(message.to_bytes()).unwrap()),
            Output::Stream(_) => panic!("{rpc} answers with a stream"),
        }
    }

    /// Calls an RPC that returns a stream, and collects the stream.
    pub async fn all<R: Message + Default>(&self, rpc: &str, request: impl Message) -> Result<Vec<R>, Error> {
        match self.output(rpc, request).await? {
            Output::One(_) => panic!("{rpc} answers with one message"),
            Output::Stream(messages) => {
                messages.map(|item| Ok(R::decode(&item?[..]).unwrap())).collect::<Vec<_>>().await.into_iter().collect()
            }
        }
    }
}

/// Returns an error as `CODE REASON field`.
pub fn refusal<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("a refusal");
    let field = error.violations().first().map(|violation| format!(" {}", violation.field)).unwrap_or_default();
    format!("{} {}{field}", error.code().name(), error.reason())
}
