//! Attributes in a column: as the field `attributes` of the contracts, so an empty map takes no byte.

use std::collections::BTreeMap;

use prost::Message;

use prism_call::Error;

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(btree_map = "string, string", tag = "1")]
    attributes: BTreeMap<String, String>,
}

/// For the column.
pub fn encode(attributes: BTreeMap<String, String>) -> Vec<u8> {
    Attributes { attributes }.encode_to_vec()
}

/// From the column.
pub fn decode(column: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let decoded = Attributes::decode(column);
    Ok(decoded.map_err(|error| Error::internal("the database holds attributes that are none").with_source(error))?.attributes)
}
