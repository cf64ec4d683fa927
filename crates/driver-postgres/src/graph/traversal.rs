//! `graph_traversal`: a recursive query reads the neighbourhood of the nodes that a walk comes to next.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_postgres::{Row, types::Type};

use super::{
    Graph,
    rows::{optional_slices, read_edge, read_node, read_text, slices},
    scan::{SCANNED_EDGES, scan_ends},
};
use crate::{error, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{
    Context, Error, Messages,
    proto::models::graph::v1::{
        GraphTraversal, TraverseBreadthFirstRequest, TraverseBreadthFirstResponse, TraverseDepthFirstRequest, TraverseDepthFirstResponse,
        Visit,
    },
};
use prism_driver::graph::{
    EdgeDirection,
    walk::{Link, LinkPage, MAX_VISITED, PAGE_LINKS, Step, StepContent, Walk, WalkOrder, WalkSource, stream_walk, too_many_filtered},
};

/// Links that are read at once if a node has more than those of its first page.
const NEXT_LINKS: usize = 8 * PAGE_LINKS;

/// Links of a node, in the order of their edges: the edge, and the node at its other end if it is in the subgraph. `$1` is the keyspace, `$2` labels of
/// edges or NULL, `$3` labels of nodes or NULL. Looks at as many edges as `SCANNED_EDGES` says.
macro_rules! links_at {
    ($this:literal, $end:literal, $node:expr, $more:expr, $limit:literal) => {
        concat!(
            "SELECT edge.id AS edge, edge.",
            $end,
            " AS node FROM (
                 SELECT edge.id, edge.label, edge.",
            $end,
            " FROM {schema}.graph_edges AS edge
                 WHERE edge.keyspace = $1 AND edge.",
            $this,
            " = ",
            $node,
            $more,
            " ORDER BY edge.id LIMIT 4096) AS edge
             WHERE ($2::bytea[] IS NULL OR edge.label = ANY ($2))
                 AND ($3::bytea[] IS NULL OR EXISTS (
                     SELECT 1 FROM {schema}.graph_nodes AS node
                     WHERE node.keyspace = $1 AND node.id = edge.",
            $end,
            " AND node.labels && $3))
             ORDER BY edge.id LIMIT ",
            $limit
        )
    };
}

macro_rules! outgoing {
    ($node:literal, $more:literal, $limit:literal) => {
        links_at!("from_node", "to_node", $node, $more, $limit)
    };
}

macro_rules! incoming {
    ($node:literal, $more:literal, $limit:literal) => {
        links_at!("to_node", "from_node", $node, $more, $limit)
    };
}

macro_rules! both {
    ($node:literal, $more:literal, $limit:literal) => {
        concat!(
            "SELECT edge, node FROM ((",
            links_at!("from_node", "to_node", $node, $more, $limit),
            ") UNION ALL (",
            links_at!("to_node", "from_node", $node, concat!(" AND edge.from_node <> ", $node, $more), $limit),
            ")) AS both_ends ORDER BY edge LIMIT ",
            $limit
        )
    };
}

/// The first pages of links of some nodes (`$4`), and of nodes that they lead to, as long as there are at most `$5` pages. Nodes come in the order in which they
/// are found, and PostgreSQL computes no more of them than are read. A page has at most `$6` links.
macro_rules! first_links {
    ($links:ident) => {
        Sql {
            text: concat!(
                "WITH RECURSIVE reached (id) AS (
                     SELECT given.id FROM unnest($4::bytea[]) AS given (id)
                 UNION
                     SELECT link.node FROM reached CROSS JOIN LATERAL (",
                $links!("reached.id", "", "$6"),
                ") AS link)
                 SELECT page.id, link.edge, link.node FROM (SELECT id FROM reached LIMIT $5) AS page LEFT JOIN LATERAL (",
                $links!("page.id", "", "$6"),
                ") AS link ON true"
            ),
            types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::INT8, Type::INT8],
        }
    };
}

/// The links of a node (`$4`) behind an edge (`$5`), at most `$6`.
macro_rules! next_links {
    ($links:ident) => {
        Sql {
            text: $links!("$4", " AND edge.id > $5", "$6"),
            types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA, Type::BYTEA, Type::INT8],
        }
    };
}

static FIRST_OUT: Sql = first_links!(outgoing);
static FIRST_IN: Sql = first_links!(incoming);
static FIRST_BOTH: Sql = first_links!(both);
static NEXT_OUT: Sql = next_links!(outgoing);
static NEXT_IN: Sql = next_links!(incoming);
static NEXT_BOTH: Sql = next_links!(both);

static STARTS: Sql = Sql {
    text: "SELECT given.id FROM unnest($2::bytea[]) WITH ORDINALITY AS given (id, number)
           JOIN {schema}.graph_nodes AS node ON node.keyspace = $1 AND node.id = given.id
           WHERE $3::bytea[] IS NULL OR node.labels && $3 ORDER BY given.number",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
};

/// The nodes and edges of steps, up to 1 MiB or one larger step. What does not exist is NULL.
static CONTENT: Sql = Sql {
    text: "SELECT node.labels, node.properties::text, edge.label, edge.from_node, edge.to_node, edge.properties::text FROM (
               SELECT number, node, edge, sum(size) OVER (ORDER BY number) - size AS before FROM (
                   SELECT step.number, step.node, step.edge, coalesce(node.size, 0)::bigint + coalesce(edge.size, 0) AS size
                   FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS step (node, edge, number)
                   LEFT JOIN {schema}.graph_nodes AS node ON node.keyspace = $1 AND node.id = step.node
                   LEFT JOIN {schema}.graph_edges AS edge ON edge.keyspace = $1 AND edge.id = step.edge) AS steps) AS sized
           LEFT JOIN {schema}.graph_nodes AS node ON node.keyspace = $1 AND node.id = sized.node
           LEFT JOIN {schema}.graph_edges AS edge ON edge.keyspace = $1 AND edge.id = sized.edge
           WHERE sized.before < 1048576 ORDER BY sized.number",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
};

/// Reads the graph of a keyspace for a walk, until the deadline of the call.
struct Source {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    /// Edges that statements looked at in vain.
    filtered: AtomicUsize,
}

impl Source {
    /// Marks pages after which there are more edges, although they have less than `most` links, because a statement does not look at all edges of a node.
    async fn mark_unfinished(&self, walk: &Walk, keyspace: i64, pages: &mut [(String, LinkPage)], after: &str) -> Result<(), Error> {
        if walk.subgraph.is_everything() {
            return Ok(());
        }
        // With both directions, a full page may have links behind the end of one of them.
        let is_open = |page: &LinkPage| page.next.is_none() || walk.direction == EdgeDirection::Both;
        let nodes: Vec<&[u8]> = pages.iter().filter(|(_, page)| is_open(page)).map(|(node, _)| node.as_bytes()).collect();
        let database = &self.keyspace.database;
        let ends = scan_ends(database, &self.context, keyspace, walk.direction, &nodes, after.as_bytes()).await?;
        for (node, page) in pages {
            let Some(end) = ends.get(&*node) else { continue };
            let found = page.links.len();
            page.links.retain(|link| link.edge <= *end);
            if page.links.len() < found || page.next.is_none() {
                page.next = Some(end.clone());
                let vain = SCANNED_EDGES.saturating_sub(page.links.len());
                if self.filtered.fetch_add(vain, Ordering::Relaxed) + vain > MAX_VISITED {
                    return Err(too_many_filtered(node));
                }
            }
        }
        Ok(())
    }
}

fn read_link(row: &Row, first: usize) -> Result<Option<Link>, Error> {
    let edge: Option<&[u8]> = row.get(first);
    let Some(edge) = edge else { return Ok(None) };
    Ok(Some(Link { edge: read_text(edge)?, node: read_text(row.get(first + 1))? }))
}

/// A page of the links that were found. More than `most` - 1 of them mean that there may be more.
fn page(mut links: Vec<Link>, most: usize) -> LinkPage {
    links.sort_unstable_by(|one, other| one.edge.cmp(&other.edge));
    let next = links.last().filter(|_| links.len() >= most).map(|link| link.edge.clone());
    LinkPage { links, next }
}

#[async_trait]
impl WalkSource for Source {
    async fn starts(&self, walk: &Walk) -> Result<Vec<String>, Error> {
        let keyspace = self.keyspace.id(&self.context).await?;
        let labels = optional_slices(&walk.subgraph.node_labels);
        let rows = self.keyspace.database.query(&self.context, &STARTS, &[&keyspace, &slices(&walk.starts), &labels]).await?;
        rows.iter().map(|row| read_text(row.get(0))).collect()
    }

    async fn first_links(&self, walk: &Walk, nodes: Vec<String>, most: usize) -> Result<Vec<(String, LinkPage)>, Error> {
        let keyspace = self.keyspace.id(&self.context).await?;
        let statement = match walk.direction {
            EdgeDirection::Out => &FIRST_OUT,
            EdgeDirection::In => &FIRST_IN,
            EdgeDirection::Both => &FIRST_BOTH,
        };
        let (edge_labels, node_labels) = (optional_slices(&walk.subgraph.edge_labels), optional_slices(&walk.subgraph.node_labels));
        let (most, links) = (i64::try_from(most).unwrap_or(1), i64::try_from(PAGE_LINKS).unwrap_or(1));
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&keyspace, &edge_labels, &node_labels, &slices(&nodes), &most, &links];
        let rows = self.keyspace.database.query(&self.context, statement, &parameters).await?;
        let mut found: HashMap<String, Vec<Link>> = HashMap::new();
        for row in &rows {
            found.entry(read_text(row.get(0))?).or_default().extend(read_link(row, 1)?);
        }
        let mut pages: Vec<_> = found.into_iter().map(|(node, links)| (node, page(links, PAGE_LINKS))).collect();
        self.mark_unfinished(walk, keyspace, &mut pages, "").await?;
        Ok(pages)
    }

    async fn next_links(&self, walk: &Walk, node: &str, after: String) -> Result<LinkPage, Error> {
        let keyspace = self.keyspace.id(&self.context).await?;
        let statement = match walk.direction {
            EdgeDirection::Out => &NEXT_OUT,
            EdgeDirection::In => &NEXT_IN,
            EdgeDirection::Both => &NEXT_BOTH,
        };
        let (edge_labels, node_labels) = (optional_slices(&walk.subgraph.edge_labels), optional_slices(&walk.subgraph.node_labels));
        let most = i64::try_from(NEXT_LINKS).unwrap_or(1);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&keyspace, &edge_labels, &node_labels, &node.as_bytes(), &after.as_bytes(), &most];
        let rows = self.keyspace.database.query(&self.context, statement, &parameters).await?;
        let links = rows.iter().filter_map(|row| read_link(row, 0).transpose()).collect::<Result<_, _>>()?;
        let mut pages = [(node.to_owned(), page(links, NEXT_LINKS))];
        self.mark_unfinished(walk, keyspace, &mut pages, &after).await?;
        let [(_, page)] = pages;
        Ok(page)
    }

    async fn content(&self, steps: &[Step]) -> Result<Vec<StepContent>, Error> {
        let keyspace = self.keyspace.id(&self.context).await?;
        let nodes: Vec<&[u8]> = steps.iter().map(|step| step.node.as_bytes()).collect();
        let edges: Vec<Option<&[u8]>> = steps.iter().map(|step| step.edge.as_ref().map(String::as_bytes)).collect();
        let rows = self.keyspace.database.query(&self.context, &CONTENT, &[&keyspace, &nodes, &edges]).await?;
        if rows.len() > steps.len() {
            return Err(error::unexpected_reply());
        }
        rows.iter().zip(steps).map(|(row, step)| read_content(row, step)).collect()
    }
}

