//! How far a statement looks for edges with certain labels. A node may have millions of edges without them, so each statement looks at a bounded number
//! of edges, and the next one goes on behind them.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::rows::read_text;
use crate::{database::Database, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::graph::EdgeDirection;

/// Edges at one end of a node that one statement looks at. Texts of statements have the same number.
pub const SCANNED_EDGES: usize = 4096;

/// The last edge that a statement looks at, if the node (`$2`) has that many behind an edge (`$3`).
macro_rules! last_scanned {
    ($condition:literal) => {
        concat!(
            "(SELECT edge.id FROM {schema}.graph_edges AS edge WHERE edge.keyspace = $1 AND ",
            $condition,
            " AND edge.id > $3 ORDER BY edge.id OFFSET 4095 LIMIT 1)"
        )
    };
}

macro_rules! scan_end {
    ($last:expr) => {
        Sql {
            text: concat!("SELECT given.id, ", $last, " FROM unnest($2::bytea[]) AS given (id)"),
            types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA],
        }
    };
}

static OUT: Sql = scan_end!(last_scanned!("edge.from_node = given.id"));
static IN: Sql = scan_end!(last_scanned!("edge.to_node = given.id"));
// LEAST leaves out NULL.
static BOTH: Sql = scan_end!(concat!(
    "LEAST(",
    last_scanned!("edge.from_node = given.id"),
    ", ",
    last_scanned!("edge.to_node = given.id AND edge.from_node <> given.id"),
    ")"
));

/// Returns up to which edge statements have looked, for those nodes that have more edges. `after` is the edge behind which they began; empty = the first.
pub async fn scan_ends(
    database: &Database,
    context: &Context,
    keyspace: i64,
    direction: EdgeDirection,
    nodes: &[&[u8]],
    after: &[u8],
) -> Result<HashMap<String, String>, Error> {
    if nodes.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = match direction {
        EdgeDirection::Out => &OUT,
        EdgeDirection::In => &IN,
        EdgeDirection::Both => &BOTH,
    };
    let rows = database.query(context, statement, &[&keyspace, &nodes, &after]).await?;
    let mut ends = HashMap::new();
    for row in &rows {
        if let Some(end) = row.get::<_, Option<&[u8]>>(1) {
            ends.insert(read_text(row.get(0))?, read_text(end)?);
        }
    }
    Ok(ends)
}
