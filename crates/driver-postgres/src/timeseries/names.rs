//! The names of series in the table `series_names`.

use tokio_postgres::types::Type;

use super::TimeSeries;
use crate::{error, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::lock::lock;

/// Ids of names that a keyspace remembers.
const MAX_KNOWN_NAMES: usize = 10_000;

static FIND: Sql =
    Sql { text: "SELECT id FROM {schema}.series_names WHERE keyspace = $1 AND name = $2", types: &[Type::INT8, Type::BYTEA] };

/// Creates a name, if no other gateway has.
static CREATE: Sql = Sql {
    text: "INSERT INTO {schema}.series_names (keyspace, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    types: &[Type::INT8, Type::BYTEA],
};

impl TimeSeries {
    /// The id of a name; `None` if it has never had a series or a retention.
    pub async fn find_name(&self, context: &Context, name: &str) -> Result<Option<i64>, Error> {
        let known = lock(&self.names).get(name).copied();
        if known.is_some() {
            return Ok(known);
        }
        let keyspace = self.keyspace.id(context).await?;
        let row = self.keyspace.database.query_optional(context, &FIND, &[&keyspace, &name.as_bytes()]).await?;
        Ok(row.map(|row| self.remember(name, row.get(0))))
    }

    /// The id of a name, which is created if necessary.
    pub async fn open_name(&self, context: &Context, name: &str) -> Result<i64, Error> {
        if let Some(id) = self.find_name(context, name).await? {
            return Ok(id);
        }
        let keyspace = self.keyspace.id(context).await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&keyspace, &name.as_bytes()];
        let [_, rows] = self.keyspace.database.query_two(context, (&CREATE, &parameters), (&FIND, &parameters)).await?;
        let row = rows.first().ok_or_else(error::unexpected_reply)?;
        Ok(self.remember(name, row.get(0)))
    }

    fn remember(&self, name: &str, id: i64) -> i64 {
        let mut names = lock(&self.names);
        if names.len() >= MAX_KNOWN_NAMES {
            names.clear();
        }
        names.insert(name.to_owned(), id);
        id
    }
}
