//! Statements on the tables `graph_nodes` and `graph_edges`.

use prost_types::Struct;
use rusqlite::{Connection, OptionalExtension as _, Row, types::Type};

use crate::{error::DatabaseResult, writer::Tx};
use prism_call::proto::models::graph::v1::{Edge, Node};
use prism_driver::{document::json, graph::EdgeDirection};

fn property_text(properties: Option<&Struct>) -> String {
    properties.map_or_else(|| "{}".to_owned(), json::write)
}

/// Reads properties. Returns them with the bytes of their text.
fn read_properties(row: &Row<'_>, column: usize) -> rusqlite::Result<(Struct, usize)> {
    let text = row.get_ref(column)?.as_str()?;
    let properties = json::read(text);
    let wrong = || rusqlite::Error::FromSqlConversionFailure(column, Type::Text, "properties are not a JSON object".into());
    Ok((properties.ok_or_else(wrong)?, text.len()))
}

fn read_labels(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn label_text(labels: &[String]) -> String {
    // Writing texts to memory does not fail.
    serde_json::to_string(labels).unwrap_or_default()
}

fn read_id(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(std::str::from_utf8(row.get_ref(column)?.as_blob()?)?.to_owned())
}

/// Reads a node. Returns it with the bytes of its properties.
pub fn node(connection: &Connection, keyspace: i64, id: &str) -> DatabaseResult<Option<(Node, usize)>> {
    let mut select = connection.prepare_cached("SELECT labels, properties FROM graph_nodes WHERE keyspace = ?1 AND id = ?2")?;
    let read = |row: &Row<'_>| {
        let (properties, bytes) = read_properties(row, 1)?;
        Ok((Node { id: id.to_owned(), labels: read_labels(row, 0)?, properties: Some(properties) }, bytes))
    };
    Ok(select.query_row((keyspace, id.as_bytes()), read).optional()?)
}

/// The labels of a node; `None` if it does not exist.
pub fn labels(connection: &Connection, keyspace: i64, id: &str) -> DatabaseResult<Option<Vec<String>>> {
    let mut select = connection.prepare_cached("SELECT labels FROM graph_nodes WHERE keyspace = ?1 AND id = ?2")?;
    Ok(select.query_row((keyspace, id.as_bytes()), |row| read_labels(row, 0)).optional()?)
}

/// Stores a node in place of the one that has its id.
pub fn put_node(tx: &Tx<'_>, keyspace: i64, node: &Node) -> DatabaseResult<()> {
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO graph_nodes (keyspace, id, labels, properties) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (keyspace, id) DO UPDATE SET labels = excluded.labels, properties = excluded.properties",
    )?;
    upsert.execute((keyspace, node.id.as_bytes(), label_text(&node.labels), property_text(node.properties.as_ref())))?;
    Ok(())
}

/// Reads an edge. Returns it with the bytes of its properties.
pub fn edge(connection: &Connection, keyspace: i64, id: &str) -> DatabaseResult<Option<(Edge, usize)>> {
    let mut select =
        connection.prepare_cached("SELECT label, from_node, to_node, properties FROM graph_edges WHERE keyspace = ?1 AND id = ?2")?;
    let read = |row: &Row<'_>| {
        let (properties, bytes) = read_properties(row, 3)?;
        let (from_node_id, to_node_id) = (read_id(row, 1)?, read_id(row, 2)?);
        Ok((Edge { id: id.to_owned(), label: row.get(0)?, from_node_id, to_node_id, properties: Some(properties) }, bytes))
    };
    Ok(select.query_row((keyspace, id.as_bytes()), read).optional()?)
}

/// Stores an edge in place of the one that has its id, whose nodes and label are the same.
pub fn put_edge(tx: &Tx<'_>, keyspace: i64, edge: &Edge) -> DatabaseResult<()> {
    let mut upsert = tx.connection.prepare_cached(
        "INSERT INTO graph_edges (keyspace, id, label, from_node, to_node, properties) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (keyspace, id) DO UPDATE SET properties = excluded.properties",
    )?;
    let (from, to) = (edge.from_node_id.as_bytes(), edge.to_node_id.as_bytes());
    upsert.execute((keyspace, edge.id.as_bytes(), &edge.label, from, to, property_text(edge.properties.as_ref())))?;
    Ok(())
}

