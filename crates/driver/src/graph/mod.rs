//! Limits, checks and the meaning of requests of graphs that are the same in every driver.

pub mod change;
pub mod walk;

use prism_call::{
    Code, Error,
    proto::models::graph::v1::{Direction, Edge, GetEdgesRequest, GetNodesRequest, Subgraph},
};

use crate::{check, cursor};

/// Longest id or label, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Most ids of a request for nodes.
const MAX_IDS: u32 = 1000;
/// Most labels of a filter.
const MAX_FILTER_LABELS: usize = 100;
/// Most bytes of the nodes and edges of a reply that is one message.
pub const MAX_REPLY_BYTES: usize = 16 << 20;
/// The scope of the cursors of `GetEdges`.
const EDGE_CURSOR: &str = "graph:edges";

/// Checks the id of a node.
pub fn check_node_id(field: &str, id: &str) -> Result<(), Error> {
    check_text(field, id, "INVALID_NODE")
}

/// Checks the id of an edge.
pub fn check_edge_id(field: &str, id: &str) -> Result<(), Error> {
    check_text(field, id, "INVALID_EDGE")
}

fn check_text(field: &str, text: &str, reason: &'static str) -> Result<(), Error> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        let problem = format!("must have 1 to {MAX_NAME_BYTES} bytes, not {}", text.len());
        return Err(Error::invalid(field, problem).with_reason(reason));
    }
    Ok(())
}

/// Checks the ids of `GetNodes`, and returns each of them once, in their order.
pub fn distinct_ids(request: GetNodesRequest) -> Result<Vec<String>, Error> {
    check::count("node_ids", request.node_ids.len(), MAX_IDS)?;
    Ok(distinct(request.node_ids))
}

/// The texts without those that came before.
fn distinct(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// Checks the number of labels of a filter: at most 100.
fn check_filter(field: &str, labels: &[String]) -> Result<(), Error> {
    if labels.len() > MAX_FILTER_LABELS {
        let problem = format!("has {} items; at most {MAX_FILTER_LABELS} are allowed", labels.len());
        return Err(Error::invalid(field, problem).with_reason("BATCH_SIZE").with("limit", MAX_FILTER_LABELS.to_string()));
    }
    Ok(())
}

/// Which edges of a node are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeDirection {
    /// Those that begin there.
    Out,
    /// Those that end there.
    In,
    /// Those that begin or end there. An edge from the node to itself comes once.
    Both,
}

impl From<Direction> for EdgeDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Unspecified | Direction::Out => Self::Out,
            Direction::In => Self::In,
            Direction::Both => Self::Both,
        }
    }
}

impl EdgeDirection {
    /// The node to which an edge of `node` leads.
    pub fn other_end<'e>(self, edge: &'e Edge, node: &str) -> &'e str {
        match self {
            Self::Out => &edge.to_node_id,
            Self::Both if edge.from_node_id == node => &edge.to_node_id,
            Self::In | Self::Both => &edge.from_node_id,
        }
    }
}

/// The part of the graph that a call looks at.
#[derive(Clone, Debug, Default)]
pub struct SubgraphFilter {
    /// Labels of edges; none = all edges.
    pub edge_labels: Vec<String>,
    /// Labels of nodes; none = all nodes.
    pub node_labels: Vec<String>,
}

impl SubgraphFilter {
    /// Checks the field `subgraph` of a request.
    pub fn new(field: &str, subgraph: Option<Subgraph>) -> Result<Self, Error> {
        let Subgraph { edge_labels, node_labels } = subgraph.unwrap_or_default();
        check_filter(&format!("{field}.edge_labels"), &edge_labels)?;
        check_filter(&format!("{field}.node_labels"), &node_labels)?;
        Ok(Self { edge_labels, node_labels })
    }

    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        self.edge_labels.is_empty() && self.node_labels.is_empty()
    }

    /// Whether an edge with this label is in the subgraph, if its nodes are.
    pub fn has_edge(&self, label: &str) -> bool {
        self.edge_labels.is_empty() || self.edge_labels.iter().any(|one| one == label)
    }

    /// Whether a node with these labels is in the subgraph.
    pub fn has_node(&self, labels: &[String]) -> bool {
        self.node_labels.is_empty() || labels.iter().any(|label| self.node_labels.contains(label))
    }
}

