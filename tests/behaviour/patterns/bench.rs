//! A pattern over one combination of drivers.

use std::{collections::BTreeMap, sync::Arc};

use libtest_mimic::Failed;
use prism::{
    call::{CallLimits, Context, Error, Handler, Input, Method, Output},
    pattern::{Pattern, PatternEnvironment},
    proto::{
        self,
        patterns::slots::v1::{Capabilities, Operation},
    },
};
use prost::Message;
use serde_json::{Map, Value};

use super::Combination;
use crate::{arena::Arena, subject::Subject};

/// A handler of a pattern, and what is in its slots.
pub struct Bench {
    pattern: &'static Pattern,
    slots: BTreeMap<String, Subject>,
    settings: Map<String, Value>,
    handler: Arc<dyn Handler>,
    pub context: Context,
}

/// New keyspaces for the slots of a combination.
pub struct Keyspaces {
    pattern: &'static Pattern,
    slots: BTreeMap<String, Subject>,
}

/// The field that all messages GetCapabilitiesResponse have.
#[derive(Clone, PartialEq, prost::Message)]
struct CapabilitiesResponse {
    #[prost(message, tag = "1")]
    capabilities: Option<Capabilities>,
}

impl Bench {
    /// Makes new keyspaces.
    pub fn prepare(arena: &Arena, combination: &Combination, case: &str) -> Result<Keyspaces, Failed> {
        let mut slots = BTreeMap::new();
        for (name, kind) in &combination.slots {
            // A long name would exceed that of a namespace.
            let short: String = case.chars().take(24).collect();
            slots.insert(name.clone(), arena.subject(kind, &format!("{name}-{short}"))?);
        }
        Ok(Keyspaces { pattern: combination.pattern, slots })
    }

    async fn over(pattern: &'static Pattern, slots: BTreeMap<String, Subject>, settings: Map<String, Value>) -> Self {
        let filled = slots.iter().map(|(name, subject)| {
            let mut slot = prism::slot::Slot::clone(&subject.slot);
            slot.name.clone_from(name);
            (name.clone(), slot)
        });
        let environment = PatternEnvironment::new("test", CallLimits::default()).with_settings(settings.clone());
        let handler = pattern.open(filled.collect(), &environment).await.unwrap();
        Self { pattern, slots, settings, handler, context: Context::internal("test") }
    }

    /// Opens the pattern over the same data with other settings.
    pub async fn with(&self, settings: Value) -> Self {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        Self::over(self.pattern, self.slots.clone(), settings).await
    }

    /// Opens the pattern over the same data on another gateway. The case needs `shared`.
    pub async fn on_other_gateway(&self) -> Self {
        let slots = self.slots.iter().map(|(name, subject)| (name.clone(), subject.on_other_gateway())).collect();
        Self::over(self.pattern, slots, self.settings.clone()).await
    }

    async fn output(&self, rpc: &str, input: Input) -> Result<Output, Error> {
        let methods = Method::of_service(proto::descriptors(), self.pattern.service).unwrap();
        let method = methods.iter().find(|method| method.name == rpc).unwrap();
        Ok(self.handler.handle(&self.context, method, input).await?.output)
    }

    /// Calls an RPC that returns one message.
    pub async fn call<R: Message + Default>(&self, rpc: &str, request: impl Message) -> Result<R, Error> {
        match self.output(rpc, Input::One(request.encode_to_vec().into())).await? {
            Output::One(message) => Ok(R::decode(message.to_bytes()).unwrap()),
            Output::Stream(_) => panic!("{rpc} returns a stream"),
        }
    }

    /// Returns what GetCapabilities says of an RPC.
    pub async fn operation(&self, rpc: &str) -> Operation {
        let capabilities = self.call::<CapabilitiesResponse>("GetCapabilities", ()).await.unwrap().capabilities.unwrap();
        capabilities.operations.into_iter().find(|operation| operation.rpc == rpc).unwrap()
    }

    /// Returns what GetCapabilities returns.
    pub async fn capabilities(&self) -> Capabilities {
        self.call::<CapabilitiesResponse>("GetCapabilities", ()).await.unwrap().capabilities.unwrap()
    }
}

impl Keyspaces {
    /// Opens the pattern.
    pub async fn open(self, settings: Value) -> Bench {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        Bench::over(self.pattern, self.slots, settings).await
    }
}
