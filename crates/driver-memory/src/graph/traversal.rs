//! `graph_traversal`

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;

use super::{Graph, store::Store};
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        GraphTraversal, TraverseBreadthFirstRequest, TraverseBreadthFirstResponse, TraverseDepthFirstRequest, TraverseDepthFirstResponse,
    },
};
use prism_driver::graph::walk::{Link, LinkPage, PAGE_LINKS, Step, StepContent, Walk, WalkOrder, WalkSource, stream_walk};

/// Edges that are looked at while the lock is held once.
const EDGES_PER_LOCK: usize = 1000;
/// Steps are read until they have this many bytes.
const CONTENT_BYTES: usize = 1 << 20;

/// Whether a node exists and is in the subgraph of a walk.
fn is_present(store: &Store, walk: &Walk, node: &str) -> bool {
    store.node(node).is_some_and(|node| walk.subgraph.has_node(&node.labels))
}

/// Reads the links of a node behind an edge.
fn read_links(store: &Store, walk: &Walk, node: &str, after: Option<&str>) -> LinkPage {
    let mut page = LinkPage::default();
    for (number, edge) in store.edges_of(node, walk.direction, after).enumerate() {
        let end = walk.direction.other_end(edge, node);
        if walk.subgraph.has_edge(&edge.label) && is_present(store, walk, end) {
            page.links.push(Link { edge: edge.id.clone(), node: end.to_owned() });
        }
        if page.links.len() == PAGE_LINKS || number + 1 == EDGES_PER_LOCK {
            page.next = Some(edge.id.clone());
            break;
        }
    }
    page
}

#[async_trait]
impl WalkSource for Graph {
    async fn starts(&self, walk: &Walk) -> Result<Vec<String>, Error> {
        let store = self.read()?;
        Ok(walk.starts.iter().filter(|id| is_present(&store, walk, id)).cloned().collect())
    }

    async fn first_links(&self, walk: &Walk, nodes: Vec<String>, _: usize) -> Result<Vec<(String, LinkPage)>, Error> {
        let read = |node: String| {
            let store = self.read()?;
            let page = read_links(&store, walk, &node, None);
            Ok((node, page))
        };
        nodes.into_iter().map(read).collect()
    }

    async fn next_links(&self, walk: &Walk, node: &str, after: String) -> Result<LinkPage, Error> {
        Ok(read_links(&*self.read()?, walk, node, Some(&after)))
    }

    async fn content(&self, steps: &[Step]) -> Result<Vec<StepContent>, Error> {
        let store = self.read()?;
        let mut bytes = 0;
        let mut found = Vec::with_capacity(steps.len());
        for step in steps {
            let node = store.node(&step.node).cloned();
            let edge = step.edge.as_ref().map(|edge| store.edge(edge).cloned());
            bytes += node.as_ref().map_or(0, |node| node.encoded_len())
                + edge.as_ref().and_then(Option::as_ref).map_or(0, |edge| edge.encoded_len());
            found.push(match edge {
                Some(edge) => node.zip(edge).map(|(node, edge)| (node, Some(edge))),
                None => node.map(|node| (node, None)),
            });
            if bytes >= CONTENT_BYTES {
                break;
            }
        }
        drop(store);
        Ok(found.into_iter().map(|found| found.map(|(node, edge)| ((*node).clone(), edge.map(|edge| (*edge).clone())))).collect())
    }
}

#[async_trait]
impl GraphTraversal for Graph {
    async fn traverse_depth_first(
        &self,
        _: &Context,
        request: TraverseDepthFirstRequest,
    ) -> Result<Messages<TraverseDepthFirstResponse>, Error> {
        let visits = stream_walk(self.clone(), Walk::new(request.traversal)?, WalkOrder::DepthFirst);
        Ok(visits.map_ok(|visit| TraverseDepthFirstResponse { visit: Some(visit) }).boxed())
    }

    async fn traverse_breadth_first(
        &self,
        _: &Context,
        request: TraverseBreadthFirstRequest,
    ) -> Result<Messages<TraverseBreadthFirstResponse>, Error> {
        let visits = stream_walk(self.clone(), Walk::new(request.traversal)?, WalkOrder::BreadthFirst);
        Ok(visits.map_ok(|visit| TraverseBreadthFirstResponse { visit: Some(visit) }).boxed())
    }
}