/// A checked request for the edges of a node.
#[derive(Clone, Debug)]
pub struct EdgeQuery {
    /// The node.
    pub node: String,
    /// Which of its edges.
    pub direction: EdgeDirection,
    /// Labels of edges; none = all edges.
    pub labels: Vec<String>,
    /// The edge behind which the next page begins.
    pub after: Option<String>,
    /// Edges until the limit of the request.
    pub remaining: usize,
}

impl EdgeQuery {
    /// Checks a request.
    pub fn new(request: GetEdgesRequest) -> Result<Self, Error> {
        let direction = request.direction().into();
        check_node_id("node_id", &request.node_id)?;
        check_filter("edge_labels", &request.edge_labels)?;
        let after = cursor::open(EDGE_CURSOR, &request.cursor)?;
        Ok(Self {
            node: request.node_id,
            direction,
            labels: request.edge_labels,
            after: after.map(|id| String::from_utf8(id).map_err(|_| cursor::invalid())).transpose()?,
            remaining: check::limit_or_all(request.limit),
        })
    }

    /// Whether the request is for edges with this label.
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|one| one == label)
    }
}

/// The cursor of an edge.
pub fn edge_cursor(id: &str) -> String {
    cursor::seal(EDGE_CURSOR, id.as_bytes())
}

/// `FAILED_PRECONDITION NODE_NOT_FOUND`
pub fn node_not_found(id: &str) -> Error {
    Error::new(Code::FailedPrecondition, "NODE_NOT_FOUND", format!("there is no node {id:?}; add it before its edges")).with("node_id", id)
}

/// `FAILED_PRECONDITION NODE_HAS_EDGES`
pub fn node_has_edges(id: &str) -> Error {
    let message = format!("the node {id:?} has edges; set delete_edges to delete them too");
    Error::new(Code::FailedPrecondition, "NODE_HAS_EDGES", message)
}

/// `RESOURCE_EXHAUSTED GRAPH_TOO_LARGE`
pub fn graph_too_large(limit: usize) -> Error {
    let message = format!("the computation came to more than {limit} nodes; choose a smaller subgraph");
    Error::new(Code::ResourceExhausted, "GRAPH_TOO_LARGE", message).with("limit", limit.to_string())
}

/// `RESOURCE_EXHAUSTED RESULT_TOO_LARGE`
pub fn result_too_large() -> Error {
    let message = format!("the nodes and edges of the reply have more than {} MiB", MAX_REPLY_BYTES >> 20);
    Error::new(Code::ResourceExhausted, "RESULT_TOO_LARGE", message).with("limit", MAX_REPLY_BYTES.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_leads_to_its_other_end() {
        let edge = Edge { from_node_id: "a".to_owned(), to_node_id: "b".to_owned(), ..Edge::default() };
        let itself = Edge { from_node_id: "a".to_owned(), to_node_id: "a".to_owned(), ..Edge::default() };
        assert_eq!(EdgeDirection::Out.other_end(&edge, "a"), "b");
        assert_eq!(EdgeDirection::In.other_end(&edge, "b"), "a");
        assert_eq!(EdgeDirection::Both.other_end(&edge, "a"), "b");
        assert_eq!(EdgeDirection::Both.other_end(&edge, "b"), "a");
        for direction in [EdgeDirection::Out, EdgeDirection::In, EdgeDirection::Both] {
            assert_eq!(direction.other_end(&itself, "a"), "a");
        }
    }

    #[test]
    fn a_cursor_is_of_an_edge() {
        let request = |cursor: String| GetEdgesRequest { node_id: "a".to_owned(), cursor, ..GetEdgesRequest::default() };
        assert_eq!(EdgeQuery::new(request(edge_cursor("ö\0"))).unwrap().after.as_deref(), Some("ö\0"));
        assert_eq!(EdgeQuery::new(request(String::new())).unwrap().after, None);
        for bad in [cursor::seal("graph:nodes", b"a"), cursor::seal(EDGE_CURSOR, b"\xff"), "AAAA".to_owned()] {
            assert_eq!(EdgeQuery::new(request(bad)).unwrap_err().reason(), "INVALID_CURSOR");
        }
    }
}
