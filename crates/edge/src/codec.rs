//! The two forms of messages.

use bytes::Bytes;
use http::HeaderValue;

use prism_call::{Error, Method, StreamMessage, panic};
use prism_frontend::{
    json,
    message_types::{MessageId, MessageTypes},
};

/// The form of the messages of a request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The ProtoJSON format.
    Json,
    /// Binary protobuf.
    Proto,
}

/// The types of an RPC's messages.
#[derive(Clone, Copy)]
pub struct RpcMessages {
    types: &'static MessageTypes,
    input: MessageId,
    output: MessageId,
}

impl RpcMessages {
    /// Finds the types of an RPC, or returns `None` if they are not among these types.
    pub fn find(types: &'static MessageTypes, method: &Method) -> Option<Self> {
        let input = types.find(method.descriptor.input().full_name())?;
        let output = types.find(method.descriptor.output().full_name())?;
        Some(Self { types, input, output })
    }
}

impl Codec {
    /// Returns the codec of a name in a media type or a query.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"json" => Some(Self::Json),
            b"proto" => Some(Self::Proto),
            _ => None,
        }
    }

    /// Returns the media type of a unary request and its response.
    pub fn unary_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
        })
    }

    /// Returns the media type of streams.
    pub fn stream_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/connect+json",
            Self::Proto => "application/connect+proto",
        })
    }

    /// Converts a message of a request to protobuf.
    pub fn decode(self, messages: RpcMessages, message: Bytes) -> Result<Bytes, Error> {
        match self {
            Self::Proto => Ok(message),
            Self::Json => {
                let mut out = Vec::with_capacity(message.len());
                json::decode(messages.types, messages.input, &message, &mut out)?;
                Ok(out.into())
            }
        }
    }

    /// Converts a message of a reply from protobuf. A panic becomes an error.
    pub fn encode(self, messages: RpcMessages, message: Bytes) -> Result<Bytes, Error> {
        match self {
            Self::Proto => Ok(message),
            Self::Json => panic::catch_sync(|| {
                let mut out = Vec::with_capacity(message.len() * 2);
                json::encode(messages.types, messages.output, &message, &mut out)?;
                Ok(out.into())
            })?,
        }
    }

    /// Converts a message of a stream of replies from protobuf, or takes what another stream has made of the same message. A panic becomes an error.
    pub fn encode_streamed(self, messages: RpcMessages, message: StreamMessage) -> Result<Bytes, Error> {
        match self {
            Self::Proto => Ok(message.into()),
            Self::Json => {
                let encode = |_: &[u8]| self.encode(messages, (*message).clone()).map(Vec::from);
                match message.shared_json(encode) {
                    Some(json) => Ok(json.clone()),
                    None => self.encode(messages, message.into()),
                }
            }
        }
    }
}
