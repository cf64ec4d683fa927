//! `list_basic`

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::{Lists, count};
use crate::{columns::read_bytes, database::Parameters, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        ListBasic, PopLeftRequest, PopLeftResponse, PopRightRequest, PopRightResponse, PushLeftRequest, PushLeftResponse, PushRightRequest,
        PushRightResponse,
    },
};
use prism_driver::{
    check,
    list::{End, check_push, pop_limit},
};

/// Pushes values one after another, and returns the length.
macro_rules! push {
    ($position:literal) => {
        Sql {
            text: concat!(
                "WITH list AS MATERIALIZED (
                     SELECT min(position) AS first, max(position) AS last FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2),
                 pushed AS (
                     INSERT INTO {schema}.list_elements (keyspace, key, position, value)
                     SELECT $1, $2, ",
                $position,
                ", value FROM unnest($3::bytea[]) WITH ORDINALITY AS given (value, number), list
                     WHERE NOT $4 OR list.first IS NOT NULL RETURNING 1)
                 SELECT coalesce(last - first + 1, 0) + (SELECT count(*) FROM pushed) FROM list"
            ),
            types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY, Type::BOOL],
        }
    };
}

static PUSH_LEFT: Sql = push!("coalesce(list.first, 0) - given.number");
static PUSH_RIGHT: Sql = push!("coalesce(list.last, -1) + given.number");

/// Takes elements from an end, up to 16 MiB or one larger element.
macro_rules! pop {
    ($direction:literal) => {
        Sql {
            text: concat!(
                "WITH taken AS MATERIALIZED (
                     SELECT position FROM (
                         SELECT position, sum(size) OVER (ORDER BY position ",
                $direction,
                ") - size AS before FROM (
                             SELECT position, octet_length(value) AS size FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2
                             ORDER BY position ",
                $direction,
                " LIMIT $3) AS page) AS sized WHERE before < 16777216),
                 removed AS (
                     DELETE FROM {schema}.list_elements AS element USING taken
                     WHERE element.keyspace = $1 AND element.key = $2 AND element.position = taken.position
                     RETURNING element.position, element.value)
                 SELECT value FROM removed ORDER BY position ",
                $direction
            ),
            types: &[Type::INT8, Type::BYTEA, Type::INT8],
        }
    };
}

static POP_LEFT: Sql = pop!("ASC");
static POP_RIGHT: Sql = pop!("DESC");

impl Lists {
    async fn push(&self, context: &Context, key: &[u8], values: &[Bytes], only_if_exists: bool, end: End) -> Result<u64, Error> {
        check_push(&self.keyspace.limits, key, values)?;
        let id = self.keyspace.id(context).await?;
        let statement = match end {
            End::Left => &PUSH_LEFT,
            End::Right => &PUSH_RIGHT,
        };
        let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
        let parameters: Parameters<'_> = &[&id, &key, &values, &only_if_exists];
        count(&self.query_locked(context, id, key, (statement, parameters)).await?)
    }

    async fn pop(&self, context: &Context, key: &[u8], limit: u32, end: End) -> Result<Vec<Bytes>, Error> {
        check::key(&self.keyspace.limits, key)?;
        let limit = i64::try_from(pop_limit(limit)?).unwrap_or(1);
        let id = self.keyspace.id(context).await?;
        let statement = match end {
            End::Left => &POP_LEFT,
            End::Right => &POP_RIGHT,
        };
        let rows = self.query_locked(context, id, key, (statement, &[&id, &key, &limit])).await?;
        Ok(rows.iter().map(|row| read_bytes(row, 0)).collect())
    }
}

#[async_trait]
impl ListBasic for Lists {
    async fn push_left(&self, context: &Context, request: PushLeftRequest) -> Result<PushLeftResponse, Error> {
        let length = self.push(context, &request.key, &request.values, request.only_if_exists, End::Left).await?;
        Ok(PushLeftResponse { length })
    }

    async fn push_right(&self, context: &Context, request: PushRightRequest) -> Result<PushRightResponse, Error> {
        let length = self.push(context, &request.key, &request.values, request.only_if_exists, End::Right).await?;
        Ok(PushRightResponse { length })
    }

    async fn pop_left(&self, context: &Context, request: PopLeftRequest) -> Result<PopLeftResponse, Error> {
        Ok(PopLeftResponse { values: self.pop(context, &request.key, request.limit, End::Left).await? })
    }

    async fn pop_right(&self, context: &Context, request: PopRightRequest) -> Result<PopRightResponse, Error> {
        Ok(PopRightResponse { values: self.pop(context, &request.key, request.limit, End::Right).await? })
    }
}
