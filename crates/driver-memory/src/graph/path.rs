//! Shortest paths, by Dijkstra's algorithm. The search reads the graph piece by piece.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use prost::Message as _;
use prost_types::value::Kind;

use super::{Graph, snapshot::MAX_NODES};
use prism_call::{
    Code, Error,
    proto::models::graph::v1::{Edge, Path, ShortestPathRequest},
};
use prism_driver::graph::{EdgeDirection, MAX_REPLY_BYTES, SubgraphFilter, check_node_id, graph_too_large, result_too_large};

/// Edges that are looked at while the lock is held once.
const EDGES_PER_LOCK: usize = 1000;

/// Most ways that a search holds. A node has several while better ones are found, and more of them if `max_depth` is set.
const MAX_WAYS: usize = 2 * MAX_NODES;

/// A way to a node that the search has found.
#[derive(Clone)]
struct Way {
    node: Arc<str>,
    depth: u32,
    weight: f64,
    /// The last edge, and the number of the way that it continues.
    edge: Option<(Arc<Edge>, usize)>,
}

/// A way in the queue: the least weight comes first, then the fewest edges.
#[derive(Clone, Copy)]
struct QueuedWay {
    weight: f64,
    depth: u32,
    number: usize,
}

impl PartialEq for QueuedWay {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for QueuedWay {}

impl PartialOrd for QueuedWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QueuedWay {
    fn cmp(&self, other: &Self) -> Ordering {
        self.weight.total_cmp(&other.weight).then_with(|| (self.depth, self.number).cmp(&(other.depth, other.number)))
    }
}

/// The weight of an edge.
fn weight(edge: &Edge, property: &str) -> Result<f64, Error> {
    let value = edge.properties.as_ref().filter(|_| !property.is_empty()).and_then(|properties| properties.fields.get(property));
    match value.and_then(|value| value.kind.as_ref()) {
        None => Ok(1.0),
        Some(Kind::NumberValue(number)) if *number >= 0.0 => Ok(*number),
        Some(_) => Err(Error::new(
            Code::FailedPrecondition,
            "INVALID_WEIGHT",
            format!("the property {property:?} of the edge {:?} is not a number that is zero or more", edge.id),
        )
        .with("edge_id", edge.id.clone())),
    }
}

/// `RESOURCE_EXHAUSTED GRAPH_TOO_LARGE`
fn too_many_ways(limit: usize) -> Error {
    let message =
        format!("the search found more than {limit} ways to the nodes it came to; set a smaller max_depth, or choose a smaller subgraph");
    Error::new(Code::ResourceExhausted, "GRAPH_TOO_LARGE", message).with("limit", limit.to_string())
}

/// A search for a path.
pub struct Search<'g> {
    graph: &'g Graph,
    request: ShortestPathRequest,
    subgraph: SubgraphFilter,
    direction: EdgeDirection,
    max_depth: u32,
    ways: Vec<Way>,
    queue: BinaryHeap<Reverse<QueuedWay>>,
    /// For each node that the search has gone beyond, the fewest edges with which it was reached.
    reached: HashMap<Arc<str>, u32>,
    /// For each node, the weight and the edges of the way that was queued last. A way with more weight is only of use if the number of edges is limited,
    /// and if it has fewer of them.
    queued: HashMap<Arc<str>, (f64, u32)>,
    max_nodes: usize,
    max_ways: usize,
}

impl<'g> Search<'g> {
    /// Checks a request.
    pub fn new(graph: &'g Graph, mut request: ShortestPathRequest) -> Result<Self, Error> {
        check_node_id("from_node_id", &request.from_node_id)?;
        check_node_id("to_node_id", &request.to_node_id)?;
        let start = Way { node: request.from_node_id.as_str().into(), depth: 0, weight: 0.0, edge: None };
        Ok(Self {
            graph,
            subgraph: SubgraphFilter::new("subgraph", request.subgraph.take())?,
            direction: request.direction().into(),
            max_depth: if request.max_depth == 0 { u32::MAX } else { request.max_depth },
            request,
            ways: vec![start],
            queue: BinaryHeap::from([Reverse(QueuedWay { weight: 0.0, depth: 0, number: 0 })]),
            reached: HashMap::new(),
            queued: HashMap::new(),
            max_nodes: MAX_NODES,
            max_ways: MAX_WAYS,
        })
    }

    /// Finds the best path.
    pub async fn run(mut self) -> Result<Option<Path>, Error> {
        {
            let store = self.graph.read()?;
            let is_present = |id: &str| store.node(id).is_some_and(|node| self.subgraph.has_node(&node.labels));
            if !is_present(&self.request.from_node_id) || !is_present(&self.request.to_node_id) {
                return Ok(None);
            }
        }
        while let Some(Reverse(QueuedWay { number, .. })) = self.queue.pop() {
            tokio::task::consume_budget().await;
            let Way { node, depth, .. } = self.ways[number].clone();
            if *node == *self.request.to_node_id {
                return self.path(number);
            }
            if self.is_known(&node, depth) {
                continue;
            }
            self.reached.insert(node.clone(), depth);
            let mut after = None;
            while depth < self.max_depth {
                after = self.follow(number, after.as_deref())?;
                if after.is_none() {
                    break;
                }
                tokio::task::consume_budget().await;
            }
        }
        Ok(None)
    }

    fn has_limit(&self) -> bool {
        self.max_depth != u32::MAX
    }

    /// Whether the search has gone beyond a node, so that a way with this number of edges is of no use.
    fn is_known(&self, node: &str, depth: u32) -> bool {
        self.reached.get(node).is_some_and(|before| !self.has_limit() || *before <= depth)
    }

