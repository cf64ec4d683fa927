//! `list_indexing`: an index is a position. A value is searched for in the whole list, and elements behind or before one that is inserted or
//! removed are shifted.

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Extent, Lists, count};
use crate::{
    columns::{read_bytes, unsigned},
    database::Session,
    sql::Sql,
};
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

/// The element of an index. Negative ones count from the right.
static GET: Sql = Sql {
    text: "SELECT value FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2 AND position = $3 + (
               SELECT CASE WHEN $3 < 0 THEN max(position) + 1 ELSE min(position) END FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2)",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

static SET: Sql = Sql {
    text: "WITH replaced AS (
               UPDATE {schema}.list_elements SET value = $4 WHERE keyspace = $1 AND key = $2 AND position = $3 + (
                   SELECT CASE WHEN $3 < 0 THEN max(position) + 1 ELSE min(position) END
                   FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2)
               RETURNING 1)
           SELECT count(*) FROM replaced",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::BYTEA],
};

/// The positions of elements that are equal to a value, from an end.
macro_rules! equal {
    ($direction:literal) => {
        Sql {
            text: concat!(
                "SELECT position FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2 AND value = $3 ORDER BY position ",
                $direction,
                " LIMIT $4"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA, Type::INT8],
        }
    };
}

static EQUAL_LEFT: Sql = equal!("ASC");
static EQUAL_RIGHT: Sql = equal!("DESC");

static SHIFT_LEFT: Sql = Sql {
    text: "UPDATE {schema}.list_elements SET position = position - 1 WHERE keyspace = $1 AND key = $2 AND position < $3",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};
static SHIFT_RIGHT: Sql = Sql {
    text: "UPDATE {schema}.list_elements SET position = position + 1 WHERE keyspace = $1 AND key = $2 AND position >= $3",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};
static INSERT: Sql = Sql {
    text: "INSERT INTO {schema}.list_elements (keyspace, key, position, value) VALUES ($1, $2, $3, $4)",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::BYTEA],
};
static REMOVE: Sql = Sql {
    text: "DELETE FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2 AND position = ANY ($3)",
    types: &[Type::INT8, Type::BYTEA, Type::INT8_ARRAY],
};

/// Gives the elements from a position on consecutive positions.
static CLOSE_GAPS: Sql = Sql {
    text:
        "UPDATE {schema}.list_elements AS element SET position = numbered.next FROM (
               SELECT position, $3 + row_number() OVER (ORDER BY position) - 1 AS next
               FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2 AND position >= $3) AS numbered
           WHERE element.keyspace = $1 AND element.key = $2 AND element.position = numbered.position AND numbered.next <> numbered.position",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// The positions of at most `limit` elements that are equal to a value, in ascending order. 0 = no limit.
async fn equal(session: &mut Session<'_>, id: i64, key: &[u8], value: &[u8], limit: u32, from_right: bool) -> Result<Vec<i64>, Error> {
    let statement = if from_right { &EQUAL_RIGHT } else { &EQUAL_LEFT };
    let limit = (limit > 0).then_some(i64::from(limit));
    let rows = session.query(statement, &[&id, &key, &value, &limit]).await?;
    let mut positions: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    positions.sort_unstable();
    Ok(positions)
}

#[async_trait]
impl ListIndexing for Lists {
    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &GET, &[&id, &&request.key[..], &index::clamp(request.index)]).await?;
        Ok(GetResponse { value: row.map(|row| read_bytes(&row, 0)) })
    }

    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        check::value(&self.keyspace.limits, "value", &request.value)?;
        let (id, key) = (self.keyspace.id(context).await?, &request.key[..]);
        let index = index::clamp(request.index);
        let rows = self.query_locked(context, id, key, (&SET, &[&id, &key, &index, &&request.value[..]])).await?;
        Ok(SetResponse { replaced: count(&rows)? == 1 })
    }

    async fn insert(&self, context: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        check::value(&self.keyspace.limits, "value", &request.value)?;
        let after = i64::from(request.position() == InsertPosition::After);
        let target = request.target.ok_or_else(|| no_target("index or pivot"))?;
        let (id, key, value) = (self.keyspace.id(context).await?, &request.key[..], &request.value[..]);
        let (mut session, list) = self.lock(context, id, key).await?;
        let found = match &target {
            insert_request::Target::Index(index) => list.position(*index),
            insert_request::Target::Pivot(pivot) => equal(&mut session, id, key, pivot, 1, false).await?.first().copied(),
        };
        let Some(found) = found else {
            session.commit([]).await?;
            return Ok(InsertResponse { inserted: false, length: unsigned(list.length) });
        };
        // The new element comes before this position. The shorter part of the list is shifted.
        let position = found + after;
        if position - list.first < list.length / 2 {
            session.commit([(&SHIFT_LEFT, &[&id, &key, &position]), (&INSERT, &[&id, &key, &(position - 1), &value])]).await?;
        } else {
            session.commit([(&SHIFT_RIGHT, &[&id, &key, &position]), (&INSERT, &[&id, &key, &position, &value])]).await?;
        }
        Ok(InsertResponse { inserted: true, length: unsigned(list.length) + 1 })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let target = request.target.ok_or_else(|| no_target("index or value"))?;
        if matches!(target, remove_request::Target::Index(_)) {
            check_index_alone(request.limit, request.from_right)?;
        }
        let (id, key) = (self.keyspace.id(context).await?, &request.key[..]);
        let (mut session, list) = self.lock(context, id, key).await?;
        let positions = match &target {
            remove_request::Target::Index(index) => list.position(*index).into_iter().collect(),
            remove_request::Target::Value(value) => equal(&mut session, id, key, value, request.limit, request.from_right).await?,
        };
        let Some(first) = positions.first() else {
            session.commit([]).await?;
            return Ok(RemoveResponse { removed: 0, length: unsigned(list.length) });
        };
        session.commit([(&REMOVE, &[&id, &key, &positions]), (&CLOSE_GAPS, &[&id, &key, first])]).await?;
        let Extent { length, .. } = list;
        Ok(RemoveResponse { removed: positions.len() as u64, length: unsigned(length).saturating_sub(positions.len() as u64) })
    }
}
