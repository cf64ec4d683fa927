//! `set_cardinality`: the members of a set are counted in the index.

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Sets, slices};
use crate::{columns::unsigned, error, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetSizeRequest, GetSizeResponse, IsMemberRequest, IsMemberResponse, SetCardinality},
};
use prism_driver::{check, set::check_members};

static COUNT: Sql =
    Sql { text: "SELECT count(*) FROM {schema}.set_members WHERE keyspace = $1 AND key = $2", types: &[Type::INT8, Type::BYTEA] };

static ARE_MEMBERS: Sql = Sql {
    text: "SELECT EXISTS (
               SELECT 1 FROM {schema}.set_members AS stored
               WHERE keyspace = $1 AND key = $2 AND identity = {schema}.member_identity(given.member))
           FROM unnest($3::bytea[]) WITH ORDINALITY AS given (member, number) ORDER BY given.number",
    types: &[Type::INT8, Type::BYTEA, Type::BYTEA_ARRAY],
};

#[async_trait]
impl SetCardinality for Sets {
    async fn get_size(&self, context: &Context, request: GetSizeRequest) -> Result<GetSizeResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let id = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &COUNT, &[&id, &&request.key[..]]).await?;
        Ok(GetSizeResponse { size: unsigned(row.ok_or_else(error::unexpected_reply)?.get(0)) })
    }

    async fn is_member(&self, context: &Context, request: IsMemberRequest) -> Result<IsMemberResponse, Error> {
        check_members(&self.keyspace.limits, &request.key, &request.members)?;
        let id = self.keyspace.id(context).await?;
        let rows = self.keyspace.database.query(context, &ARE_MEMBERS, &[&id, &&request.key[..], &slices(&request.members)]).await?;
        Ok(IsMemberResponse { present: rows.iter().map(|row| row.get(0)).collect() })
    }
}
