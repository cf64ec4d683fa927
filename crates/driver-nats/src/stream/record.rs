//! Records as messages, and their cursors.

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::{codec, jetstream::Stored};
use prism_call::{
    Error,
    proto::models::stream::v1::{AppendRequest, Record},
};
use prism_driver::{attributes, cursor, time};

const KEY: &str = "Prism-Key";
/// JetStream stores no second message with the same id within two minutes, and answers with the sequence of the first.
const UNIQUE: &str = "Nats-Msg-Id";

/// The headers and the payload of a record.
pub fn encode(request: AppendRequest) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    codec::put_bytes(&mut headers, KEY, &request.key);
    if let Some(id) = request.attributes.get(attributes::WRITE_ID) {
        codec::put_bytes(&mut headers, UNIQUE, id.as_bytes());
    }
    let payload = codec::put_attributes(&mut headers, request.attributes, request.payload);
    (headers, payload)
}

/// Decodes a record of a stream.
pub fn decode(stream: &str, stored: Stored) -> Result<Record, Error> {
    let (attributes, payload) = codec::attributes(&stored.headers, stored.payload)?;
    Ok(Record {
        offset: offset(stored.sequence),
        partition: 0,
        key: codec::bytes(&stored.headers, KEY)?.unwrap_or_default().into(),
        attributes,
        append_time: Some(time::timestamp(stored.time)),
        cursor: cursor::seal(&scope(stream), &stored.sequence.to_be_bytes()),
        payload,
    })
}

/// The sequence behind which a cursor continues; `None` for the empty cursor.
pub fn decode_cursor(stream: &str, cursor: &str) -> Result<Option<u64>, Error> {
    let Some(bytes) = cursor::open(&scope(stream), cursor)? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| cursor::invalid())?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// The offset of a sequence.
pub fn offset(sequence: u64) -> u64 {
    sequence.saturating_sub(1)
}

/// The sequence of an offset.
pub fn sequence(offset: u64) -> u64 {
    offset.saturating_add(1)
}

fn scope(stream: &str) -> String {
    format!("stream:{stream}")
}
