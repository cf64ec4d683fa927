//! Additions of nodes and edges, and what they make of those that exist.

use prost_types::{Struct, value::Kind};

use super::{check_edge_id, check_node_id, check_text, distinct};
use crate::{document::value::check_body, id};
use prism_call::{
    Code, Error,
    proto::models::graph::v1::{AddEdgeRequest, AddNodeRequest, Edge, ExistingPolicy, Node},
};

/// Most labels of a node.
const MAX_LABELS: usize = 32;

/// A checked node, and what happens if it exists.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// The node, with an id and with properties.
    pub node: Node,
    policy: ExistingPolicy,
}

impl NewNode {
    /// Checks a request. A node without an id gets a random one. A label that is given twice counts once.
    pub fn new(request: AddNodeRequest) -> Result<Self, Error> {
        let policy = request.existing_policy();
        let mut node = request.node.ok_or_else(|| Error::invalid("node", "must be set").with_reason("INVALID_NODE"))?;
        if node.id.is_empty() {
            node.id = id::random_text();
        }
        check_node_id("node.id", &node.id)?;
        for (index, label) in node.labels.iter().enumerate() {
            check_text(&format!("node.labels[{index}]"), label, "INVALID_NODE")?;
        }
        node.labels = distinct(node.labels);
        node.properties.get_or_insert_default();
        check_growth(&node)?;
        Ok(Self { node, policy })
    }

    /// What the node that exists becomes.
    pub fn change(&self, stored: &Node) -> Result<Node, Error> {
        match self.policy {
            ExistingPolicy::Reject | ExistingPolicy::Unspecified => {
                Err(Error::new(Code::AlreadyExists, "NODE_EXISTS", format!("a node has the id {:?}", self.node.id)))
            }
            ExistingPolicy::Replace => Ok(self.node.clone()),
            ExistingPolicy::Merge => {
                let mut node = stored.clone();
                node.labels.extend(self.node.labels.iter().cloned());
                node.labels = distinct(node.labels);
                merge(&mut node.properties, self.node.properties.as_ref());
                check_growth(&node)?;
                Ok(node)
            }
        }
    }
}

/// A checked edge, and what happens if it exists.
#[derive(Clone, Debug)]
pub struct NewEdge {
    /// The edge, with an id and with properties.
    pub edge: Edge,
    policy: ExistingPolicy,
}

impl NewEdge {
    /// Checks a request. An edge without an id gets a random one.
    pub fn new(request: AddEdgeRequest) -> Result<Self, Error> {
        let policy = request.existing_policy();
        let mut edge = request.edge.ok_or_else(|| Error::invalid("edge", "must be set").with_reason("INVALID_EDGE"))?;
        if edge.id.is_empty() {
            edge.id = id::random_text();
        }
        check_edge_id("edge.id", &edge.id)?;
        check_edge_id("edge.label", &edge.label)?;
        check_edge_id("edge.from_node_id", &edge.from_node_id)?;
        check_edge_id("edge.to_node_id", &edge.to_node_id)?;
        check_properties("edge.properties", edge.properties.get_or_insert_default())?;
        Ok(Self { edge, policy })
    }

    /// What the edge that exists becomes. It never moves to other nodes or to another label.
    pub fn change(&self, stored: &Edge) -> Result<Edge, Error> {
        let given = &self.edge;
        if (&stored.label, &stored.from_node_id, &stored.to_node_id) != (&given.label, &given.from_node_id, &given.to_node_id) {
            let message = format!("the edge {:?} connects other nodes or has another label, and an edge never moves", given.id);
            return Err(Error::new(Code::FailedPrecondition, "EDGE_DIFFERS", message));
        }
        match self.policy {
            ExistingPolicy::Reject | ExistingPolicy::Unspecified => {
                Err(Error::new(Code::AlreadyExists, "EDGE_EXISTS", format!("an edge has the id {:?}", given.id)))
            }
            ExistingPolicy::Replace => Ok(given.clone()),
            ExistingPolicy::Merge => {
                let mut edge = stored.clone();
                merge(&mut edge.properties, given.properties.as_ref());
                check_properties("edge.properties", edge.properties.get_or_insert_default())?;
                Ok(edge)
            }
        }
    }
}

/// Checks what grows when another node is merged into a node.
fn check_growth(node: &Node) -> Result<(), Error> {
    if node.labels.len() > MAX_LABELS {
        let problem = format!("has {} labels; at most {MAX_LABELS} are allowed", node.labels.len());
        return Err(Error::invalid("node.labels", problem).with_reason("INVALID_NODE"));
    }
    node.properties.as_ref().map_or(Ok(()), |properties| check_properties("node.properties", properties))
}

/// Checks properties as the body of a document.
fn check_properties(field: &str, properties: &Struct) -> Result<(), Error> {
    check_body(field, properties).map(drop)
}

/// Sets the outermost properties one by one; null removes a property.
fn merge(properties: &mut Option<Struct>, given: Option<&Struct>) {
    let fields = &mut properties.get_or_insert_default().fields;
    for (name, value) in given.iter().flat_map(|given| &given.fields) {
        if matches!(value.kind, None | Some(Kind::NullValue(_))) {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;
    use serde_json::json;

    fn add(id: &str, labels: &[String], properties: &serde_json::Value, policy: ExistingPolicy) -> Result<NewNode, Error> {
        let node = Node { id: id.to_owned(), labels: labels.to_vec(), properties: Some(json::from_object(properties)) };
        NewNode::new(AddNodeRequest { node: Some(node), existing_policy: policy.into() })
    }

    #[test]
    fn a_merged_node_has_limits_too() {
        let labels = |range: std::ops::Range<u32>| range.map(|number| number.to_string()).collect::<Vec<_>>();
        let stored = add("a", &labels(0..20), &json!({"a": "x".repeat(600_000)}), ExistingPolicy::Reject).unwrap().node;
        let merged = add("a", &labels(10..32), &json!({"a": null, "b": 1}), ExistingPolicy::Merge).unwrap().change(&stored).unwrap();
        assert_eq!((merged.labels, merged.properties), (labels(0..32), Some(json::from_object(&json!({"b": 1})))));
        let more = add("a", &labels(20..33), &json!({}), ExistingPolicy::Merge).unwrap();
        assert_eq!(more.change(&stored).unwrap_err().reason(), "INVALID_NODE");
        let larger = add("a", &[], &json!({"b": "x".repeat(600_000)}), ExistingPolicy::Merge).unwrap();
        assert_eq!(larger.change(&stored).unwrap_err().reason(), "VALUE_TOO_LARGE");
    }

    #[test]
    fn the_server_completes_what_is_missing() {
        let node = NewNode::new(AddNodeRequest { node: Some(Node::default()), existing_policy: 0 }).unwrap().node;
        assert_eq!((node.id.len(), node.properties), (32, Some(Struct::default())));
        let labels = ["b".to_owned(), "a".to_owned(), "b".to_owned()];
        assert_eq!(add("n", &labels, &json!({}), ExistingPolicy::Merge).unwrap().node.labels, ["b", "a"]);
    }
}
