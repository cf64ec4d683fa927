//! Connections: pages of the stream of an RPC ("GraphQL Cursor Connections", relay.dev/graphql/connections.htm).

use std::sync::Arc;

use async_graphql::{Name, Value, parser::types::SelectionSet};
use bytes::Bytes;
use futures::StreamExt as _;

use super::{
    FieldRpc, RpcCaller, StreamPurpose,
    plan::{ObjectPlan, PlanMember, Planner, quoted, type_name},
    render::{RenderFailure, Rendered, Renderer},
};
use crate::{
    RequestError, input,
    model::{AFTER, ConnectionType, FIRST, RootField},
};
use prism_call::{Error, Method};
use prism_frontend::{
    message_types::{FieldKind, MessageId},
    render::EventFields,
    wire,
};

/// A page of a stream, and what is written of it.
pub struct PageCall {
    /// The RPC.
    pub method: Arc<Method>,
    /// The request message; or the error of the arguments.
    pub message: Result<Bytes, Error>,
    /// Maximum number of nodes.
    first: usize,
    /// The type of a node.
    node: MessageId,
    /// Finds the cursors of nodes.
    cursors: EventFields,
    members: Vec<PlanMember<PageMember>>,
}

/// A member of a connection.
enum PageMember {
    /// It is this JSON text.
    Constant(Vec<u8>),
    Edges(Vec<PlanMember<EdgeMember>>),
    Nodes(Option<ObjectPlan>),
    Info(Vec<PlanMember<InfoMember>>),
}

/// A member of an edge.
enum EdgeMember {
    Constant(Vec<u8>),
    Cursor,
    Node(Option<ObjectPlan>),
}

/// A member of `PageInfo`.
enum InfoMember {
    Constant(Vec<u8>),
    HasNext,
    Start,
    End,
}

/// The replies of a page.
pub struct Page {
    nodes: Vec<Bytes>,
    has_next: bool,
}

impl PageCall {
    /// Plans a connection with these arguments.
    pub fn new(
        planner: &Planner<'_>,
        root: &RootField,
        connection: &ConnectionType,
        arguments: Vec<(Name, Value)>,
        below: &[&SelectionSet],
    ) -> Result<Self, RequestError> {
        let model = planner.model;
        let of_page = |name: &Name| [FIRST, AFTER].contains(&name.as_str());
        let (of_page, own): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|(name, _)| of_page(name));
        let given = |wanted: &str| of_page.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let first = read_first(given(FIRST));
        let message = match &first {
            Ok(first) => input::encode_arguments(model, root, &own).map(|message| request(&message, connection, *first, given(AFTER))),
            Err(error) => Err(error.for_client()),
        };
        Ok(Self {
            method: root.method.clone(),
            message,
            first: first.unwrap_or(0),
            node: root.output,
            cursors: EventFields::of(model.types, root.output),
            members: members(planner, root, connection, below)?,
        })
    }

    /// Reads the page. Its replies have at most as many bytes as a response.
    pub async fn read(&self, rpc: FieldRpc<'_>, max_bytes: usize, caller: &dyn RpcCaller) -> Result<Page, Error> {
        let message = match &self.message {
            Ok(message) => message.clone(),
            Err(error) => return Err(error.for_client()),
        };
        let mut replies = caller.open(rpc, message, StreamPurpose::Page).await?;
        let (mut nodes, mut bytes) = (Vec::new(), 0_usize);
        while let Some(reply) = replies.next().await {
            let reply = reply?;
            if nodes.len() == self.first {
                return Ok(Page { nodes, has_next: true });
            }
            bytes = bytes.saturating_add(reply.len());
            if bytes > max_bytes {
                return Err(RenderFailure::TooLarge.into_error(max_bytes));
            }
            nodes.push(reply);
        }
        Ok(Page { nodes, has_next: false })
    }

    /// Appends the page.
    pub fn write(&self, page: &Page, renderer: &Renderer<'_>, out: &mut Vec<u8>) -> Rendered {
        renderer.object(&self.members, out, |member, out| match member {
            PageMember::Constant(text) => renderer.text(text, out),
            PageMember::Edges(members) => renderer.list(&page.nodes, out, |node, out| {
                renderer.object(members, out, |member, out| match member {
                    EdgeMember::Constant(text) => renderer.text(text, out),
                    EdgeMember::Cursor => renderer.text(&quoted(self.cursors.cursor(node).unwrap_or_default()), out),
                    EdgeMember::Node(plan) => renderer.message(self.node, plan.as_ref(), node, out),
                })
            }),
            PageMember::Nodes(plan) => renderer.list(&page.nodes, out, |node, out| renderer.message(self.node, plan.as_ref(), node, out)),
            PageMember::Info(members) => renderer.object(members, out, |member, out| match member {
                InfoMember::Constant(text) => renderer.text(text, out),
                InfoMember::HasNext => renderer.text(if page.has_next { b"true" } else { b"false" }, out),
                InfoMember::Start => self.put_cursor(page.nodes.first(), renderer, out),
                InfoMember::End => self.put_cursor(page.nodes.last(), renderer, out),
            }),
        })
    }

    fn put_cursor(&self, node: Option<&Bytes>, renderer: &Renderer<'_>, out: &mut Vec<u8>) -> Rendered {
        match node.and_then(|node| self.cursors.cursor(node)) {
            Some(cursor) => renderer.text(&quoted(cursor), out),
            None => renderer.text(b"null", out),
        }
    }
}

