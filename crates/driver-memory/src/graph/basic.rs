//! `graph_basic`

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;

use super::Graph;
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        AddEdgeRequest, AddEdgeResponse, AddNodeRequest, AddNodeResponse, DeleteEdgeRequest, DeleteEdgeResponse, DeleteNodeRequest,
        DeleteNodeResponse, Edge, GetEdgesRequest, GetEdgesResponse, GetNodesRequest, GetNodesResponse, GraphBasic, Node,
    },
};
use prism_driver::{
    graph::{
        EdgeQuery, MAX_REPLY_BYTES,
        change::{NewEdge, NewNode},
        check_edge_id, check_node_id, distinct_ids, edge_cursor, result_too_large,
    },
    pages::{Page, stream_pages},
};

/// Edges that are looked at while the lock is held once.
const EDGES_PER_LOCK: usize = 256;
/// A page ends after the edge with which it has this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The state of a stream of edges.
struct EdgeReader {
    graph: Graph,
    query: EdgeQuery,
}

impl EdgeReader {
    async fn page(mut self) -> Result<Page<GetEdgesResponse, Self>, Error> {
        tokio::task::consume_budget().await;
        let (edges, is_end) = self.edges()?;
        self.query.remaining -= edges.len();
        let message = |edge: Arc<Edge>| GetEdgesResponse { cursor: edge_cursor(&edge.id), edge: Some((*edge).clone()) };
        let page = edges.into_iter().map(message).collect();
        Ok((page, (!is_end && self.query.remaining > 0).then_some(self)))
    }

    /// The edges of the next page, and whether there are no more.
    fn edges(&mut self) -> Result<(Vec<Arc<Edge>>, bool), Error> {
        let query = &self.query;
        let store = self.graph.read()?;
        let (mut edges, mut bytes) = (Vec::new(), 0);
        let mut next = None;
        for (number, edge) in store.edges_of(&query.node, query.direction, query.after.as_deref()).enumerate() {
            if query.has_label(&edge.label) {
                bytes += edge.encoded_len();
                edges.push(edge.clone());
            }
            if number + 1 == EDGES_PER_LOCK || edges.len() == query.remaining || bytes >= PAGE_BYTES {
                next = Some(edge.id.clone());
                break;
            }
        }
        drop(store);
        let is_end = next.is_none();
        self.query.after = next;
        Ok((edges, is_end))
    }
}

/// Copies nodes, if they are not too many bytes together.
pub fn copy_nodes(nodes: &[Arc<Node>]) -> Result<Vec<Node>, Error> {
    if nodes.iter().map(|node| node.encoded_len()).sum::<usize>() > MAX_REPLY_BYTES {
        return Err(result_too_large());
    }
    Ok(nodes.iter().map(|node| (**node).clone()).collect())
}

#[async_trait]
impl GraphBasic for Graph {
    async fn add_node(&self, _: &Context, request: AddNodeRequest) -> Result<AddNodeResponse, Error> {
        let new = NewNode::new(request)?;
        let (node, created) = self.write()?.add_node(new)?;
        Ok(AddNodeResponse { node: Some((*node).clone()), created })
    }

    async fn add_edge(&self, _: &Context, request: AddEdgeRequest) -> Result<AddEdgeResponse, Error> {
        let new = NewEdge::new(request)?;
        let (edge, created) = self.write()?.add_edge(new)?;
        Ok(AddEdgeResponse { edge: Some((*edge).clone()), created })
    }

    async fn get_nodes(&self, _: &Context, request: GetNodesRequest) -> Result<GetNodesResponse, Error> {
        let ids = distinct_ids(request)?;
        let store = self.read()?;
        let found: Vec<Arc<Node>> = ids.iter().filter_map(|id| store.node(id).cloned()).collect();
        drop(store);
        Ok(GetNodesResponse { nodes: copy_nodes(&found)? })
    }

    async fn get_edges(&self, _: &Context, request: GetEdgesRequest) -> Result<Messages<GetEdgesResponse>, Error> {
        let reader = EdgeReader { graph: self.clone(), query: EdgeQuery::new(request)? };
        Ok(stream_pages(reader, EdgeReader::page))
    }

    async fn delete_node(&self, _: &Context, request: DeleteNodeRequest) -> Result<DeleteNodeResponse, Error> {
        check_node_id("node_id", &request.node_id)?;
        // The lock is free again at the end of the statement, before what was deleted is freed.
        let deleted = self.write()?.delete_node(&request.node_id, request.delete_edges)?;
        Ok(deleted.map_or_else(DeleteNodeResponse::default, |deleted| DeleteNodeResponse { deleted: true, edges_deleted: deleted.edges() }))
    }

    async fn delete_edge(&self, _: &Context, request: DeleteEdgeRequest) -> Result<DeleteEdgeResponse, Error> {
        check_edge_id("edge_id", &request.edge_id)?;
        let deleted = self.write()?.delete_edge(&request.edge_id);
        Ok(DeleteEdgeResponse { deleted: deleted.is_some() })
    }
}
