//! `set_basic`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::{Sets, slices};
use crate::{
    columns::{read_bytes, unsigned},
    error,
    keyspace::KeyspaceHandle,
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        AddRequest, AddResponse, ContainsRequest, ContainsResponse, GetMembersRequest, GetMembersResponse, RemoveRequest, RemoveResponse,
        SetBasic,
    },
};
use prism_driver::{
    check,
    pages::{Page, stream_pages},
    range::next_after,
    set::{check_add, check_members, decode_cursor, encode_cursor},
};

/// Most members of a page.
const PAGE_MEMBERS: usize = 1000;

/// Adds members, in the order in which others lock them, and counts the new ones.
static ADD: Sql = Sql {
    text: "WITH added AS (
               INSERT INTO {schema}.set_members (keyspace, key, identity, member)
               SELECT $1, $2, identity, CASE WHEN octet_length(member) > 32 THEN member END FROM (
                   SELECT DISTINCT ON (identity) identity, member
                   FROM (SELECT {schema}.member_identity(member) AS identity, member FROM unnest($3::bytea[]) AS given (member)) AS members
                   ORDER BY identity) AS ordered
               ON CONFLICT DO NOTHING RETURNING 1)
           SELECT count(*) FROM added",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY],
};

static REMOVE: Sql = Sql {
    text: "WITH locked AS MATERIALIZED (
               SELECT identity FROM {schema}.set_members WHERE keyspace = $1 AND key = $2
                   AND identity = ANY (ARRAY (SELECT {schema}.member_identity(member) FROM unnest($3::bytea[]) AS given (member)))
               ORDER BY identity FOR UPDATE),
           removed AS (
               DELETE FROM {schema}.set_members AS stored USING locked
               WHERE stored.keyspace = $1 AND stored.key = $2 AND stored.identity = locked.identity RETURNING 1)
           SELECT count(*) FROM removed",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY],
};

static CONTAINS: Sql = Sql {
    text: "SELECT EXISTS (SELECT 1 FROM {schema}.set_members WHERE keyspace = $1 AND key = $2 AND identity = {schema}.member_identity($3))",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA],
};

/// A page of members from an identity on, up to 1 MiB or one larger member.
static PAGE: Sql = Sql {
    text: "SELECT identity, member FROM (
               SELECT identity, member, sum(octet_length(member)) OVER (ORDER BY identity) - octet_length(member) AS before FROM (
                   SELECT identity, coalesce(member, identity) AS member FROM {schema}.set_members
                   WHERE keyspace = $1 AND key = $2 AND identity >= $3 ORDER BY identity LIMIT $4) AS page) AS sized
           WHERE before < 1048576 ORDER BY identity",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA, Type::INT8],
};

/// The state of a stream of members.
struct MemberReader {
    keyspace: Arc<KeyspaceHandle>,
    context: Context,
    key: Bytes,
    /// The least identity of the next page.
    from: Vec<u8>,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    async fn page(mut self) -> Result<Page<GetMembersResponse, Self>, Error> {
        let id = self.keyspace.id(&self.context).await?;
        let most = i64::try_from(self.remaining.min(PAGE_MEMBERS)).unwrap_or(1);
        let rows = self.keyspace.database.query(&self.context, &PAGE, &[&id, &&self.key[..], &self.from, &most]).await?;
        self.remaining -= rows.len();
        if let Some(last) = rows.last() {
            self.from = next_after(last.get(0));
        }
        let message =
            |row: &tokio_postgres::Row| GetMembersResponse { cursor: encode_cursor(&self.key, row.get(0)), member: read_bytes(row, 1) };
        let page: Vec<_> = rows.iter().map(message).collect();
        let is_end = page.is_empty() || self.remaining == 0;
        Ok((page, (!is_end).then_some(self)))
    }
}

#[async_trait]
impl SetBasic for Sets {
    async fn add(&self, context: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        check_add(&self.keyspace.limits, &request.key, &request.members)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &ADD, &[&id, &&request.key[..], &slices(&request.members)]).await?;
        Ok(AddResponse { added: unsigned(row.ok_or_else(error::unexpected_reply)?.get(0)) })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.keyspace.limits, &request.key, &request.members)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &REMOVE, &[&id, &&request.key[..], &slices(&request.members)]).await?;
        Ok(RemoveResponse { removed: unsigned(row.ok_or_else(error::unexpected_reply)?.get(0)) })
    }

    async fn contains(&self, context: &Context, request: ContainsRequest) -> Result<ContainsResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &CONTAINS, &[&id, &&request.key[..], &&request.member[..]]).await?;
        Ok(ContainsResponse { contains: row.ok_or_else(error::unexpected_reply)?.get(0) })
    }

    async fn get_members(&self, context: &Context, request: GetMembersRequest) -> Result<Messages<GetMembersResponse>, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let from = decode_cursor(&request.key, &request.cursor)?.map_or_else(Vec::new, |after| next_after(&after));
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { keyspace: self.keyspace.clone(), context: context.clone(), key: request.key, from, remaining };
        Ok(stream_pages(reader, MemberReader::page))
    }
}
