//! Records of Kafka, and their keys, headers and times.

use std::collections::BTreeMap;

use bytes::Bytes;
use rdkafka::{
    Message, Timestamp,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
};

use crate::error;
use prism_call::Error;
use prism_driver::{
    attributes,
    time::{self, Millis},
};

/// All attributes, encoded. Only if a name can't be the name of a header.
const ATTRIBUTES: &str = "prism.attributes";

/// A stored record.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: u32,
    pub offset: u64,
    pub time: Millis,
    pub key: Bytes,
    pub payload: Bytes,
    pub headers: Vec<(String, Bytes)>,
}

impl Stored {
    /// Copies a record out of the queue of librdkafka.
    pub fn copy(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap_or_default()))).collect()
        });
        Self {
            partition: u32::try_from(message.partition()).unwrap_or(0),
            offset: u64::try_from(message.offset()).unwrap_or(0),
            time: millis(message.timestamp()),
            key: message.key().map(Bytes::copy_from_slice).unwrap_or_default(),
            payload: message.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
            headers: headers.unwrap_or_default(),
        }
    }

    /// Bytes that the record takes in memory, roughly.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.key.len() + self.payload.len() + headers + 128
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| &value[..])
    }

    /// A header that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.header(name)?).ok()?.parse().ok()
    }

    /// The attributes: all headers. Values of other clients may be no UTF-8; their broken parts are replaced.
    pub fn attributes(&self) -> Result<BTreeMap<String, String>, Error> {
        if let Some(encoded) = self.header(ATTRIBUTES) {
            return attributes::decode(encoded).map_err(|_| error::foreign_record());
        }
        let plain = self.headers.iter().filter(|(name, _)| !name.starts_with("prism."));
        Ok(plain.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect())
    }
}

/// The time of a record, or now if it has none.
pub fn millis(timestamp: Timestamp) -> Millis {
    timestamp.to_millis().unwrap_or_else(time::now)
}

/// Attributes as headers.
pub fn encode_attributes(attributes: BTreeMap<String, String>) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
    if attributes.keys().any(|name| name.contains('\0') || name.starts_with("prism.")) {
        return put(headers, ATTRIBUTES, &attributes::encode(attributes));
    }
    for (name, value) in &attributes {
        headers = put(headers, name, value.as_bytes());
    }
    headers
}

/// Adds a header. Its name has no NUL.
pub fn put(headers: OwnedHeaders, name: &str, value: &[u8]) -> OwnedHeaders {
    headers.insert(Header { key: name, value: Some(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_any_name() {
        for names in [vec![], vec!["kind", "größe"], vec!["a\0b", "c"], vec!["prism.attributes"]] {
            let attributes: BTreeMap<String, String> =
                names.into_iter().map(|name| (name.to_owned(), "\u{6771}\r\n\0".to_owned())).collect();
            let encoded = encode_attributes(attributes.clone());
            let headers = encoded.iter().map(|header| (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap())));
            let stored = Stored { partition: 0, offset: 0, time: 0, key: Bytes::new(), payload: Bytes::new(), headers: headers.collect() };
            assert_eq!(stored.attributes().unwrap(), attributes);
        }
    }
}
