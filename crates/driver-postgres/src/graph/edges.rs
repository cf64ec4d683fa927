//! The edges of a node, in pages: no connection is in use while a client is slow.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::{
    rows::{optional_slices, read_edge, read_text},
    scan::scan_ends,
};
use crate::{keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{Context, Error, proto::models::graph::v1::GetEdgesResponse};
use prism_driver::{
    graph::{EdgeDirection, EdgeQuery, edge_cursor},
    pages::Page,
};

/// Most edges of a page.
const PAGE_EDGES: usize = 256;
/// A page ends after the edge with which it has this many bytes of properties. `page!` has the same number.
const PAGE_BYTES: i64 = 1_048_576;

/// The edges at one end of which a node is, from an edge on. Parameters: the keyspace, the node, the edge, the labels or NULL, the limit. Looks at as many
/// edges as `SCANNED_EDGES` says.
macro_rules! edges_at {
    ($condition:literal) => {
        concat!(
            "SELECT id, size FROM (SELECT id, size, label FROM {schema}.graph_edges WHERE keyspace = $1 AND ",
            $condition,
            " AND id > $3 ORDER BY id LIMIT 4096) AS scanned WHERE ($4::bytea[] IS NULL OR label = ANY ($4)) ORDER BY id LIMIT $5"
        )
    };
}

/// A page, up to 1 MiB or one larger edge.
macro_rules! page {
    ($edges:expr) => {
        Sql {
            text: concat!(
                "SELECT edge.id, edge.label, edge.from_node, edge.to_node, edge.properties::text, edge.size FROM (
                     SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (",
                $edges,
                ") AS page) AS sized
                 JOIN {schema}.graph_edges AS edge ON edge.keyspace = $1 AND edge.id = sized.id WHERE sized.before < 1048576 ORDER BY edge.id"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA_ARRAY, Type::INT8],
        }
    };
}

static OUTGOING: Sql = page!(edges_at!("from_node = $2"));
static INCOMING: Sql = page!(edges_at!("to_node = $2"));
static ALL: Sql = page!(concat!(
    "SELECT id, size FROM ((",
    edges_at!("from_node = $2"),
    ") UNION ALL (",
    edges_at!("to_node = $2 AND from_node <> $2"),
    ")) AS both_ends ORDER BY id LIMIT $5"
));

/// The state of a stream of edges.
pub struct EdgeReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    query: EdgeQuery,
}

impl EdgeReader {
    pub fn new(keyspace: Arc<KeyspaceHandle>, context: Context, query: EdgeQuery) -> Self {
        Self { keyspace, context, query }
    }

    /// Reads the next page.
    pub async fn page(mut self) -> Result<Page<GetEdgesResponse, Self>, Error> {
        let keyspace = self.keyspace.id(&self.context).await?;
        let statement = match self.query.direction {
            EdgeDirection::Out => &OUTGOING,
            EdgeDirection::In => &INCOMING,
            EdgeDirection::Both => &ALL,
        };
        let most = self.query.remaining.min(PAGE_EDGES);
        let limit = i64::try_from(most).unwrap_or(1);
        // Ids are not empty, so all of them come after the empty one.
        let after = self.query.after.clone().unwrap_or_default();
        let after = after.as_bytes();
        let labels = optional_slices(&self.query.labels);
        let rows = self
            .keyspace
            .database
            .query(&self.context, statement, &[&keyspace, &self.query.node.as_bytes(), &after, &labels, &limit])
            .await?;
        let mut page = Vec::with_capacity(rows.len());
        let bytes: i64 = rows.iter().map(|row| i64::from(row.get::<_, i32>(5))).sum();
        let is_full = rows.len() == most || bytes >= PAGE_BYTES;
        // A page that is not full may be of a node with more edges than a statement looks at. With both directions, a full one may go behind the end of
        // one of them.
        let mut end = None;
        if !self.query.labels.is_empty() && (!is_full || self.query.direction == EdgeDirection::Both) {
            let (database, node) = (&self.keyspace.database, self.query.node.as_bytes());
            let ends = scan_ends(database, &self.context, keyspace, self.query.direction, &[node], after).await?;
            end = ends.into_values().next();
        }
        for row in &rows {
            let id = read_text(row.get(0))?;
            if end.as_ref().is_some_and(|end| id > *end) {
                break;
            }
            let cursor = edge_cursor(&id);
            self.query.after = Some(id.clone());
            page.push(GetEdgesResponse { edge: Some(read_edge(row, 1, id)?), cursor });
        }
        self.query.remaining -= page.len();
        let is_cut = page.len() < rows.len() || !is_full;
        if let Some(end) = end.filter(|_| is_cut) {
            self.query.after = Some(end);
            return Ok((page, (self.query.remaining > 0).then_some(self)));
        }
        let is_end = !is_full || self.query.remaining == 0;
        Ok((page, (!is_end).then_some(self)))
    }
}
