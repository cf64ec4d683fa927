//! `set_random`: the identities of the members get random numbers, so the cost grows with the size of the set.

use async_trait::async_trait;
use tokio_postgres::{Row, types::Type};

use super::Sets;
use crate::{columns::read_bytes, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetRandomMemberRequest, GetRandomMemberResponse, PopRandomMemberRequest, PopRandomMemberResponse, SetRandom},
};
use prism_driver::{check, set::random_limit};

/// Different members, up to 16 MiB or one larger member.
static DISTINCT: Sql = Sql {
    text: "WITH drawn AS MATERIALIZED (
               SELECT identity, row_number() OVER () AS number FROM (
                   SELECT identity FROM {schema}.set_members WHERE keyspace = $1 AND key = $2 ORDER BY random() LIMIT $3) AS random)
           SELECT member FROM (
               SELECT coalesce(member, stored.identity) AS member, number,
                   sum(octet_length(coalesce(member, stored.identity))) OVER (ORDER BY number) - octet_length(coalesce(member, stored.identity)) AS before
               FROM drawn JOIN {schema}.set_members AS stored ON stored.keyspace = $1 AND stored.key = $2 AND stored.identity = drawn.identity) AS sized
           WHERE before < 16777216 ORDER BY number",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// Members that may repeat, up to 16 MiB or one larger member.
static REPEATED: Sql = Sql {
    text: "WITH numbered AS MATERIALIZED (
               SELECT identity, row_number() OVER () AS place, count(*) OVER () AS size
               FROM {schema}.set_members WHERE keyspace = $1 AND key = $2),
           drawn AS MATERIALIZED (
               SELECT number, 1 + floor(random() * (SELECT max(size) FROM numbered))::bigint AS place FROM generate_series(1, $3) AS number)
           SELECT member FROM (
               SELECT coalesce(member, stored.identity) AS member, number,
                   sum(octet_length(coalesce(member, stored.identity))) OVER (ORDER BY number) - octet_length(coalesce(member, stored.identity)) AS before
               FROM drawn JOIN numbered ON numbered.place = drawn.place
                   JOIN {schema}.set_members AS stored ON stored.keyspace = $1 AND stored.key = $2 AND stored.identity = numbered.identity) AS sized
           WHERE before < 16777216 ORDER BY number",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// Takes different members, up to 16 MiB or one larger member. Members that other calls are taking are passed over.
static POP: Sql = Sql {
    text: "WITH drawn AS MATERIALIZED (
               SELECT identity, octet_length(coalesce(member, identity)) AS size FROM {schema}.set_members WHERE keyspace = $1 AND key = $2
               ORDER BY random() LIMIT $3 FOR UPDATE SKIP LOCKED),
           sized AS MATERIALIZED (SELECT identity, sum(size) OVER (ORDER BY identity) - size AS before FROM drawn)
           DELETE FROM {schema}.set_members AS stored USING sized
           WHERE stored.keyspace = $1 AND stored.key = $2 AND stored.identity = sized.identity AND sized.before < 16777216
           RETURNING coalesce(stored.member, stored.identity)",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

fn read_members(rows: &[Row]) -> Vec<bytes::Bytes> {
    rows.iter().map(|row| read_bytes(row, 0)).collect()
}

#[async_trait]
impl SetRandom for Sets {
    async fn get_random_member(&self, context: &Context, request: GetRandomMemberRequest) -> Result<GetRandomMemberResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let limit = i64::try_from(random_limit(request.limit)?).unwrap_or(1);
        let id = self.keyspace.id(context).await?;
        let statement = if request.allow_repeats { &REPEATED } else { &DISTINCT };
        let rows = self.keyspace.database.query(context, statement, &[&id, &&request.key[..], &limit]).await?;
        Ok(GetRandomMemberResponse { members: read_members(&rows) })
    }

    async fn pop_random_member(&self, context: &Context, request: PopRandomMemberRequest) -> Result<PopRandomMemberResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        let limit = i64::try_from(random_limit(request.limit)?).unwrap_or(1);
        let id = self.keyspace.id(context).await?;
        // The transaction is only committed when the members are here, so that a caller who leaves takes none.
        let mut session = self.keyspace.database.session(context).await?;
        let [rows] = session.begin(None, [(&POP, &[&id, &&request.key[..], &limit])]).await?;
        session.commit([]).await?;
        Ok(PopRandomMemberResponse { members: read_members(&rows) })
    }
}
