//! The message in the query of a `GET` request ("Connect Protocol Reference", Unary-Get-Request).

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::{Codec, invalid, unknown_version};
use crate::compression::Compression;
use prism_call::Error;
use prism_frontend::percent;

/// Base64 with the alphabet for URLs, with or without padding.
const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The parameters of the protocol, not decoded. Other parameters are ignored.
#[derive(Default)]
pub struct Query<'q> {
    connect: Option<&'q str>,
    encoding: Option<&'q str>,
    compression: Option<&'q str>,
    base64: Option<&'q str>,
    message: Option<&'q str>,
}

/// The content of a query.
pub struct QueryContent {
    pub codec: Codec,
    pub compression: Option<Compression>,
    /// The message, compressed and in the form of the codec.
    pub message: Bytes,
}

impl<'q> Query<'q> {
    /// Splits a query. Of several parameters with the same name, the first counts.
    pub fn parse(query: &'q str) -> Self {
        let mut all = Self::default();
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let parameter = match name {
                "connect" => &mut all.connect,
                "encoding" => &mut all.encoding,
                "compression" => &mut all.compression,
                "base64" => &mut all.base64,
                "message" => &mut all.message,
                _ => continue,
            };
            parameter.get_or_insert(value);
        }
        all
    }

    /// Tells whether the encoding is supported, or missing.
    pub fn has_known_encoding(&self) -> bool {
        self.encoding.is_none_or(|name| Codec::from_name(name.as_bytes()).is_some())
    }

    /// Decodes the parameters.
    pub fn content(&self) -> Result<QueryContent, Error> {
        if self.connect.is_some_and(|version| version != "v1") {
            return Err(unknown_version("connect", "v1"));
        }
        let codec =
            self.encoding.and_then(|name| Codec::from_name(name.as_bytes())).ok_or_else(|| invalid("encoding", "must be json or proto"))?;
        let compression = Compression::from_request(self.compression.map(str::as_bytes))?;
        let raw = self.message.ok_or_else(|| invalid("message", "must be the request message; it may be empty"))?;
        let text = percent::decode_query(raw).map_err(|reason| invalid("message", reason))?;
        let message = if self.base64 == Some("1") {
            let decoded = URL_SAFE.decode(text.as_bytes());
            decoded.map_err(|error| invalid("message", format!("must be base64 with the alphabet for URLs: {error}")))?
        } else {
            Cow::into_owned(text).into_bytes()
        };
        Ok(QueryContent { codec, compression, message: message.into() })
    }
}