fn read_content(row: &Row, step: &Step) -> Result<StepContent, Error> {
    if row.get::<_, Option<&str>>(1).is_none() {
        return Ok(None);
    }
    let node = read_node(row, 0, step.node.to_string())?;
    match &step.edge {
        None => Ok(Some((node, None))),
        Some(_) if row.get::<_, Option<&str>>(5).is_none() => Ok(None),
        Some(edge) => Ok(Some((node, Some(read_edge(row, 2, edge.clone())?)))),
    }
}

impl Graph {
    fn walk(&self, context: &Context, walk: Walk, order: WalkOrder) -> Messages<Visit> {
        stream_walk(Source { keyspace: self.keyspace.clone(), context: context.clone(), filtered: AtomicUsize::new(0) }, walk, order)
    }
}

#[async_trait]
impl GraphTraversal for Graph {
    async fn traverse_depth_first(
        &self,
        context: &Context,
        request: TraverseDepthFirstRequest,
    ) -> Result<Messages<TraverseDepthFirstResponse>, Error> {
        let visits = self.walk(context, Walk::new(request.traversal)?, WalkOrder::DepthFirst);
        Ok(visits.map_ok(|visit| TraverseDepthFirstResponse { visit: Some(visit) }).boxed())
    }

    async fn traverse_breadth_first(
        &self,
        context: &Context,
        request: TraverseBreadthFirstRequest,
    ) -> Result<Messages<TraverseBreadthFirstResponse>, Error> {
        let visits = self.walk(context, Walk::new(request.traversal)?, WalkOrder::BreadthFirst);
        Ok(visits.map_ok(|visit| TraverseBreadthFirstResponse { visit: Some(visit) }).boxed())
    }
}
