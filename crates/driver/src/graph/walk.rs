//! Walks through a graph. The order of a walk is decided here; a driver reads pages of edges, and the nodes and edges that are sent.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    vec,
};

use async_trait::async_trait;
use futures::stream;

use super::{EdgeDirection, SubgraphFilter, distinct};
use crate::check;
use prism_call::{
    Code, Error, Messages,
    proto::models::graph::v1::{Edge, Node, Traversal, Visit},
};

/// Most start nodes of a walk.
const MAX_STARTS: u32 = 100;
/// Greatest distance of a walk.
const MAX_DEPTH: u32 = 1000;
const DEFAULT_DEPTH: u32 = 10;
/// Most nodes that a walk comes to, and most edges that it looks at in vain in a driver that reads them from a server.
pub const MAX_VISITED: usize = 250_000;
/// Most links of a page.
pub const PAGE_LINKS: usize = 64;
/// Most pages that are read at once.
const MAX_PAGES: usize = 64;
/// Most nodes whose first pages are asked for at once.
const MAX_SEEDS: usize = 32;
/// Pages that were read in advance, and their links. Beyond this number, the walk forgets them, and reads them again when it needs them.
const MAX_AHEAD: usize = 2 * MAX_PAGES * PAGE_LINKS;
/// Most nodes that are read at once to be sent, and the number at the beginning of a walk.
const MAX_STEPS: usize = 64;
const FIRST_STEPS: usize = 8;

/// A checked walk.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The start nodes, each once.
    pub starts: Vec<String>,
    /// In which direction edges are followed.
    pub direction: EdgeDirection,
    /// The part of the graph that the walk stays in.
    pub subgraph: SubgraphFilter,
    max_depth: u32,
    limit: usize,
}

impl Walk {
    /// Checks the field `traversal` of a request.
    pub fn new(traversal: Option<Traversal>) -> Result<Self, Error> {
        let traversal = traversal.ok_or_else(|| Error::invalid("traversal", "must be set"))?;
        let direction = traversal.direction().into();
        check::count("traversal.start_node_ids", traversal.start_node_ids.len(), MAX_STARTS)?;
        let max_depth = traversal.max_depth.unwrap_or(DEFAULT_DEPTH);
        if max_depth > MAX_DEPTH {
            return Err(Error::invalid("traversal.max_depth", format!("is {max_depth}; at most {MAX_DEPTH} is allowed")));
        }
        Ok(Self {
            starts: distinct(traversal.start_node_ids),
            direction,
            subgraph: SubgraphFilter::new("traversal.subgraph", traversal.subgraph)?,
            max_depth,
            limit: check::limit_or_all(traversal.limit),
        })
    }
}

/// An edge that a walk may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The id of the edge.
    pub edge: String,
    /// The node to which it leads.
    pub node: String,
}

/// Some links of a node, in the order of their edges.
#[derive(Clone, Debug, Default)]
pub struct LinkPage {
    /// The links.
    pub links: Vec<Link>,
    /// The edge behind which the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl LinkPage {
    /// What the page counts towards [`MAX_AHEAD`]. A page without links takes memory, too.
    fn size(&self) -> usize {
        1 + self.links.len()
    }
}

/// A node that a walk comes to, and the edge that leads there.
#[derive(Clone, Debug)]
pub struct Step {
    /// The id of the node.
    pub node: Arc<str>,
    /// The id of the edge; `None` for a start node.
    pub edge: Option<String>,
    depth: u32,
}

/// What is sent of a step; `None` if its node or its edge does not exist any longer.
pub type StepContent = Option<(Node, Option<Edge>)>;

/// Reads the graph for walks.
#[async_trait]
pub trait WalkSource: Send + Sync + 'static {
    /// Returns those start nodes of a walk that exist and are in its subgraph, in their order.
    async fn starts(&self, walk: &Walk) -> Result<Vec<String>, Error>;

    /// Reads first pages of links within the subgraph of a walk: those of the given nodes, and maybe of further nodes that they lead to. Returns at
    /// most `most` pages with their nodes.
    async fn first_links(&self, walk: &Walk, nodes: Vec<String>, most: usize) -> Result<Vec<(String, LinkPage)>, Error>;

    /// Reads the next page of links of a node, behind an edge. The page may be empty without being the last one.
    async fn next_links(&self, walk: &Walk, node: &str, after: String) -> Result<LinkPage, Error>;

    /// Reads the content of steps: of all, or only of the first ones if they are large.
    async fn content(&self, steps: &[Step]) -> Result<Vec<StepContent>, Error>;
}

