//! `set_basic`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::Connection;

use super::{
    Sets,
    rows::{self, StoredMember},
};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle};
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
/// A page ends after the member with which it has this many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The state of a stream of members.
struct MemberReader {
    keyspace: Arc<KeyspaceHandle>,
    key: Bytes,
    /// The identity of the last member that was sent; `None` = at the start.
    after: Option<Bytes>,
    /// Members until the limit of the request.
    remaining: usize,
}

impl MemberReader {
    async fn page(mut self) -> Result<Page<GetMembersResponse, Self>, Error> {
        let (key, after, most) = (self.key.clone(), self.after.clone(), self.remaining.min(PAGE_MEMBERS));
        let read = self.keyspace.read(move |connection, keyspace| page(connection, keyspace, &key, after.as_deref(), most));
        let (members, more) = read.await?;
        self.remaining -= members.len();
        self.after = members.last().map(|member| member.identity.clone());
        let message =
            |member: StoredMember| GetMembersResponse { cursor: encode_cursor(&self.key, &member.identity), member: member.into_member() };
        let page = members.into_iter().map(message).collect();
        Ok((page, (more && self.remaining > 0).then_some(self)))
    }
}

/// Reads a page, and returns whether there may be more members.
fn page(
    connection: &Connection,
    keyspace: i64,
    key: &[u8],
    after: Option<&[u8]>,
    most: usize,
) -> DatabaseResult<(Vec<StoredMember>, bool)> {
    let mut select = connection.prepare_cached(
        "SELECT identity, member FROM set_members
         WHERE set_id = (SELECT id FROM sets WHERE keyspace = ?1 AND key = ?2) AND identity >= ?3 ORDER BY identity",
    )?;
    let start = after.map_or_else(Vec::new, next_after);
    let mut rows = select.query((keyspace, key, start))?;
    let (mut members, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let member = StoredMember::read(row)?;
        bytes += row.get_ref(1)?.as_blob_or_null()?.map_or(member.identity.len(), <[u8]>::len);
        members.push(member);
        if members.len() >= most || bytes >= PAGE_BYTES {
            return Ok((members, true));
        }
    }
    Ok((members, false))
}

#[async_trait]
impl SetBasic for Sets {
    async fn add(&self, _: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        check_add(self.keyspace.limits(), &request.key, &request.members)?;
        let members: Vec<StoredMember> = request.members.into_iter().map(StoredMember::new).collect();
        let write = self.keyspace.write(move |tx, keyspace| {
            let mut set = rows::open(tx, keyspace, &request.key)?;
            let before = set.size;
            for member in &members {
                set.insert(tx, member)?;
            }
            if set.size > before {
                set.save(tx)?;
            }
            Ok(set.size.abs_diff(before))
        });
        Ok(AddResponse { added: write.await? })
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(self.keyspace.limits(), &request.key, &request.members)?;
        let members: Vec<StoredMember> = request.members.into_iter().map(StoredMember::new).collect();
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(mut set) = rows::find(tx.connection, keyspace, &request.key)? else { return Ok(0) };
            let before = set.size;
            for member in &members {
                set.remove(tx, &member.identity)?;
            }
            if set.size < before {
                set.save(tx)?;
            }
            Ok(set.size.abs_diff(before))
        });
        Ok(RemoveResponse { removed: write.await? })
    }

    async fn contains(&self, _: &Context, request: ContainsRequest) -> Result<ContainsResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let identity = StoredMember::new(request.member).identity;
        let read = self.keyspace.quick(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let set = rows::find(&snapshot, keyspace, &request.key)?;
            set.map_or(Ok(false), |set| set.contains(&snapshot, &identity))
        });
        Ok(ContainsResponse { contains: read.await? })
    }

    async fn get_members(&self, _: &Context, request: GetMembersRequest) -> Result<Messages<GetMembersResponse>, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let after = decode_cursor(&request.key, &request.cursor)?.map(Bytes::from);
        let remaining = check::limit_or_all(request.limit);
        let reader = MemberReader { keyspace: self.keyspace.clone(), key: request.key, after, remaining };
        Ok(stream_pages(reader, MemberReader::page))
    }
}
