//! `graph_basic`
//!
//! A write inserts a row. If it exists, it is read, changed in the gateway, and written if it is still the same; otherwise the write begins again.

use std::collections::HashMap;

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{
    Graph,
    edges::EdgeReader,
    rows::{property_text, read_edge, read_node, read_text, slices},
};
use crate::{
    columns::unsigned,
    error::{FOREIGN_KEY, unexpected_reply},
    sql::Sql,
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::graph::v1::{
        AddEdgeRequest, AddEdgeResponse, AddNodeRequest, AddNodeResponse, DeleteEdgeRequest, DeleteEdgeResponse, DeleteNodeRequest,
        DeleteNodeResponse, Edge, GetEdgesRequest, GetEdgesResponse, GetNodesRequest, GetNodesResponse, GraphBasic, Node,
    },
};
use prism_driver::{
    graph::{
        EdgeQuery, MAX_REPLY_BYTES,
        change::{NewEdge, NewNode},
        check_edge_id, check_node_id, distinct_ids, node_has_edges, node_not_found, result_too_large,
    },
    pages::stream_pages,
};

static INSERT_NODE: Sql = Sql {
    text: "INSERT INTO {schema}.graph_nodes (keyspace, id, revision, labels, size, properties)
           VALUES ($1, $2, {next_revision}, $3, octet_length($4), $4::text::json) ON CONFLICT DO NOTHING RETURNING 1",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::TEXT],
};

static GET_NODE: Sql = Sql {
    text: "SELECT revision, labels, properties::text FROM {schema}.graph_nodes WHERE keyspace = $1 AND id = $2",
    types: &[Type::INT8, Type::BYTEA],
};

static UPDATE_NODE: Sql = Sql {
    text: "UPDATE {schema}.graph_nodes SET revision = {next_revision}, labels = $4, size = octet_length($5), properties = $5::text::json
           WHERE keyspace = $1 AND id = $2 AND revision = $3 RETURNING 1",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::BYTEA_ARRAY, Type::TEXT],
};

static INSERT_EDGE: Sql = Sql {
    text: "INSERT INTO {schema}.graph_edges (keyspace, id, revision, label, from_node, to_node, size, properties)
           VALUES ($1, $2, {next_revision}, $3, $4, $5, octet_length($6), $6::text::json) ON CONFLICT DO NOTHING RETURNING 1",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::TEXT],
};

static GET_EDGE: Sql = Sql {
    text: "SELECT revision, label, from_node, to_node, properties::text FROM {schema}.graph_edges WHERE keyspace = $1 AND id = $2",
    types: &[Type::INT8, Type::BYTEA],
};

static UPDATE_EDGE: Sql = Sql {
    text: "UPDATE {schema}.graph_edges SET revision = {next_revision}, size = octet_length($4), properties = $4::text::json
           WHERE keyspace = $1 AND id = $2 AND revision = $3 RETURNING 1",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::TEXT],
};

/// The nodes with some ids, without those behind the first ones that have too many bytes together.
static GET_NODES: Sql = Sql {
    text: "SELECT labels, properties::text, id FROM (
               SELECT id, labels, properties, sum(size) OVER (ORDER BY id) - size AS before
               FROM {schema}.graph_nodes WHERE keyspace = $1 AND id = ANY ($2)) AS sized WHERE before <= $3",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::INT8],
};

/// The ids of those nodes that do not exist, in their order.
static MISSING_NODES: Sql = Sql {
    text: "SELECT given.id FROM unnest($2::bytea[]) WITH ORDINALITY AS given (id, number)
           WHERE NOT EXISTS (SELECT 1 FROM {schema}.graph_nodes AS node WHERE node.keyspace = $1 AND node.id = given.id) ORDER BY given.number",
    types: &[Type::INT8, Type::BYTEA_ARRAY],
};

static DELETE_NODE: Sql = Sql {
    text: "WITH deleted AS (DELETE FROM {schema}.graph_nodes WHERE keyspace = $1 AND id = $2 RETURNING 1)
           SELECT count(*), 0::bigint FROM deleted",
    types: &[Type::INT8, Type::BYTEA],
};

