//! `graph_basic`

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::{Graph, rows};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle, scan::scan};
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        AddEdgeRequest, AddEdgeResponse, AddNodeRequest, AddNodeResponse, DeleteEdgeRequest, DeleteEdgeResponse, DeleteNodeRequest,
        DeleteNodeResponse, Edge, GetEdgesRequest, GetEdgesResponse, GetNodesRequest, GetNodesResponse, GraphBasic,
    },
};
use prism_driver::{
    graph::{
        EdgeQuery, MAX_REPLY_BYTES,
        change::{NewEdge, NewNode},
        check_edge_id, check_node_id, distinct_ids, edge_cursor, node_has_edges, node_not_found, result_too_large,
    },
    pages::{Page, stream_pages},
};

/// Edges that one read looks at.
const PAGE_EDGES: usize = 1000;
/// Most edges of a page.
const PAGE_ITEMS: usize = 256;
/// A page ends after the edge with which it has this many bytes of properties.
const PAGE_BYTES: usize = 1 << 20;

/// The state of a stream of edges.
struct EdgeReader {
    keyspace: Arc<KeyspaceHandle>,
    query: EdgeQuery,
}

impl EdgeReader {
    async fn page(mut self) -> Result<Page<GetEdgesResponse, Self>, Error> {
        let query = self.query.clone();
        let (edges, next) = scan(&self.keyspace, move |connection, keyspace| read_page(connection, keyspace, &query)).await?;
        self.query.remaining -= edges.len();
        let is_end = next.is_none() || self.query.remaining == 0;
        self.query.after = next;
        let message = |edge: Edge| GetEdgesResponse { cursor: edge_cursor(&edge.id), edge: Some(edge) };
        Ok((edges.into_iter().map(message).collect(), (!is_end).then_some(self)))
    }
}

/// Reads a page. Returns it with the edge behind which there may be more.
fn read_page(connection: &Connection, keyspace: i64, query: &EdgeQuery) -> DatabaseResult<(Vec<Edge>, Option<String>)> {
    let snapshot = connection.unchecked_transaction()?;
    let most = query.remaining.min(PAGE_ITEMS);
    let (mut edges, mut bytes, mut visited, mut next) = (Vec::new(), 0, 0, None);
    rows::visit_edges(&snapshot, keyspace, &query.node, query.direction, query.after.as_deref(), |found| {
        visited += 1;
        if query.has_label(&found.label)
            && let Some((edge, size)) = rows::edge(&snapshot, keyspace, &found.id)?
        {
            bytes += size;
            edges.push(edge);
        }
        let is_full = visited == PAGE_EDGES || edges.len() == most || bytes >= PAGE_BYTES;
        next = is_full.then_some(found.id);
        Ok(!is_full)
    })?;
    Ok((edges, next))
}

#[async_trait]
impl GraphBasic for Graph {
    async fn add_node(&self, _: &Context, request: AddNodeRequest) -> Result<AddNodeResponse, Error> {
        let new = NewNode::new(request)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let stored = rows::node(tx.connection, keyspace, &new.node.id)?;
            let created = stored.is_none();
            let node = stored.map_or_else(|| Ok(new.node.clone()), |(stored, _)| new.change(&stored))?;
            rows::put_node(tx, keyspace, &node)?;
            Ok(AddNodeResponse { node: Some(node), created })
        });
        write.await
    }

    async fn add_edge(&self, _: &Context, request: AddEdgeRequest) -> Result<AddEdgeResponse, Error> {
        let new = NewEdge::new(request)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let stored = rows::edge(tx.connection, keyspace, &new.edge.id)?;
            let created = stored.is_none();
            let edge = match stored {
                Some((stored, _)) => new.change(&stored)?,
                None => new.edge.clone(),
            };
            for node in [&edge.from_node_id, &edge.to_node_id] {
                if created && rows::labels(tx.connection, keyspace, node)?.is_none() {
                    return Err(node_not_found(node).into());
                }
            }
            rows::put_edge(tx, keyspace, &edge)?;
            Ok(AddEdgeResponse { edge: Some(edge), created })
        });
        write.await
    }

    async fn get_nodes(&self, _: &Context, request: GetNodesRequest) -> Result<GetNodesResponse, Error> {
        let ids = distinct_ids(request)?;
        let read = scan(&self.keyspace, move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let (mut nodes, mut bytes) = (Vec::new(), 0);
            for id in &ids {
                let Some((node, size)) = rows::node(&snapshot, keyspace, id)? else { continue };
                bytes += size;
                if bytes > MAX_REPLY_BYTES {
                    return Err(result_too_large().into());
                }
                nodes.push(node);
            }
            Ok(GetNodesResponse { nodes })
        });
        read.await
    }

    async fn get_edges(&self, _: &Context, request: GetEdgesRequest) -> Result<Messages<GetEdgesResponse>, Error> {
        let reader = EdgeReader { keyspace: self.keyspace.clone(), query: EdgeQuery::new(request)? };
        Ok(stream_pages(reader, EdgeReader::page))
    }

    async fn delete_node(&self, _: &Context, request: DeleteNodeRequest) -> Result<DeleteNodeResponse, Error> {
        check_node_id("node_id", &request.node_id)?;
        let remove = self.keyspace.remove(move |tx, keyspace| {
            let id = &request.node_id;
            let edges_deleted = if request.delete_edges {
                rows::delete_edges(tx, keyspace, id)?
            } else if rows::has_edges(tx.connection, keyspace, id)? {
                return Err(node_has_edges(id).into());
            } else {
                0
            };
            Ok(DeleteNodeResponse { deleted: rows::delete_node(tx, keyspace, id)?, edges_deleted })
        });
        remove.await
    }

    async fn delete_edge(&self, _: &Context, request: DeleteEdgeRequest) -> Result<DeleteEdgeResponse, Error> {
        check_edge_id("edge_id", &request.edge_id)?;
        let remove = self
            .keyspace
            .remove(move |tx, keyspace| Ok(DeleteEdgeResponse { deleted: rows::delete_edge(tx, keyspace, &request.edge_id)? }));
        remove.await
    }
}
