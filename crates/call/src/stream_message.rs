//! A message of a stream of replies.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::metrics::{FanOutMeters, SharedEncoding};

/// A message of a stream of replies, as protobuf bytes. The streams that deliver the same message of a topic also share its JSON.
#[derive(Clone, Debug)]
pub struct StreamMessage {
    bytes: Bytes,
    /// Absent if the message belongs to one stream.
    json: Option<Arc<SharedJson>>,
}

/// The JSON of a message, made when the first stream needs it.
#[derive(Debug)]
struct SharedJson {
    /// `None`: it can't be made.
    text: OnceLock<Option<Bytes>>,
    meters: Option<FanOutMeters>,
}

impl StreamMessage {
    /// Creates a message whose clones are delivered by several streams of one RPC. Counts it, and its JSON when it is made.
    pub fn shared(bytes: Bytes, meters: Option<FanOutMeters>) -> Self {
        if let Some(meters) = &meters {
            meters.count(SharedEncoding::Proto);
        }
        Self { bytes, json: Some(Arc::new(SharedJson { text: OnceLock::new(), meters })) }
    }

    /// Returns the JSON that all streams share, and makes it if this is the first one. Returns `None` if the message belongs to one stream, or if its
    /// JSON can't be made.
    ///
    /// `encode` must write the whole message by its descriptor, in the default style: the result must not depend on the caller.
    pub fn shared_json<E>(&self, encode: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Option<&Bytes> {
        let shared = self.json.as_deref()?;
        let text = shared.text.get_or_init(|| {
            if let Some(meters) = &shared.meters {
                meters.count(SharedEncoding::Json);
            }
            encode(&self.bytes).ok().map(Bytes::from)
        });
        text.as_ref()
    }
}

impl Deref for StreamMessage {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// A message that belongs to one stream.
impl From<Bytes> for StreamMessage {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, json: None }
    }
}

impl From<StreamMessage> for Bytes {
    fn from(message: StreamMessage) -> Self {
        message.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_made_once() {
        let message = StreamMessage::shared(Bytes::from_static(b"m"), None);
        let other = message.clone();
        assert_eq!(message.shared_json(|_| Ok::<_, ()>(b"{}".to_vec())).unwrap(), "{}");
        assert_eq!(other.shared_json::<()>(|_| panic!("it is there")).unwrap(), "{}");
        assert_eq!(StreamMessage::from(Bytes::new()).shared_json::<()>(|_| panic!("it is not shared")), None);
        let broken = StreamMessage::shared(Bytes::new(), None);
        assert_eq!(broken.shared_json(|_| Err(())), None);
    }
}