/// Deletes a node and its edges, which are locked in the order of their ids.
static DELETE_NODE_AND_EDGES: Sql = Sql {
    text: "WITH locked AS MATERIALIZED (
               SELECT id FROM {schema}.graph_edges WHERE keyspace = $1 AND (from_node = $2 OR to_node = $2) ORDER BY id FOR UPDATE),
           edges AS (
               DELETE FROM {schema}.graph_edges AS edge USING locked WHERE edge.keyspace = $1 AND edge.id = locked.id RETURNING 1),
           deleted AS (
               DELETE FROM {schema}.graph_nodes WHERE keyspace = $1 AND id = $2 AND (SELECT count(*) FROM edges) >= 0 RETURNING 1)
           SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM edges)",
    types: &[Type::INT8, Type::BYTEA],
};

static DELETE_EDGE: Sql =
    Sql { text: "DELETE FROM {schema}.graph_edges WHERE keyspace = $1 AND id = $2 RETURNING 1", types: &[Type::INT8, Type::BYTEA] };

impl Graph {
    async fn find_node(&self, context: &Context, keyspace: i64, id: &str) -> Result<Option<(i64, Node)>, Error> {
        let row = self.keyspace.database.query_optional(context, &GET_NODE, &[&keyspace, &id.as_bytes()]).await?;
        row.map(|row| Ok((row.get(0), read_node(&row, 1, id.to_owned())?))).transpose()
    }

    async fn find_edge(&self, context: &Context, keyspace: i64, id: &str) -> Result<Option<(i64, Edge)>, Error> {
        let row = self.keyspace.database.query_optional(context, &GET_EDGE, &[&keyspace, &id.as_bytes()]).await?;
        row.map(|row| Ok((row.get(0), read_edge(&row, 1, id.to_owned())?))).transpose()
    }

    /// Inserts an edge. Returns `false` if its id is taken.
    async fn insert_edge(&self, context: &Context, keyspace: i64, edge: &Edge) -> Result<bool, Error> {
        let database = &self.keyspace.database;
        let (id, label, from, to) = (edge.id.as_bytes(), edge.label.as_bytes(), edge.from_node_id.as_bytes(), edge.to_node_id.as_bytes());
        let properties = property_text(edge.properties.as_ref());
        loop {
            let inserted = database.query_optional(context, &INSERT_EDGE, &[&keyspace, &id, &label, &from, &to, &properties]).await;
            match inserted {
                Err(error) if error.reason() == FOREIGN_KEY => {}
                // Other calls delete both nodes at the same time.
                Err(error) if error.code() == Code::Aborted => continue,
                result => return Ok(result?.is_some()),
            }
            let missing = database.query_optional(context, &MISSING_NODES, &[&keyspace, &vec![from, to]]).await?;
            // If the node has come meanwhile, the next attempt may succeed.
            if let Some(row) = missing {
                return Err(node_not_found(&read_text(row.get(0))?));
            }
        }
    }
}

#[async_trait]
impl GraphBasic for Graph {
    async fn add_node(&self, context: &Context, request: AddNodeRequest) -> Result<AddNodeResponse, Error> {
        let new = NewNode::new(request)?;
        let (database, keyspace) = (&self.keyspace.database, self.keyspace.id(context).await?);
        let id = new.node.id.as_bytes();
        let (labels, properties) = (slices(&new.node.labels), property_text(new.node.properties.as_ref()));
        loop {
            if database.query_optional(context, &INSERT_NODE, &[&keyspace, &id, &labels, &properties]).await?.is_some() {
                return Ok(AddNodeResponse { node: Some(new.node), created: true });
            }
            let Some((revision, stored)) = self.find_node(context, keyspace, &new.node.id).await? else { continue };
            let node = new.change(&stored)?;
            let (labels, properties) = (slices(&node.labels), property_text(node.properties.as_ref()));
            let updated = database.query_optional(context, &UPDATE_NODE, &[&keyspace, &id, &revision, &labels, &properties]).await?;
            if updated.is_some() {
                return Ok(AddNodeResponse { node: Some(node), created: false });
            }
        }
    }

