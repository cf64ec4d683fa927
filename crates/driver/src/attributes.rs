//! Attributes that drivers know, and the encoding for a column: as a protobuf message with one map, so an empty map has no bytes.

use std::collections::BTreeMap;

use prost::Message;

use prism_call::Error;

/// The attribute of a record that is written again if it is not known whether it was written. Two records of a stream with the same value are the
/// same, and a driver whose backend notices that keeps the first one.
pub const WRITE_ID: &str = "prism-write-id";

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(btree_map = "string, string", tag = "1")]
    attributes: BTreeMap<String, String>,
}

/// Encodes attributes for the column.
pub fn encode(attributes: BTreeMap<String, String>) -> Vec<u8> {
    Attributes { attributes }.encode_to_vec()
}

/// Decodes attributes from the column.
pub fn decode(column: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let decoded = Attributes::decode(column);
    Ok(decoded.map_err(|error| Error::internal("the database has attributes that can't be decoded").with_source(error))?.attributes)
}