/// A node whose edges are followed.
struct OpenNode {
    node: Arc<str>,
    depth: u32,
    /// The links of the page that was read last.
    links: vec::IntoIter<Link>,
    rest: Rest,
}

/// What follows after a page of links.
enum Rest {
    /// No page was read.
    Unread,
    /// More links behind this edge.
    After(String),
    End,
}

/// In which order a walk comes to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkOrder {
    /// One branch to its end before the next one.
    DepthFirst,
    /// All nodes at one distance before those at the next.
    BreadthFirst,
}

/// The state of a walk.
struct Walker<S> {
    source: S,
    walk: Walk,
    order: WalkOrder,
    /// Start nodes that the walk has not looked at; `None` until they are read.
    starts: Option<VecDeque<String>>,
    /// The nodes that the walk has come to.
    visited: HashSet<Arc<str>>,
    /// Depth first, the last one goes on; breadth first, the first one.
    open: VecDeque<OpenNode>,
    /// First pages that were read in advance.
    ahead: HashMap<String, LinkPage>,
    /// The number of these pages and of their links.
    ahead_size: usize,
    /// What comes next.
    steps: VecDeque<Step>,
    ready: VecDeque<Visit>,
    /// The error after what comes next.
    error: Option<Error>,
    /// Steps that are read at once.
    batch: usize,
    /// Nodes until the limit of the request.
    remaining: usize,
}

/// Streams the nodes of a walk.
pub fn stream_walk<S: WalkSource>(source: S, walk: Walk, order: WalkOrder) -> Messages<Visit> {
    Box::pin(stream::try_unfold(Walker::new(source, walk, order), Walker::next))
}

impl<S: WalkSource> Walker<S> {
    fn new(source: S, walk: Walk, order: WalkOrder) -> Self {
        Self {
            source,
            order,
            starts: None,
            visited: HashSet::new(),
            open: VecDeque::new(),
            ahead: HashMap::new(),
            ahead_size: 0,
            steps: VecDeque::new(),
            ready: VecDeque::new(),
            error: None,
            batch: FIRST_STEPS,
            remaining: walk.limit,
            walk,
        }
    }

    /// Returns the next node, and the walker for those after it.
    async fn next(mut self) -> Result<Option<(Visit, Self)>, Error> {
        loop {
            if let Some(visit) = self.ready.pop_front() {
                return Ok(Some((visit, self)));
            }
            if self.steps.is_empty() {
                if let Some(error) = self.error.take() {
                    return Err(error);
                }
                self.plan().await;
                if self.steps.is_empty() && self.error.is_none() {
                    return Ok(None);
                }
            } else {
                self.read_steps().await?;
            }
        }
    }

