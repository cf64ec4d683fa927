//! Nodes and edges as rows.

use prost_types::Struct;
use tokio_postgres::Row;

use crate::error;
use prism_call::{
    Error,
    proto::models::graph::v1::{Edge, Node},
};
use prism_driver::document::json;

/// The text of properties for a parameter.
pub fn property_text(properties: Option<&Struct>) -> String {
    properties.map_or_else(|| "{}".to_owned(), json::write)
}

/// Many texts as a parameter.
pub fn slices(texts: &[String]) -> Vec<&[u8]> {
    texts.iter().map(String::as_bytes).collect()
}

/// Many texts as a parameter; NULL if there are none.
pub fn optional_slices(texts: &[String]) -> Option<Vec<&[u8]>> {
    (!texts.is_empty()).then(|| slices(texts))
}

/// Reads a text from a column of bytes.
pub fn read_text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| error::unexpected_reply())
}

/// Reads a node with this id from the columns `labels, properties::text`, the first of which has the index `first`.
pub fn read_node(row: &Row, first: usize, id: String) -> Result<Node, Error> {
    let labels: Vec<&[u8]> = row.get(first);
    let labels = labels.into_iter().map(read_text).collect::<Result<_, _>>()?;
    Ok(Node { id, labels, properties: Some(read_properties(row.get(first + 1))?) })
}

/// Reads an edge with this id from the columns `label, from_node, to_node, properties::text`, the first of which has the index `first`.
pub fn read_edge(row: &Row, first: usize, id: String) -> Result<Edge, Error> {
    Ok(Edge {
        id,
        label: read_text(row.get(first))?,
        from_node_id: read_text(row.get(first + 1))?,
        to_node_id: read_text(row.get(first + 2))?,
        properties: Some(read_properties(row.get(first + 3))?),
    })
}

fn read_properties(text: &str) -> Result<Struct, Error> {
    json::read(text).ok_or_else(error::unexpected_reply)
}
