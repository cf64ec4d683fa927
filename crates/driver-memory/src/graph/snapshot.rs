//! A part of the graph at one instant, with numbers instead of ids, for computations.

use std::{collections::HashMap, sync::Arc};

use super::Graph;
use prism_call::{
    Error,
    proto::models::graph::v1::{Edge, Node},
};
use prism_driver::graph::{SubgraphFilter, graph_too_large};

/// Most nodes of a computation.
pub const MAX_NODES: usize = 1_000_000;

/// The nodes of a subgraph in the order of their ids, and its edges as pairs of numbers of nodes.
pub struct Snapshot {
    pub nodes: Vec<Arc<Node>>,
    pub edges: Vec<(usize, usize)>,
}

impl Snapshot {
    /// Copies a subgraph. The lock is held only until all nodes and edges are known.
    pub fn new(graph: &Graph, subgraph: &SubgraphFilter) -> Result<Self, Error> {
        let store = graph.read()?;
        let nodes: Vec<Arc<Node>> = store.nodes().filter(|node| subgraph.has_node(&node.labels)).take(MAX_NODES + 1).cloned().collect();
        if nodes.len() > MAX_NODES {
            return Err(graph_too_large(MAX_NODES));
        }
        let edges: Vec<Arc<Edge>> = store.edges().filter(|edge| subgraph.has_edge(&edge.label)).cloned().collect();
        drop(store);
        let numbers: HashMap<&str, usize> = nodes.iter().enumerate().map(|(number, node)| (node.id.as_str(), number)).collect();
        let ends = |edge: &Arc<Edge>| Some((*numbers.get(edge.from_node_id.as_str())?, *numbers.get(edge.to_node_id.as_str())?));
        let edges = edges.iter().filter_map(ends).collect();
        drop(numbers);
        Ok(Self { nodes, edges })
    }

    /// For each node the nodes to which its edges lead.
    pub fn successors(&self) -> Vec<Vec<usize>> {
        let mut successors = vec![Vec::new(); self.nodes.len()];
        for (from, to) in &self.edges {
            successors[*from].push(*to);
        }
        successors
    }
}
