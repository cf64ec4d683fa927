//! `graph_traversal`: each read of a walk is that of a neighbourhood.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use rusqlite::Connection;

use super::{Graph, rows};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle, scan::scan};
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        GraphTraversal, TraverseBreadthFirstRequest, TraverseBreadthFirstResponse, TraverseDepthFirstRequest, TraverseDepthFirstResponse,
        Visit,
    },
};
use prism_driver::graph::walk::{Link, LinkPage, PAGE_LINKS, Step, StepContent, Walk, WalkOrder, WalkSource, stream_walk};

/// Edges that are looked at for one page of links.
const PAGE_EDGES: usize = 1000;
/// Steps are read until they have this many bytes of properties.
const CONTENT_BYTES: usize = 1 << 20;

/// Reads the graph of a keyspace for a walk.
struct Source {
    keyspace: Arc<KeyspaceHandle>,
}

/// Whether a node exists and is in the subgraph of a walk.
fn is_present(connection: &Connection, keyspace: i64, walk: &Walk, node: &str) -> DatabaseResult<bool> {
    Ok(rows::labels(connection, keyspace, node)?.is_some_and(|labels| walk.subgraph.has_node(&labels)))
}

/// Reads a page of links of a node behind an edge.
fn read_links(connection: &Connection, keyspace: i64, walk: &Walk, node: &str, after: Option<&str>) -> DatabaseResult<LinkPage> {
    let mut page = LinkPage::default();
    let mut visited = 0;
    rows::visit_edges(connection, keyspace, node, walk.direction, after, |found| {
        visited += 1;
        // An edge has both its nodes, so only their labels must be read.
        let is_within = walk.subgraph.has_edge(&found.label)
            && (walk.subgraph.node_labels.is_empty() || is_present(connection, keyspace, walk, &found.end)?);
        let is_last = visited == PAGE_EDGES || page.links.len() + usize::from(is_within) == PAGE_LINKS;
        page.next = is_last.then(|| found.id.clone());
        if is_within {
            page.links.push(Link { edge: found.id, node: found.end });
        }
        Ok(!is_last)
    })?;
    Ok(page)
}

/// Reads the first pages of nodes, and then of those that they lead to, until there are `most` pages.
fn read_neighbourhood(
    connection: &Connection,
    keyspace: i64,
    walk: &Walk,
    nodes: Vec<String>,
    most: usize,
) -> DatabaseResult<Vec<(String, LinkPage)>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut seen: HashSet<String> = nodes.iter().cloned().collect();
    let mut queue: VecDeque<String> = nodes.into();
    let mut pages = Vec::new();
    while let Some(node) = queue.pop_front() {
        let page = read_links(&snapshot, keyspace, walk, &node, None)?;
        for link in &page.links {
            if pages.len() + queue.len() + 1 < most && seen.insert(link.node.clone()) {
                queue.push_back(link.node.clone());
            }
        }
        pages.push((node, page));
    }
    Ok(pages)
}

/// Reads the content of steps, until they have enough bytes.
fn read_content(connection: &Connection, keyspace: i64, steps: &[Step]) -> DatabaseResult<Vec<StepContent>> {
    let snapshot = connection.unchecked_transaction()?;
    let (mut contents, mut bytes) = (Vec::with_capacity(steps.len()), 0);
    for step in steps {
        let node = rows::node(&snapshot, keyspace, &step.node)?;
        let edge = step.edge.as_ref().map(|edge| rows::edge(&snapshot, keyspace, edge)).transpose()?;
        bytes += node.as_ref().map_or(0, |(_, size)| *size) + edge.iter().flatten().map(|(_, size)| *size).sum::<usize>();
        contents.push(match (node, edge) {
            (Some((node, _)), None) => Some((node, None)),
            (Some((node, _)), Some(Some((edge, _)))) => Some((node, Some(edge))),
            _ => None,
        });
        if bytes >= CONTENT_BYTES {
            break;
        }
    }
    Ok(contents)
}

#[async_trait]
impl WalkSource for Source {
    async fn starts(&self, walk: &Walk) -> Result<Vec<String>, Error> {
        let walk = walk.clone();
        let read = scan(&self.keyspace, move |connection, keyspace| {
            let mut starts = Vec::new();
            for id in &walk.starts {
                if is_present(connection, keyspace, &walk, id)? {
                    starts.push(id.clone());
                }
            }
            Ok(starts)
        });
        read.await
    }

    async fn first_links(&self, walk: &Walk, nodes: Vec<String>, most: usize) -> Result<Vec<(String, LinkPage)>, Error> {
        let walk = walk.clone();
        scan(&self.keyspace, move |connection, keyspace| read_neighbourhood(connection, keyspace, &walk, nodes, most)).await
    }

    async fn next_links(&self, walk: &Walk, node: &str, after: String) -> Result<LinkPage, Error> {
        let (walk, node) = (walk.clone(), node.to_owned());
        scan(&self.keyspace, move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            read_links(&snapshot, keyspace, &walk, &node, Some(&after))
        })
        .await
    }

    async fn content(&self, steps: &[Step]) -> Result<Vec<StepContent>, Error> {
        let steps = steps.to_vec();
        scan(&self.keyspace, move |connection, keyspace| read_content(connection, keyspace, &steps)).await
    }
}

impl Graph {
    fn walk(&self, walk: Walk, order: WalkOrder) -> Messages<Visit> {
        stream_walk(Source { keyspace: self.keyspace.clone() }, walk, order)
    }
}

#[async_trait]
impl GraphTraversal for Graph {
    async fn traverse_depth_first(
        &self,
        _: &Context,
        request: TraverseDepthFirstRequest,
    ) -> Result<Messages<TraverseDepthFirstResponse>, Error> {
        let visits = self.walk(Walk::new(request.traversal)?, WalkOrder::DepthFirst);
        Ok(visits.map_ok(|visit| TraverseDepthFirstResponse { visit: Some(visit) }).boxed())
    }

    async fn traverse_breadth_first(
        &self,
        _: &Context,
        request: TraverseBreadthFirstRequest,
    ) -> Result<Messages<TraverseBreadthFirstResponse>, Error> {
        let visits = self.walk(Walk::new(request.traversal)?, WalkOrder::BreadthFirst);
        Ok(visits.map_ok(|visit| TraverseBreadthFirstResponse { visit: Some(visit) }).boxed())
    }
}