fn read_first(value: Option<&Value>) -> Result<usize, Error> {
    let number = match value {
        Some(Value::Number(number)) => number.as_i64(),
        _ => None,
    };
    // One more is asked for, and the limits of requests have 32 bits.
    number
        .filter(|number| (0..i64::from(i32::MAX)).contains(number))
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| Error::invalid(FIRST, "must be a number from 0 to 2147483646"))
}

/// Returns the request of a page: one reply more than wanted tells whether there are more.
fn request(message: &[u8], connection: &ConnectionType, first: usize, after: Option<&Value>) -> Bytes {
    let mut out = message.to_vec();
    wire::put_tag(&mut out, connection.limit, wire::WireType::Varint);
    wire::put_varint(&mut out, first as u64 + 1);
    if let Some(Value::String(cursor)) = after.filter(|cursor| **cursor != Value::String(String::new())) {
        wire::put_tag(&mut out, connection.cursor, wire::WireType::Bytes);
        wire::put_bytes(&mut out, cursor.as_bytes());
    }
    out.into()
}

fn members(
    planner: &Planner<'_>,
    root: &RootField,
    connection: &ConnectionType,
    below: &[&SelectionSet],
) -> Result<Vec<PlanMember<PageMember>>, RequestError> {
    let node = |sets: &[&SelectionSet]| planner.value(FieldKind::Message(root.output), sets);
    planner.members(below, &connection.name, |name, below, field| {
        Ok(match name {
            "edges" => PageMember::Edges(planner.members(below, &connection.edge, |name, below, field| {
                Ok(match name {
                    "cursor" => EdgeMember::Cursor,
                    "node" => EdgeMember::Node(node(below)?),
                    name => EdgeMember::Constant(type_name(name, &connection.edge, field)?),
                })
            })?),
            "nodes" => PageMember::Nodes(node(below)?),
            "pageInfo" => PageMember::Info(planner.members(below, "PageInfo", |name, _, field| {
                Ok(match name {
                    "hasNextPage" => InfoMember::HasNext,
                    "hasPreviousPage" => InfoMember::Constant(b"false".to_vec()),
                    "startCursor" => InfoMember::Start,
                    "endCursor" => InfoMember::End,
                    name => InfoMember::Constant(type_name(name, "PageInfo", field)?),
                })
            })?),
            name => PageMember::Constant(type_name(name, &connection.name, field)?),
        })
    })
}