/// Whether any edge begins or ends at a node.
pub fn has_edges(connection: &Connection, keyspace: i64, node: &str) -> DatabaseResult<bool> {
    let mut select = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM graph_edges WHERE keyspace = ?1 AND from_node = ?2)
             OR EXISTS (SELECT 1 FROM graph_edges WHERE keyspace = ?1 AND to_node = ?2)",
    )?;
    Ok(select.query_row((keyspace, node.as_bytes()), |row| row.get(0))?)
}

/// Deletes the edges of a node. Returns their number.
pub fn delete_edges(tx: &Tx<'_>, keyspace: i64, node: &str) -> DatabaseResult<u64> {
    let outgoing = "DELETE FROM graph_edges INDEXED BY graph_edges_from WHERE keyspace = ?1 AND from_node = ?2";
    let incoming = "DELETE FROM graph_edges INDEXED BY graph_edges_to WHERE keyspace = ?1 AND to_node = ?2";
    let mut deleted = 0;
    for statement in [outgoing, incoming] {
        deleted += tx.connection.prepare_cached(statement)?.execute((keyspace, node.as_bytes()))? as u64;
    }
    Ok(deleted)
}

/// Deletes a node. Returns whether it existed.
pub fn delete_node(tx: &Tx<'_>, keyspace: i64, id: &str) -> DatabaseResult<bool> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM graph_nodes WHERE keyspace = ?1 AND id = ?2")?;
    Ok(delete.execute((keyspace, id.as_bytes()))? > 0)
}

/// Deletes an edge. Returns whether it existed.
pub fn delete_edge(tx: &Tx<'_>, keyspace: i64, id: &str) -> DatabaseResult<bool> {
    let mut delete = tx.connection.prepare_cached("DELETE FROM graph_edges WHERE keyspace = ?1 AND id = ?2")?;
    Ok(delete.execute((keyspace, id.as_bytes()))? > 0)
}

/// An edge of a node.
pub struct FoundEdge {
    pub id: String,
    pub label: String,
    /// The node at its other end.
    pub end: String,
}

const OUTGOING: &str = "SELECT id, label, to_node FROM graph_edges INDEXED BY graph_edges_from
     WHERE keyspace = ?1 AND from_node = ?2 AND id > ?3 ORDER BY id";
const INCOMING: &str = "SELECT id, label, from_node FROM graph_edges INDEXED BY graph_edges_to
     WHERE keyspace = ?1 AND to_node = ?2 AND id > ?3 ORDER BY id";
/// SQLite reads both indexes in their order, and merges them.
const BOTH: &str = "SELECT id, label, to_node FROM graph_edges INDEXED BY graph_edges_from
     WHERE keyspace = ?1 AND from_node = ?2 AND id > ?3
     UNION ALL SELECT id, label, from_node FROM graph_edges INDEXED BY graph_edges_to
     WHERE keyspace = ?1 AND to_node = ?2 AND from_node <> ?2 AND id > ?3 ORDER BY 1";

/// Calls `visit` with the edges of a node behind an edge, in the order of their ids, until it returns false.
pub fn visit_edges(
    connection: &Connection,
    keyspace: i64,
    node: &str,
    direction: EdgeDirection,
    after: Option<&str>,
    mut visit: impl FnMut(FoundEdge) -> DatabaseResult<bool>,
) -> DatabaseResult<()> {
    let statement = match direction {
        EdgeDirection::Out => OUTGOING,
        EdgeDirection::In => INCOMING,
        EdgeDirection::Both => BOTH,
    };
    let mut select = connection.prepare_cached(statement)?;
    // Ids are not empty, so all of them come after the empty one.
    let mut rows = select.query((keyspace, node.as_bytes(), after.unwrap_or_default().as_bytes()))?;
    while let Some(row) = rows.next()? {
        if !visit(FoundEdge { id: read_id(row, 0)?, label: row.get(1)?, end: read_id(row, 2)? })? {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{functions, schema};

    #[test]
    fn edges_of_a_node_come_from_indexes_in_their_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        functions::register(&connection).unwrap();
        schema::migrate(&mut connection).unwrap();
        for statement in [OUTGOING, INCOMING, BOTH] {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let steps = explain.query_map((1, b"a".as_slice(), b"".as_slice()), |row| row.get::<_, String>(3)).unwrap();
            let steps = steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ");
            assert!(steps.contains("USING COVERING INDEX graph_edges_") && steps.contains("id>?"), "{steps}");
            assert!(!steps.contains("TEMP B-TREE"), "{steps}");
        }
    }
}
