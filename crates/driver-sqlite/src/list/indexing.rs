//! `list_indexing`: an index is a position. A value is searched for in the whole list.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Lists,
    rows::{self, StoredList},
};
use crate::error::DatabaseResult;
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        GetRequest, GetResponse, InsertPosition, InsertRequest, InsertResponse, ListIndexing, RemoveRequest, RemoveResponse, SetRequest,
        SetResponse, insert_request, remove_request,
    },
};
use prism_driver::{
    check, index,
    list::{check_index_alone, no_target},
};

impl StoredList {
    /// The position of an index, if there is such an element.
    fn position(&self, index: i64) -> Option<i64> {
        index::position(index, self.len()).map(|index| self.at(index))
    }

    /// The positions of at most `limit` elements that are equal to a value, in ascending order. 0 = no limit.
    fn equal(&self, connection: &Connection, value: &[u8], limit: u32, from_right: bool) -> DatabaseResult<Vec<i64>> {
        let statement = if from_right {
            "SELECT position FROM list_elements WHERE list = ?1 AND value = ?2 ORDER BY position DESC LIMIT ?3"
        } else {
            "SELECT position FROM list_elements WHERE list = ?1 AND value = ?2 ORDER BY position LIMIT ?3"
        };
        let mut select = connection.prepare_cached(statement)?;
        let limit = if limit == 0 { -1 } else { i64::from(limit) };
        let mut positions = select.query_map((self.id, value, limit), |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        positions.sort_unstable();
        Ok(positions)
    }
}

#[async_trait]
impl ListIndexing for Lists {
    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(list) = rows::find(&snapshot, keyspace, &request.key)? else { return Ok(None) };
            let Some(position) = list.position(request.index) else { return Ok(None) };
            let mut select = snapshot.prepare_cached("SELECT value FROM list_elements WHERE list = ?1 AND position = ?2")?;
            let value = select.query_row((list.id, position), |row| Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?)));
            Ok(value.optional()?)
        });
        Ok(GetResponse { value: read.await? })
    }

    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        check::value(self.keyspace.limits(), "value", &request.value)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let Some(list) = rows::find(tx.connection, keyspace, &request.key)? else { return Ok(false) };
            let Some(position) = list.position(request.index) else { return Ok(false) };
            let mut update = tx.connection.prepare_cached("UPDATE list_elements SET value = ?3 WHERE list = ?1 AND position = ?2")?;
            Ok(update.execute((list.id, position, &request.value[..]))? == 1)
        });
        Ok(SetResponse { replaced: write.await? })
    }

    async fn insert(&self, _: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        check::value(self.keyspace.limits(), "value", &request.value)?;
        let after = i64::from(request.position() == InsertPosition::After);
        let target = request.target.ok_or_else(|| no_target("index or pivot"))?;
        let (key, value) = (request.key, request.value);
        let write = self.keyspace.write(move |tx, keyspace| {
            let Some(mut list) = rows::find(tx.connection, keyspace, &key)? else { return Ok(InsertResponse::default()) };
            let found = match &target {
                insert_request::Target::Index(index) => list.position(*index),
                insert_request::Target::Pivot(pivot) => list.equal(tx.connection, pivot, 1, false)?.first().copied(),
            };
            if let Some(position) = found {
                list.insert_before(tx, position + after, &value)?;
                rows::signal(tx, keyspace, &key);
            }
            Ok(InsertResponse { inserted: found.is_some(), length: list.length.unsigned_abs() })
        });
        write.await
    }

    async fn remove(&self, _: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let target = request.target.ok_or_else(|| no_target("index or value"))?;
        if matches!(target, remove_request::Target::Index(_)) {
            check_index_alone(request.limit, request.from_right)?;
        }
        let (key, limit, from_right) = (request.key, request.limit, request.from_right);
        let write = self.keyspace.remove(move |tx, keyspace| {
            let Some(mut list) = rows::find(tx.connection, keyspace, &key)? else { return Ok(RemoveResponse::default()) };
            let positions = match &target {
                remove_request::Target::Index(index) => list.position(*index).into_iter().collect(),
                remove_request::Target::Value(value) => list.equal(tx.connection, value, limit, from_right)?,
            };
            list.remove(tx, &positions)?;
            Ok(RemoveResponse { removed: positions.len() as u64, length: list.length.unsigned_abs() })
        });
        write.await
    }
}
