//! gRPC-Web ("gRPC Web", protocol differences): the trailers are the last frame of the body, and the text variant is base64.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::BoxError;

/// Flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// The variant of gRPC of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// gRPC with protobuf messages.
    Grpc,
    /// gRPC-Web, binary.
    Web,
    /// gRPC-Web in base64.
    WebText,
    /// gRPC or gRPC-Web with messages that aren't protobuf.
    Unsupported,
}

impl Wire {
    /// Returns the variant of a content type, or `None` if it is not gRPC.
    pub fn from_content_type(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|byte| *byte == b';').next()?.trim_ascii().to_ascii_lowercase();
        Some(match essence.strip_prefix(b"application/grpc")? {
            b"" | b"+proto" => Self::Grpc,
            b"-web" | b"-web+proto" => Self::Web,
            b"-web-text" | b"-web-text+proto" => Self::WebText,
            other if other.starts_with(b"+") || other.starts_with(b"-web") => Self::Unsupported,
            _ => return None,
        })
    }

    pub(super) fn is_supported(self) -> bool {
        self != Self::Unsupported
    }

    pub(super) fn is_web(self) -> bool {
        matches!(self, Self::Web | Self::WebText)
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Grpc | Self::Unsupported => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        }
    }

    pub(super) fn request_body<B>(self, body: B) -> RequestBody<B> {
        RequestBody { body, text: (self == Self::WebText).then(Text::default) }
    }

    /// Appends the trailers frame: header lines with lower-case names, each terminated by CRLF.
    pub(super) fn append_trailers(trailers: &HeaderMap, out: &mut BytesMut) {
        let size: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        out.reserve(5 + size);
        out.put_u8(TRAILERS);
        out.put_u32(u32::try_from(size).unwrap_or(u32::MAX));
        for (name, value) in trailers {
            out.put_slice(name.as_str().as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(b"\r\n");
        }
    }

    /// Encodes a chunk of the body. In the text variant each chunk is padded, which clients accept.
    pub(super) fn encode_chunk(self, piece: Bytes) -> Bytes {
        if self == Self::WebText { STANDARD.encode(piece).into() } else { piece }
    }
}

/// The body of a request, decoded from base64 in the text variant.
pub struct RequestBody<B> {
    body: B,
    text: Option<Text>,
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(text) = &mut self.text else { return Poll::Ready(frame.map(|frame| frame.map_err(Into::into))) };
            let decoded = match frame {
                None if text.pending.is_empty() => return Poll::Ready(None),
                None => text.decode(&[], true),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => text.decode(&data, false),
                    Err(_) => continue,
                },
            };
            match decoded {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data.into())))),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.text.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// Decodes base64 in chunks. It may contain padding in the middle, if a client encoded each chunk separately.
#[derive(Default)]
struct Text {
    /// At most three characters of an incomplete group.
    pending: Vec<u8>,
}

const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

impl Text {
    fn decode(&mut self, data: &[u8], last: bool) -> Result<Vec<u8>, base64::DecodeError> {
        self.pending.extend_from_slice(data);
        let whole = if last { self.pending.len() } else { self.pending.len() / 4 * 4 };
        let mut out = Vec::with_capacity(whole / 4 * 3);
        // A group with padding must be the last group of one decoding.
        let mut rest = &self.pending[..whole];
        while !rest.is_empty() {
            let group = rest.chunks(4).position(|group| group.contains(&b'=')).map_or(rest.len(), |at| (at + 1) * 4).min(rest.len());
            let (now, later) = rest.split_at(group);
            LENIENT.decode_vec(now, &mut out)?;
            rest = later;
        }
        self.pending.drain(..whole);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_select_the_protocol() {
        assert_eq!(Wire::from_content_type(b"application/grpc"), Some(Wire::Grpc));
        assert_eq!(Wire::from_content_type(b"Application/gRPC+proto; charset=utf-8"), Some(Wire::Grpc));
        assert_eq!(Wire::from_content_type(b"application/grpc-web"), Some(Wire::Web));
        assert_eq!(Wire::from_content_type(b"application/grpc-web-text+proto"), Some(Wire::WebText));
        assert_eq!(Wire::from_content_type(b"application/grpc+json"), Some(Wire::Unsupported));
        assert_eq!(Wire::from_content_type(b"application/grpcish"), None);
        assert_eq!(Wire::from_content_type(b"application/json"), None);
    }

    #[test]
    fn text_is_decoded_in_chunks_of_any_size() {
        let whole = [STANDARD.encode(b"\0\0\0\0\x04some"), STANDARD.encode(b"more"), STANDARD.encode(b"x")].concat();
        for piece in 1..whole.len() {
            let mut text = Text::default();
            let mut out = Vec::new();
            for part in whole.as_bytes().chunks(piece) {
                out.extend(text.decode(part, false).unwrap());
            }
            out.extend(text.decode(&[], true).unwrap());
            assert_eq!(out, b"\0\0\0\0\x04somemorex", "in pieces of {piece}");
        }
        assert!(Text::default().decode(b"!!!!", false).is_err());
    }
}