    /// Queues the ways that continue a way by some edges of its node. Returns the edge behind which there are more.
    fn follow(&mut self, number: usize, after: Option<&str>) -> Result<Option<String>, Error> {
        let Way { node, depth, weight: sum, .. } = self.ways[number].clone();
        let depth = depth + 1;
        let graph = self.graph;
        let store = graph.read()?;
        let mut last: Option<&Arc<Edge>> = None;
        for (count, edge) in store.edges_of(&node, self.direction, after).enumerate() {
            if count == EDGES_PER_LOCK {
                return Ok(last.map(|edge| edge.id.clone()));
            }
            last = Some(edge);
            let end = self.direction.other_end(edge, &node);
            let is_present = || store.node(end).is_some_and(|node| self.subgraph.has_node(&node.labels));
            if !self.subgraph.has_edge(&edge.label) || self.is_known(end, depth) || !is_present() {
                continue;
            }
            let weight = sum + weight(edge, &self.request.weight_property)?;
            let is_better = |(other, edges): &(f64, u32)| {
                let has_fewer = depth < *edges;
                weight < *other || (has_fewer && (self.has_limit() || weight <= *other))
            };
            let known = self.queued.get(end);
            if !known.is_none_or(is_better) {
                continue;
            }
            // The start node is not in the queue.
            if known.is_none() && self.queued.len() + 1 >= self.max_nodes {
                return Err(graph_too_large(self.max_nodes));
            }
            if self.ways.len() >= self.max_ways {
                return Err(too_many_ways(self.max_ways));
            }
            let end: Arc<str> = end.into();
            self.queued.insert(end.clone(), (weight, depth));
            self.queue.push(Reverse(QueuedWay { weight, depth, number: self.ways.len() }));
            self.ways.push(Way { node: end, depth, weight, edge: Some((edge.clone(), number)) });
        }
        Ok(None)
    }

    /// The nodes and edges of a way. If a node was deleted meanwhile, there is none.
    fn path(&self, mut number: usize) -> Result<Option<Path>, Error> {
        let weight = self.ways[number].weight;
        let (mut nodes, mut edges, mut bytes) = (Vec::new(), Vec::new(), 0);
        let store = self.graph.read()?;
        loop {
            let Way { node, edge, .. } = &self.ways[number];
            let Some(node) = store.node(node) else { return Ok(None) };
            bytes += node.encoded_len() + edge.as_ref().map_or(0, |(edge, _)| edge.encoded_len());
            nodes.push(node.clone());
            let Some((edge, before)) = edge else { break };
            edges.push(edge.clone());
            number = *before;
        }
        drop(store);
        if bytes > MAX_REPLY_BYTES {
            return Err(result_too_large());
        }
        let nodes = nodes.iter().rev().map(|node| (**node).clone()).collect();
        let edges = edges.iter().rev().map(|edge| (**edge).clone()).collect();
        Ok(Some(Path { nodes, edges, weight }))
    }
}

#[cfg(test)]
mod tests {
    use prism_call::proto::models::graph::v1::{AddEdgeRequest, AddNodeRequest, Node};
    use prism_driver::graph::change::{NewEdge, NewNode};

    use super::*;
    use crate::{settings::MemorySettings, state::SharedState};

    /// Two nodes, and three ways between them: each further edge is better than the one before.
    fn graph() -> Graph {
        let graph = Graph::new(Arc::new(SharedState::new(MemorySettings::default())));
        let mut store = graph.write().unwrap();
        for id in ["a", "b", "c"] {
            let node = Node { id: id.to_owned(), labels: vec!["L".to_owned()], ..Node::default() };
            store.add_node(NewNode::new(AddNodeRequest { node: Some(node), ..AddNodeRequest::default() }).unwrap()).unwrap();
        }
        for (id, to, weight) in [("1", "b", 3.0), ("2", "b", 2.0), ("3", "b", 1.0), ("4", "c", 9.0)] {
            let value = prost_types::Value { kind: Some(Kind::NumberValue(weight)) };
            let properties = Some(prost_types::Struct { fields: [("weight".to_owned(), value)].into() });
            let (from_node_id, to_node_id) = ("a".to_owned(), to.to_owned());
            let edge = Edge { id: id.to_owned(), label: "L".to_owned(), from_node_id, to_node_id, properties };
            store.add_edge(NewEdge::new(AddEdgeRequest { edge: Some(edge), ..AddEdgeRequest::default() }).unwrap()).unwrap();
        }
        drop(store);
        graph
    }

    async fn weight_with_limits(max_nodes: usize, max_ways: usize) -> Result<Option<f64>, Error> {
        let (graph, text) = (graph(), |text: &str| text.to_owned());
        let (from_node_id, to_node_id, weight_property) = (text("a"), text("b"), text("weight"));
        let request = ShortestPathRequest { from_node_id, to_node_id, weight_property, ..ShortestPathRequest::default() };
        let search = Search { max_nodes, max_ways, ..Search::new(&graph, request)? };
        Ok(search.run().await?.map(|path| path.weight))
    }

    #[tokio::test]
    async fn the_limit_counts_nodes_and_not_ways_to_them() {
        assert_eq!(weight_with_limits(3, 5).await.unwrap(), Some(1.0), "three nodes, and five ways with that to the start");
        let error = weight_with_limits(2, 5).await.unwrap_err();
        assert_eq!((error.reason(), error.get("limit")), ("GRAPH_TOO_LARGE", Some("2")));
        assert!(error.message().contains("more than 2 nodes"), "{error}");
        let error = weight_with_limits(3, 4).await.unwrap_err();
        assert_eq!((error.reason(), error.get("limit")), ("GRAPH_TOO_LARGE", Some("4")));
        assert!(error.message().contains("more than 4 ways"), "{error}");
    }
}
