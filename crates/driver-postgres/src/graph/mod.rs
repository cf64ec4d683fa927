//! Graph: one row for each node and each edge. Foreign keys keep an edge from losing its nodes.
//!
//! A walk is a recursive query for each neighbourhood that it comes to; the gateway decides the order.

mod basic;
mod edges;
mod rows;
mod scan;
mod traversal;

use std::sync::Arc;

use crate::keyspace::KeyspaceHandle;
use prism_call::proto::Interfaces;

/// The graph interfaces over one keyspace.
pub struct Graph {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the graph interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let graph = Arc::new(Graph { keyspace: keyspace.clone() });
    interfaces.graph_basic = Some(graph.clone());
    interfaces.graph_traversal = Some(graph);
}
