//! The graph interfaces.

mod analytics;
mod basic;
mod gateways;
mod reference;
mod traversal;
mod values;

use prism::{
    call::Error,
    proto::models::graph::v1::{
        AddEdgeRequest, AddEdgeResponse, AddNodeRequest, AddNodeResponse, DeleteNodeRequest, Direction, Edge, ExistingPolicy,
        GetEdgesRequest, GetNodesRequest, Node, Subgraph,
    },
};
use prost_types::{Struct, Value, value::Kind};

use crate::{subject::Subject, suite::Suite, support::all};

/// All suites of the model.
pub const SUITES: &[&Suite] = &[&analytics::SUITE, &basic::SUITE, &gateways::SUITE, &reference::SUITE, &traversal::SUITE, &values::SUITE];

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn properties(fields: &[(&str, Kind)]) -> Option<Struct> {
    let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), Value { kind: Some(kind.clone()) })).collect();
    Some(Struct { fields })
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn node(id: &str, labels: &[&str], given: &[(&str, Kind)]) -> Node {
    Node { id: id.to_owned(), labels: strings(labels), properties: properties(given) }
}

fn edge(id: &str, label: &str, from: &str, to: &str, given: &[(&str, Kind)]) -> Edge {
    Edge {
        id: id.to_owned(),
        label: label.to_owned(),
        from_node_id: from.to_owned(),
        to_node_id: to.to_owned(),
        properties: properties(given),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn subgraph(edge_labels: &[&str], node_labels: &[&str]) -> Option<Subgraph> {
    Some(Subgraph { edge_labels: strings(edge_labels), node_labels: strings(node_labels) })
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn try_add_node(&self, node: Node, policy: ExistingPolicy) -> Result<AddNodeResponse, Error> {
        let request = AddNodeRequest { node: Some(node), existing_policy: policy.into() };
        self.graph_basic().add_node(&self.context, request).await
    }

    async fn try_add_edge(&self, edge: Edge, policy: ExistingPolicy) -> Result<AddEdgeResponse, Error> {
        let request = AddEdgeRequest { edge: Some(edge), existing_policy: policy.into() };
        self.graph_basic().add_edge(&self.context, request).await
    }

    async fn add_nodes(&self, ids: &[&str]) {
        for id in ids {
            self.try_add_node(node(id, &[], &[]), ExistingPolicy::Unspecified).await.unwrap();
        }
    }

    /// Adds edges `from-to`, whose ids are these texts, with the label `L`.
    async fn add_edges(&self, edges: &[&str]) {
        for id in edges {
            let (from, to) = id.split_once('-').unwrap();
            self.try_add_edge(edge(id, "L", from, to, &[]), ExistingPolicy::Unspecified).await.unwrap();
        }
    }

    async fn edge_ids(&self, node: &str, direction: Direction, labels: &[&str]) -> String {
        let request =
            GetEdgesRequest { node_id: node.to_owned(), direction: direction.into(), edge_labels: strings(labels), ..Default::default() };
        let messages = all(self.graph_basic().get_edges(&self.context, request).await.unwrap()).await;
        messages.into_iter().map(|message| message.edge.unwrap().id).collect::<Vec<_>>().join(" ")
    }

    async fn try_delete_node(&self, id: &str, delete_edges: bool) -> Result<(bool, u64), Error> {
        let request = DeleteNodeRequest { node_id: id.to_owned(), delete_edges };
        let answer = self.graph_basic().delete_node(&self.context, request).await?;
        Ok((answer.deleted, answer.edges_deleted))
    }

    async fn stored_nodes(&self, ids: &[&str]) -> Vec<Node> {
        let request = GetNodesRequest { node_ids: strings(ids) };
        self.graph_basic().get_nodes(&self.context, request).await.unwrap().nodes
    }

    /// The edges that leave a node.
    async fn stored_edges(&self, node: &str) -> Vec<Edge> {
        let request = GetEdgesRequest { node_id: node.to_owned(), ..Default::default() };
        let messages = all(self.graph_basic().get_edges(&self.context, request).await.unwrap()).await;
        messages.into_iter().map(|message| message.edge.unwrap()).collect()
    }
}
