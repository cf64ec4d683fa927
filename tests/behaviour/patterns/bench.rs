//! A pattern over one combination of drivers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
    stream,
};
use libtest_mimic::Failed;
use prism::{
    call::{CallLimits, Context, Error, Handler, Input, Messages, Method, Output},
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
    /// Those of the variant.
    base: Map<String, Value>,
    settings: Map<String, Value>,
    handler: Arc<dyn Handler>,
    pub context: Context,
}

/// New keyspaces for the slots of a combination.
pub struct Keyspaces {
    pattern: &'static Pattern,
    slots: BTreeMap<String, Subject>,
    base: Map<String, Value>,
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
        let base = serde_json::from_str(combination.variant.settings).map_err(|error| error.to_string())?;
        Ok(Keyspaces { pattern: combination.pattern, slots, base })
    }

    async fn over(
        pattern: &'static Pattern,
        slots: BTreeMap<String, Subject>,
        base: Map<String, Value>,
        settings: Map<String, Value>,
    ) -> Self {
        let filled = slots.iter().map(|(name, subject)| {
            let mut slot = prism::slot::Slot::clone(&subject.slot);
            slot.name.clone_from(name);
            (name.clone(), slot)
        });
        let environment = PatternEnvironment::new("test", CallLimits::default())
            .with_settings(base.clone().into_iter().chain(settings.clone()).collect());
        let handler = pattern.open(filled.collect(), &environment).await.unwrap();
        Self { pattern, slots, base, settings, handler, context: Context::internal("test") }
    }

    /// Opens the pattern over the same data with other settings.
    pub async fn with(&self, settings: Value) -> Self {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        Self::over(self.pattern, self.slots.clone(), self.base.clone(), settings).await
    }

    /// Opens the pattern over the same data on another gateway. The case needs `shared`.
    pub async fn on_other_gateway(&self) -> Self {
        let slots = self.slots.iter().map(|(name, subject)| (name.clone(), subject.on_other_gateway())).collect();
        Self::over(self.pattern, slots, self.base.clone(), self.settings.clone()).await
    }

    /// Opens another pattern over those slots that it has too, with the settings of the variant.
    pub async fn beside(&self, pattern: &str) -> Self {
        let pattern = prism::pattern::find(pattern).unwrap();
        let service = proto::descriptors().get_service_by_name(pattern.service).unwrap();
        let names: Vec<_> = proto::slot_requirements(&service).into_iter().map(|slot| slot.name).collect();
        let slots = self.slots.iter().filter(|(name, _)| names.contains(name)).map(|(name, subject)| (name.clone(), subject.clone()));
        Self::over(pattern, slots.collect(), self.base.clone(), Map::new()).await
    }

    /// Whether a slot is filled.
    pub fn fills(&self, slot: &str) -> bool {
        self.slots.contains_key(slot)
    }

    /// The model of the variant.
    pub fn model(&self) -> &str {
        self.base["model"].as_str().unwrap()
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

    /// Calls an RPC that takes a stream and returns one message.
    pub async fn send<R: Message + Default>(&self, rpc: &str, requests: Vec<impl Message>) -> Result<R, Error> {
        let requests: Vec<_> = requests.into_iter().map(|request| Ok(Bytes::from(request.encode_to_vec()))).collect();
        match self.output(rpc, Input::Stream(Box::pin(stream::iter(requests)))).await? {
            Output::One(message) => Ok(R::decode(message.to_bytes()).unwrap()),
            Output::Stream(_) => panic!("{rpc} returns a stream"),
        }
    }

    /// Calls an RPC that returns a stream.
    pub async fn stream<R: Message + Default + 'static>(&self, rpc: &str, request: impl Message) -> Result<Messages<R>, Error> {
        self.open_stream(rpc, Input::One(request.encode_to_vec().into())).await
    }

    /// Calls an RPC with streams in both directions. Requests are sent through the sender.
    pub async fn exchange<Q: Message + 'static, R: Message + Default + 'static>(
        &self,
        rpc: &str,
        first: Q,
    ) -> Result<(UnboundedSender<Q>, Messages<R>), Error> {
        let (sender, receiver) = unbounded::<Q>();
        sender.unbounded_send(first).unwrap();
        let requests = receiver.map(|request| Ok(Bytes::from(request.encode_to_vec())));
        Ok((sender, self.open_stream(rpc, Input::Stream(Box::pin(requests))).await?))
    }

    async fn open_stream<R: Message + Default + 'static>(&self, rpc: &str, input: Input) -> Result<Messages<R>, Error> {
        match self.output(rpc, input).await? {
            Output::One(_) => panic!("{rpc} returns one message"),
            Output::Stream(messages) => Ok(Box::pin(messages.map(|item| Ok(R::decode(&item?[..]).unwrap())))),
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
    /// Opens the pattern with the settings of the variant.
    pub async fn open(self) -> Bench {
        Bench::over(self.pattern, self.slots, self.base, Map::new()).await
    }
}