    /// Finds the next steps. What was found before an error is sent before the error.
    async fn plan(&mut self) {
        let most = self.batch.min(self.remaining);
        self.batch = (2 * self.batch).min(MAX_STEPS);
        while self.steps.len() < most {
            match self.find().await {
                Ok(Some(step)) => self.steps.push_back(step),
                Ok(None) => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
    }

    /// Reads what is sent of the next steps.
    async fn read_steps(&mut self) -> Result<(), Error> {
        let contents = self.source.content(self.steps.make_contiguous()).await?;
        if contents.is_empty() {
            return Err(Error::internal("the driver has read no step of a walk"));
        }
        let read = self.steps.drain(..contents.len().min(self.steps.len()));
        for (step, content) in read.zip(contents) {
            if let Some((node, edge)) = content {
                self.ready.push_back(Visit { node: Some(node), edge, depth: step.depth });
                self.remaining -= 1;
            } else {
                // It was deleted meanwhile. Another edge may still lead to the node.
                self.visited.remove(&step.node);
            }
        }
        Ok(())
    }

    /// Follows edges until the walk comes to a new node; `None` at its end.
    async fn find(&mut self) -> Result<Option<Step>, Error> {
        loop {
            tokio::task::consume_budget().await;
            // Breadth first, all start nodes come before their neighbours; depth first, one after the other.
            if (self.open.is_empty() || self.order == WalkOrder::BreadthFirst)
                && let Some(start) = self.next_start().await?
            {
                if let Some(node) = self.enter(&start, 0)? {
                    return Ok(Some(Step { node, edge: None, depth: 0 }));
                }
                continue;
            }
            let at = if self.order == WalkOrder::DepthFirst { self.open.len().saturating_sub(1) } else { 0 };
            let Some(open) = self.open.get_mut(at) else { return Ok(None) };
            if let Some(link) = open.links.next() {
                let depth = open.depth + 1;
                if let Some(node) = self.enter(&link.node, depth)? {
                    return Ok(Some(Step { node, edge: Some(link.edge), depth }));
                }
                continue;
            }
            let page = match std::mem::replace(&mut open.rest, Rest::End) {
                Rest::End => {
                    self.open.remove(at);
                    continue;
                }
                Rest::After(edge) => {
                    let node = open.node.clone();
                    self.source.next_links(&self.walk, &node, edge).await?
                }
                Rest::Unread => self.first_page(at).await?,
            };
            let visited = &self.visited;
            let links: Vec<Link> = page.links.into_iter().filter(|link| !visited.contains(link.node.as_str())).collect();
            let open = &mut self.open[at];
            open.links = links.into_iter();
            open.rest = page.next.map_or(Rest::End, Rest::After);
        }
    }

    async fn next_start(&mut self) -> Result<Option<String>, Error> {
        if self.starts.is_none() {
            self.starts = Some(self.source.starts(&self.walk).await?.into());
        }
        Ok(self.starts.as_mut().and_then(VecDeque::pop_front))
    }

    /// Remembers that the walk comes to a node. Returns `None` if it has been there.
    fn enter(&mut self, node: &str, depth: u32) -> Result<Option<Arc<str>>, Error> {
        if self.visited.contains(node) {
            return Ok(None);
        }
        if self.visited.len() >= MAX_VISITED {
            return Err(traversal_too_large());
        }
        let node: Arc<str> = node.into();
        self.visited.insert(node.clone());
        if depth < self.walk.max_depth {
            self.open.push_back(OpenNode { node: node.clone(), depth, links: Vec::new().into_iter(), rest: Rest::Unread });
        }
        Ok(Some(node))
    }

    /// The first page of links of an open node. Breadth first, those of the next ones are read with it.
    async fn first_page(&mut self, at: usize) -> Result<LinkPage, Error> {
        let node = self.open[at].node.clone();
        if let Some(page) = self.take_ahead(&node) {
            return Ok(page);
        }
        if self.ahead_size > MAX_AHEAD {
            self.ahead.clear();
            self.ahead_size = 0;
        }
        let (mut seeds, mut most) = (vec![node.to_string()], 1);
        // With a small limit, few nodes are needed. At the greatest depth, there are none after the seeds.
        let wanted = self.remaining.saturating_sub(self.steps.len()).min(MAX_PAGES);
        if self.order == WalkOrder::BreadthFirst {
            let next = self.open.iter().skip(at + 1).filter(|open| !self.ahead.contains_key(&*open.node));
            seeds.extend(next.take(wanted.clamp(1, MAX_SEEDS) - 1).map(|open| open.node.to_string()));
        }
        if self.open[at].depth + 1 < self.walk.max_depth {
            most = wanted;
        }
        let most = most.max(seeds.len());
        for (node, page) in self.source.first_links(&self.walk, seeds.clone(), most).await? {
            // The walk has no use for pages of nodes that it has been to.
            if self.visited.contains(node.as_str()) && !seeds.contains(&node) {
                continue;
            }
            self.ahead_size += page.size();
            if let Some(before) = self.ahead.insert(node, page) {
                self.ahead_size -= before.size();
            }
        }
        self.take_ahead(&node).ok_or_else(|| Error::internal("the driver has not read the edges of a node"))
    }

    fn take_ahead(&mut self, node: &str) -> Option<LinkPage> {
        let page = self.ahead.remove(node)?;
        self.ahead_size -= page.size();
        Some(page)
    }
}

/// `RESOURCE_EXHAUSTED TRAVERSAL_TOO_LARGE`
fn traversal_too_large() -> Error {
    let message = format!("the walk came to more than {MAX_VISITED} nodes; set limit, max_depth or labels");
    Error::new(Code::ResourceExhausted, "TRAVERSAL_TOO_LARGE", message).with("limit", MAX_VISITED.to_string())
}

/// `RESOURCE_EXHAUSTED TRAVERSAL_TOO_LARGE`, for a walk that looks at too many edges outside of its subgraph. The last of them are at this node.
pub fn too_many_filtered(node: &str) -> Error {
    let message = format!(
        "the walk looked at more than {MAX_VISITED} edges that its labels leave out, the last ones at the node {node:?}; leave out the labels, or start behind that node"
    );
    Error::new(Code::ResourceExhausted, "TRAVERSAL_TOO_LARGE", message).with("limit", MAX_VISITED.to_string()).with("node_id", node)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, TryStreamExt as _};

    use super::*;

    /// An endless tree: the node `n` leads to `2n` and `2n + 1`, with two links on a page. Some nodes are deleted before they are sent.
    struct Tree {
        deleted: &'static [&'static str],
    }