    async fn add_edge(&self, context: &Context, request: AddEdgeRequest) -> Result<AddEdgeResponse, Error> {
        let new = NewEdge::new(request)?;
        let (database, keyspace) = (&self.keyspace.database, self.keyspace.id(context).await?);
        loop {
            // PostgreSQL checks foreign keys only of rows that it inserts, so an edge that exists comes before nodes that do not.
            if self.insert_edge(context, keyspace, &new.edge).await? {
                return Ok(AddEdgeResponse { edge: Some(new.edge), created: true });
            }
            let Some((revision, stored)) = self.find_edge(context, keyspace, &new.edge.id).await? else { continue };
            let edge = new.change(&stored)?;
            let properties = property_text(edge.properties.as_ref());
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&keyspace, &edge.id.as_bytes(), &revision, &properties];
            if database.query_optional(context, &UPDATE_EDGE, &parameters).await?.is_some() {
                return Ok(AddEdgeResponse { edge: Some(edge), created: false });
            }
        }
    }

    async fn get_nodes(&self, context: &Context, request: GetNodesRequest) -> Result<GetNodesResponse, Error> {
        let ids = distinct_ids(request)?;
        let keyspace = self.keyspace.id(context).await?;
        let most = i64::try_from(MAX_REPLY_BYTES).unwrap_or(i64::MAX);
        let rows = self.keyspace.database.query(context, &GET_NODES, &[&keyspace, &slices(&ids), &most]).await?;
        if rows.iter().map(|row| row.get::<_, &str>(1).len()).sum::<usize>() > MAX_REPLY_BYTES {
            return Err(result_too_large());
        }
        let mut found = HashMap::new();
        for row in &rows {
            let id = read_text(row.get(2))?;
            found.insert(id.clone(), read_node(row, 0, id)?);
        }
        Ok(GetNodesResponse { nodes: ids.iter().filter_map(|id| found.remove(id)).collect() })
    }

    async fn get_edges(&self, context: &Context, request: GetEdgesRequest) -> Result<Messages<GetEdgesResponse>, Error> {
        let reader = EdgeReader::new(self.keyspace.clone(), context.clone(), EdgeQuery::new(request)?);
        Ok(stream_pages(reader, EdgeReader::page))
    }

    async fn delete_node(&self, context: &Context, request: DeleteNodeRequest) -> Result<DeleteNodeResponse, Error> {
        let id = &request.node_id;
        check_node_id("node_id", id)?;
        let keyspace = self.keyspace.id(context).await?;
        let statement = if request.delete_edges { &DELETE_NODE_AND_EDGES } else { &DELETE_NODE };
        loop {
            match self.keyspace.database.query_optional(context, statement, &[&keyspace, &id.as_bytes()]).await {
                Err(error) if error.reason() == FOREIGN_KEY && !request.delete_edges => return Err(node_has_edges(id)),
                // An edge has come meanwhile, or another call deletes a node at the other end of several edges.
                Err(error) if error.reason() == FOREIGN_KEY || error.code() == Code::Aborted => {}
                result => {
                    let row = result?.ok_or_else(unexpected_reply)?;
                    return Ok(DeleteNodeResponse { deleted: row.get::<_, i64>(0) > 0, edges_deleted: unsigned(row.get(1)) });
                }
            }
        }
    }

    async fn delete_edge(&self, context: &Context, request: DeleteEdgeRequest) -> Result<DeleteEdgeResponse, Error> {
        check_edge_id("edge_id", &request.edge_id)?;
        let keyspace = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &DELETE_EDGE, &[&keyspace, &request.edge_id.as_bytes()]).await?;
        Ok(DeleteEdgeResponse { deleted: row.is_some() })
    }
}
