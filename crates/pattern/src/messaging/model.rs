//! What a topic is in the backend.

use schemars::JsonSchema;
use serde::Deserialize;

use prism_call::{Code, Error};
use prism_slot::Slot;

/// What a topic is in the backend.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// A stream: messages stay, and each group reads all of them.
    Stream,
    /// A queue: each message goes to one consumer.
    Queue,
    /// A live topic: a message reaches those who are there.
    PubSub,
}

/// The attribute with the id of a message.
pub const ID_ATTRIBUTE: &str = "prism-message-id";
/// The attribute with the key of a message, where the backend has no place for it.
pub const KEY_ATTRIBUTE: &str = "prism-message-key";

impl Model {
    /// Returns the model of the setting, or else the first one of `preferred` that the slot has: a model and the interface that it needs.
    pub fn choose(setting: Option<Self>, slot: &Slot, preferred: &[(Self, &'static str)]) -> Result<Self, Error> {
        let has = |interface: &str| slot.interfaces.names().contains(&interface);
        let mut possible = preferred.iter().filter(|(model, _)| setting.is_none_or(|wanted| wanted == *model));
        let missing = possible.clone().next().map_or("stream_basic", |(_, interface)| *interface);
        possible.find(|(_, interface)| has(interface)).map(|(model, _)| *model).ok_or_else(|| {
            let message = format!(
                "slots.{}: the driver of kind {} (backend {}) does not implement {missing}, which the setting `model` needs; choose another model or another backend",
                slot.name, slot.kind, slot.backend
            );
            Error::new(Code::InvalidArgument, "INTERFACE_MISSING", message)
                .with_violation(format!("slots.{}", slot.name), format!("needs a backend with the interface {missing}"))
                .with("interface", missing)
                .with("backend", &*slot.backend)
        })
    }

    /// Whether an interface of the slot `messaging` belongs to the model.
    pub fn uses(self, interface: &str) -> bool {
        let prefix = match self {
            Self::Stream => "stream_",
            Self::Queue => "queue_",
            Self::PubSub => "pubsub_",
        };
        interface.starts_with(prefix)
    }
}
