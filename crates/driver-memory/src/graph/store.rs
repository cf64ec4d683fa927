//! The nodes and edges of one keyspace, and the bytes that they take.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    ops::Bound,
    sync::Arc,
};

use crate::state::{OVERHEAD, SharedState};
use prism_call::{
    Error,
    proto::models::graph::v1::{Edge, Node},
};
use prism_driver::{
    document::memory::object_bytes,
    graph::{
        EdgeDirection,
        change::{NewEdge, NewNode},
        node_has_edges, node_not_found,
    },
};
use prost_types::Struct;

/// The graph of a keyspace. Every edge has both its nodes.
pub struct Store {
    shared: Arc<SharedState>,
    nodes: BTreeMap<Arc<str>, StoredNode>,
    edges: BTreeMap<Arc<str>, Arc<Edge>>,
}

/// A node, and the ids of its edges.
struct StoredNode {
    node: Arc<Node>,
    outgoing: BTreeSet<Arc<str>>,
    incoming: BTreeSet<Arc<str>>,
}

/// What was deleted with a node. It is freed by the caller, without the lock.
pub struct DeletedNode {
    _node: Arc<Node>,
    edges: Vec<Arc<Edge>>,
}

impl DeletedNode {
    /// The number of edges that were deleted with the node.
    pub fn edges(&self) -> u64 {
        self.edges.len() as u64
    }
}

impl Store {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, nodes: BTreeMap::new(), edges: BTreeMap::new() }
    }

    pub fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(id).map(|stored| &stored.node)
    }

    pub fn edge(&self, id: &str) -> Option<&Arc<Edge>> {
        self.edges.get(id)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().map(|stored| &stored.node)
    }

    pub fn edges(&self) -> impl Iterator<Item = &Arc<Edge>> {
        self.edges.values()
    }

    /// Adds a node or changes the one that exists. Returns the node, and whether it is new.
    pub fn add_node(&mut self, new: NewNode) -> Result<(Arc<Node>, bool), Error> {
        let Some(stored) = self.nodes.get_mut(new.node.id.as_str()) else {
            self.shared.reserve(node_bytes(&new.node))?;
            let node = Arc::new(new.node);
            let stored = StoredNode { node: node.clone(), outgoing: BTreeSet::new(), incoming: BTreeSet::new() };
            self.nodes.insert(node.id.as_str().into(), stored);
            return Ok((node, true));
        };
        let node = Arc::new(new.change(&stored.node)?);
        exchange(&self.shared, node_bytes(&node), node_bytes(&stored.node))?;
        stored.node = node.clone();
        Ok((node, false))
    }

    /// Adds an edge or changes the one that exists. Returns the edge, and whether it is new.
    pub fn add_edge(&mut self, new: NewEdge) -> Result<(Arc<Edge>, bool), Error> {
        if let Some(stored) = self.edges.get_mut(new.edge.id.as_str()) {
            let edge = Arc::new(new.change(stored)?);
            exchange(&self.shared, edge_bytes(&edge), edge_bytes(stored))?;
            *stored = edge.clone();
            return Ok((edge, false));
        }
        let edge = Arc::new(new.edge);
        for node in [&edge.from_node_id, &edge.to_node_id] {
            if !self.nodes.contains_key(node.as_str()) {
                return Err(node_not_found(node));
            }
        }
        self.shared.reserve(edge_bytes(&edge))?;
        let id: Arc<str> = edge.id.as_str().into();
        if let Some(from) = self.nodes.get_mut(edge.from_node_id.as_str()) {
            from.outgoing.insert(id.clone());
        }
        if let Some(to) = self.nodes.get_mut(edge.to_node_id.as_str()) {
            to.incoming.insert(id.clone());
        }
        self.edges.insert(id, edge.clone());
        Ok((edge, true))
    }

    /// Deletes a node, and its edges if `delete_edges` is true. Returns `None` if there is no such node.
    pub fn delete_node(&mut self, id: &str, delete_edges: bool) -> Result<Option<DeletedNode>, Error> {
        let Some(stored) = self.nodes.get(id) else { return Ok(None) };
        let has_edges = !stored.outgoing.is_empty() || !stored.incoming.is_empty();
        if has_edges && !delete_edges {
            return Err(node_has_edges(id));
        }
        let Some(StoredNode { node, outgoing, incoming }) = self.nodes.remove(id) else { return Ok(None) };
        self.shared.release(node_bytes(&node));
        // An edge from the node to itself is deleted once.
        let edges = outgoing.iter().chain(&incoming).filter_map(|edge| self.delete_edge(edge)).collect();
        Ok(Some(DeletedNode { _node: node, edges }))
    }

    /// Deletes an edge, and returns it so that the caller frees it without the lock.
    pub fn delete_edge(&mut self, id: &str) -> Option<Arc<Edge>> {
        let edge = self.edges.remove(id)?;
        if let Some(from) = self.nodes.get_mut(edge.from_node_id.as_str()) {
            from.outgoing.remove(id);
        }
        if let Some(to) = self.nodes.get_mut(edge.to_node_id.as_str()) {
            to.incoming.remove(id);
        }
        self.shared.release(edge_bytes(&edge));
        Some(edge)
    }

    /// The edges of a node behind an edge, in the order of their ids. An edge from the node to itself comes once.
    pub fn edges_of(&self, node: &str, direction: EdgeDirection, after: Option<&str>) -> impl Iterator<Item = &Arc<Edge>> {
        let stored = self.nodes.get(node);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = |wanted: bool, ids: fn(&StoredNode) -> &BTreeSet<Arc<str>>| {
            stored.filter(|_| wanted).into_iter().flat_map(move |stored| ids(stored).range::<str, _>((from, Bound::Unbounded)))
        };
        let outgoing = ids(direction != EdgeDirection::In, |stored| &stored.outgoing).peekable();
        let incoming = ids(direction != EdgeDirection::Out, |stored| &stored.incoming).peekable();
        Merged { one: outgoing, other: incoming }.filter_map(|id| self.edges.get(id))
    }
}

