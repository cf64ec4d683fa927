//! Attributes, keys and times in the headers of a message.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::{error, jetstream::Stored};
use prism_call::Error;
use prism_driver::{
    attributes, cursor,
    time::{self, Millis},
};

/// Attributes in base64.
const ATTRIBUTES: &str = "Prism-Attributes";
/// Size of attributes that stand before the payload.
const ATTRIBUTES_BYTES: &str = "Prism-Attributes-Bytes";
/// Largest attributes in a header. The server accepts 64 KiB of headers.
const MAX_IN_HEADER: usize = 24 << 10;

/// Adds attributes, and returns the payload of the message. Names and values may be any text, so they are one header in base64; if they are
/// too large for it, they stand before the payload.
pub fn put_attributes(headers: &mut HeaderMap, attributes: BTreeMap<String, String>, payload: Bytes) -> Bytes {
    if attributes.is_empty() {
        return payload;
    }
    let encoded = attributes::encode(attributes);
    if encoded.len() <= MAX_IN_HEADER {
        headers.insert(ATTRIBUTES, cursor::encode(&encoded));
        return payload;
    }
    headers.insert(ATTRIBUTES_BYTES, encoded.len().to_string());
    [&encoded[..], &payload[..]].concat().into()
}

/// The attributes and the payload of a message.
pub fn attributes(headers: &HeaderMap, mut payload: Bytes) -> Result<(BTreeMap<String, String>, Bytes), Error> {
    let encoded = match headers.get(ATTRIBUTES_BYTES) {
        Some(size) => {
            let size = size.as_str().parse().ok().filter(|size| *size <= payload.len()).ok_or_else(error::foreign_message)?;
            payload.split_to(size)
        }
        None => bytes(headers, ATTRIBUTES)?.unwrap_or_default().into(),
    };
    let attributes = attributes::decode(&encoded).map_err(|_| error::foreign_message())?;
    Ok((attributes, payload))
}

/// Adds bytes as base64, unless they are empty.
pub fn put_bytes(headers: &mut HeaderMap, name: &'static str, bytes: &[u8]) {
    if !bytes.is_empty() {
        headers.insert(name, cursor::encode(bytes));
    }
}

/// The bytes of a header in base64.
pub fn bytes(headers: &HeaderMap, name: &'static str) -> Result<Option<Vec<u8>>, Error> {
    headers.get(name).map_or(Ok(None), |value| cursor::decode(value.as_str()).map_err(|_| error::foreign_message()))
}

/// Adds the present time.
pub fn put_now(headers: &mut HeaderMap, name: &'static str) {
    headers.insert(name, time::now().to_string());
}

/// The time in a header; if there is none, the time when the message was stored.
pub fn time(stored: &Stored, name: &'static str) -> Result<Millis, Error> {
    match stored.number(name)? {
        Some(millis) => Millis::try_from(millis).map_err(|_| error::foreign_message()),
        None => Ok(stored.time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_any_size() {
        let large: BTreeMap<String, String> = (0..64).map(|number| (format!("name{number:0124}"), "v".repeat(1024))).collect();
        for (attributes, in_payload) in
            [(BTreeMap::new(), false), (BTreeMap::from([("größe".to_owned(), "\r\n\0".to_owned())]), false), (large, true)]
        {
            let mut headers = HeaderMap::new();
            let payload = put_attributes(&mut headers, attributes.clone(), Bytes::from_static(b"payload"));
            assert_eq!(payload.len() > 7, in_payload);
            assert_eq!(self::attributes(&headers, payload).unwrap(), (attributes, Bytes::from_static(b"payload")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ATTRIBUTES_BYTES, "8");
        assert!(attributes(&headers, Bytes::from_static(b"payload")).is_err());
    }
}
