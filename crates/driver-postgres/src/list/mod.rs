//! List: one row for each element, by consecutive positions, so that an element is found by its index. Whoever writes takes the lock of the list.

mod basic;
mod indexing;
mod range;

use std::sync::Arc;

use tokio_postgres::{Row, types::Type};

use crate::{
    columns::unsigned,
    database::{Call, Session},
    error,
    keyspace::KeyspaceHandle,
    locks::{LOCK, lock_number},
    sql::Sql,
};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::index;

/// The position of the first element and the number of elements.
static FIND: Sql = Sql {
    text: "SELECT coalesce(min(position), 0), coalesce(max(position) - min(position) + 1, 0)
           FROM {schema}.list_elements WHERE keyspace = $1 AND key = $2",
    types: &[Type::INT8, Type::BYTEA],
};

/// The list interfaces over one keyspace.
pub struct Lists {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the list interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let lists = Arc::new(Lists { keyspace: keyspace.clone() });
    interfaces.list_basic = Some(lists.clone());
    interfaces.list_indexing = Some(lists.clone());
    interfaces.list_range = Some(lists);
}

/// Where the elements of a list are.
#[derive(Clone, Copy, Debug)]
struct Extent {
    first: i64,
    length: i64,
}

impl Extent {
    fn read(rows: &[Row]) -> Result<Self, Error> {
        let row = rows.first().ok_or_else(error::unexpected_reply)?;
        Ok(Self { first: row.get(0), length: row.get(1) })
    }

    fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(0)
    }

    /// The position of an index, if there is such an element.
    fn position(self, index: i64) -> Option<i64> {
        index::position(index, self.len()).map(|index| self.at(index))
    }

    fn at(self, index: usize) -> i64 {
        self.first + i64::try_from(index).unwrap_or(i64::MAX / 2)
    }
}

impl Lists {
    /// Executes a statement under the lock of a list. The transaction is only committed when the reply is here, so that a caller who leaves takes
    /// nothing.
    async fn query_locked(&self, context: &Context, id: i64, key: &[u8], call: Call<'_>) -> Result<Vec<Row>, Error> {
        let lock = lock_number("list", id, key);
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), call]).await?;
        session.commit([]).await?;
        Ok(rows)
    }

    /// Begins a transaction, and locks a list.
    async fn lock<'d>(&'d self, context: &'d Context, id: i64, key: &[u8]) -> Result<(Session<'d>, Extent), Error> {
        let lock = lock_number("list", id, key);
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows] = session.begin(None, [(&LOCK, &[&lock]), (&FIND, &[&id, &key])]).await?;
        let extent = Extent::read(&rows)?;
        Ok((session, extent))
    }
}

/// The number in the first column of the first row.
fn count(rows: &[Row]) -> Result<u64, Error> {
    rows.first().map(|row| unsigned(row.get(0))).ok_or_else(error::unexpected_reply)
}