/// Two sorted iterators as one. What is in both comes once.
struct Merged<'a, A: Iterator<Item = &'a Arc<str>>, B: Iterator<Item = &'a Arc<str>>> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<'a, A: Iterator<Item = &'a Arc<str>>, B: Iterator<Item = &'a Arc<str>>> Iterator for Merged<'a, A, B> {
    type Item = &'a Arc<str>;

    fn next(&mut self) -> Option<&'a Arc<str>> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if one == other => {
                self.other.next();
                self.one.next()
            }
            (Some(one), Some(other)) if one > other => self.other.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}

/// Reserves the bytes of what replaces something else.
fn exchange(shared: &SharedState, needed: u64, freed: u64) -> Result<(), Error> {
    if needed > freed {
        return shared.reserve(needed - freed);
    }
    shared.release(freed - needed);
    Ok(())
}

/// Bytes that a node counts towards `max_bytes`.
fn node_bytes(node: &Node) -> u64 {
    let labels: usize = node.labels.iter().map(|label| label.len() + 32).sum();
    (2 * node.id.len() + labels) as u64 + property_bytes(node.properties.as_ref()) + OVERHEAD
}

/// Bytes that an edge counts towards `max_bytes`, with its places at both nodes.
fn edge_bytes(edge: &Edge) -> u64 {
    let names = 2 * edge.id.len() + edge.label.len() + edge.from_node_id.len() + edge.to_node_id.len();
    names as u64 + property_bytes(edge.properties.as_ref()) + 2 * OVERHEAD
}

fn property_bytes(properties: Option<&Struct>) -> u64 {
    properties.map_or(0, object_bytes)
}

impl Drop for Store {
    fn drop(&mut self) {
        let nodes: u64 = self.nodes().map(|node| node_bytes(node)).sum();
        let edges: u64 = self.edges().map(|edge| edge_bytes(edge)).sum();
        self.shared.release(nodes + edges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MemorySettings;
    use prism_call::proto::models::graph::v1::{AddEdgeRequest, AddNodeRequest, ExistingPolicy};
    use prost_types::{Value, value::Kind};

    /// Properties with one text; none if it is empty.
    #[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
    fn properties(text: &str) -> Option<Struct> {
        let value = Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let fields = if text.is_empty() { [].into() } else { [("name".to_owned(), value)].into() };
        Some(Struct { fields })
    }

    fn node(id: &str, text: &str) -> NewNode {
        let node = Node { id: id.to_owned(), labels: vec!["L".to_owned()], properties: properties(text) };
        NewNode::new(AddNodeRequest { node: Some(node), existing_policy: ExistingPolicy::Replace.into() }).unwrap()
    }

    fn edge(id: &str, from: &str, to: &str, text: &str) -> NewEdge {
        let (from_node_id, to_node_id) = (from.to_owned(), to.to_owned());
        let edge = Edge { id: id.to_owned(), label: "L".to_owned(), from_node_id, to_node_id, properties: properties(text) };
        NewEdge::new(AddEdgeRequest { edge: Some(edge), existing_policy: ExistingPolicy::Replace.into() }).unwrap()
    }

    #[test]
    fn all_bytes_are_free_again() {
        let shared = Arc::new(SharedState::new(MemorySettings::default()));
        let mut store = Store::new(shared.clone());
        for (id, text) in [("a", "x"), ("b", ""), ("a", &"x".repeat(1000)), ("a", "")] {
            store.add_node(node(id, text)).unwrap();
        }
        for (id, from, to) in [("1", "a", "a"), ("2", "a", "b"), ("3", "b", "a"), ("4", "b", "b")] {
            store.add_edge(edge(id, from, to, "x")).unwrap();
            store.add_edge(edge(id, from, to, &"x".repeat(1000))).unwrap();
        }
        let used = shared.used_bytes();
        assert!(store.add_edge(edge("5", "a", "c", "")).is_err() && shared.used_bytes() == used);
        assert_eq!(store.delete_node("a", true).unwrap().unwrap().edges(), 3);
        assert!(store.delete_node("b", false).is_err());
        assert!(store.delete_edge("4").is_some());
        assert_eq!(store.delete_node("b", false).unwrap().unwrap().edges(), 0);
        assert_eq!(shared.used_bytes(), 0);
        store.add_node(node("a", "x")).unwrap();
        store.add_edge(edge("1", "a", "a", "")).unwrap();
        drop(store);
        assert_eq!(shared.used_bytes(), 0);
    }
}