    impl Tree {
        fn page(node: &str) -> LinkPage {
            let number: u64 = node.parse().unwrap();
            let link = |child: u64| Link { edge: format!("to {child}"), node: child.to_string() };
            LinkPage { links: vec![link(2 * number)], next: Some(format!("to {}", 2 * number)) }
        }
    }

    #[async_trait]
    impl WalkSource for Tree {
        async fn starts(&self, walk: &Walk) -> Result<Vec<String>, Error> {
            Ok(walk.starts.clone())
        }

        async fn first_links(&self, _: &Walk, nodes: Vec<String>, most: usize) -> Result<Vec<(String, LinkPage)>, Error> {
            assert!(nodes.len() <= most && most <= MAX_PAGES);
            let further = nodes.iter().flat_map(|node| Self::page(node).links).map(|link| link.node);
            let nodes: HashSet<String> = nodes.iter().cloned().chain(further.take(most - nodes.len())).collect();
            Ok(nodes.into_iter().map(|node| (node.clone(), Self::page(&node))).collect())
        }

        async fn next_links(&self, _: &Walk, node: &str, after: String) -> Result<LinkPage, Error> {
            let number: u64 = node.parse().unwrap();
            let child = 2 * number + 1;
            assert_eq!(after, format!("to {}", 2 * number));
            Ok(LinkPage { links: vec![Link { edge: format!("to {child}"), node: child.to_string() }], next: None })
        }

        async fn content(&self, steps: &[Step]) -> Result<Vec<StepContent>, Error> {
            let content = |step: &Step| {
                let edge = step.edge.clone().map(|id| Edge { id, ..Edge::default() });
                (!self.deleted.contains(&&*step.node)).then(|| (Node { id: step.node.to_string(), ..Node::default() }, edge))
            };
            Ok(steps.iter().take(3).map(content).collect())
        }
    }

    fn walk(starts: &[&str], max_depth: u32, limit: u32) -> Walk {
        let start_node_ids = starts.iter().map(|id| (*id).to_owned()).collect();
        Walk::new(Some(Traversal { start_node_ids, max_depth: Some(max_depth), limit, ..Traversal::default() })).unwrap()
    }

    async fn nodes(tree: Tree, walk: Walk, order: WalkOrder) -> String {
        let visits: Vec<Visit> = stream_walk(tree, walk, order).try_collect().await.unwrap();
        let texts: Vec<String> = visits.into_iter().map(|visit| format!("{}/{}", visit.node.unwrap().id, visit.depth)).collect();
        texts.join(" ")
    }

    #[tokio::test]
    async fn walks_in_both_orders() {
        let tree = || Tree { deleted: &[] };
        assert_eq!(nodes(tree(), walk(&["1"], 2, 0), WalkOrder::DepthFirst).await, "1/0 2/1 4/2 5/2 3/1 6/2 7/2");
        assert_eq!(nodes(tree(), walk(&["1"], 2, 0), WalkOrder::BreadthFirst).await, "1/0 2/1 3/1 4/2 5/2 6/2 7/2");
        assert_eq!(nodes(tree(), walk(&["2", "1", "2"], 1, 0), WalkOrder::DepthFirst).await, "2/0 4/1 5/1 1/0 3/1");
        assert_eq!(nodes(tree(), walk(&["2", "1"], 1, 0), WalkOrder::BreadthFirst).await, "2/0 1/0 4/1 5/1 3/1");
        assert_eq!(nodes(tree(), walk(&["1"], 1000, 3), WalkOrder::DepthFirst).await, "1/0 2/1 4/2");
    }

    #[tokio::test]
    async fn nodes_that_are_deleted_meanwhile_do_not_count() {
        let tree = || Tree { deleted: &["2", "5"] };
        assert_eq!(nodes(tree(), walk(&["1"], 2, 0), WalkOrder::BreadthFirst).await, "1/0 3/1 4/2 6/2 7/2");
        assert_eq!(nodes(tree(), walk(&["1"], 1000, 4), WalkOrder::BreadthFirst).await, "1/0 3/1 4/2 6/2");
    }

    #[tokio::test]
    async fn a_walk_that_is_too_large_ends_with_an_error_after_what_is_right() {
        let mut visits = stream_walk(Tree { deleted: &[] }, walk(&["1"], 1000, 0), WalkOrder::BreadthFirst);
        for number in 1..=MAX_VISITED {
            assert_eq!(visits.next().await.unwrap().unwrap().node.unwrap().id, number.to_string());
        }
        assert_eq!(visits.next().await.unwrap().unwrap_err().reason(), "TRAVERSAL_TOO_LARGE");
    }
}
