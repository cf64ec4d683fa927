//! `keyvalue_transactional`: the atomic operation. Interactive transactions are in `prism_driver::transactions`.
//!
//! All rows of the request are locked first, in the order of their keys. For a key without a row, a row that has already expired is
//! inserted: it holds the place, so that nobody can create the key before the end of the transaction. The conditions and operations are then
//! evaluated in this process, and the result is written.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::types::Type;

use super::{
    KeyValue,
    transact::{KeyState, Transaction},
};
use crate::columns::{column_time, read_bytes, read_metadata, unsigned};
use crate::{error, sql::Sql};
use prism_call::{
    Code, Context, Error,
    proto::models::keyvalue::v1::{Entry, Operation, TransactRequest, TransactResponse, condition::Predicate, operation::Action},
};
use prism_driver::{Limits, transactions::AtomicStore};

/// Attempts when other transactions are in the way.
const MAX_ATTEMPTS: u32 = 4;

/// Locks the rows of keys, and inserts those that are missing. PostgreSQL locks a row even if the condition of `DO UPDATE` is false.
static LOCK: Sql = Sql {
    text: "INSERT INTO {schema}.entries AS entry (keyspace, key, revision, create_revision, version, flags, expires, value)
           SELECT $1, key, 0, 0, 0, 0, '-infinity', '' FROM unnest($2::bytea[]) AS keys (key)
           ON CONFLICT (keyspace, key) DO UPDATE SET flags = entry.flags WHERE false",
    types: &[Type::INT8, Type::BYTEA_ARRAY],
};

/// Reads the entries of the locked rows, with the values of some of them.
static READ: Sql = Sql {
    text: "SELECT key, revision, create_revision, version, flags, expires, CASE WHEN key = ANY ($3) THEN value ELSE '' END
           FROM {schema}.entries WHERE keyspace = $1 AND key = ANY ($2) AND (expires IS NULL OR expires > clock_timestamp())",
    types: &[Type::INT8, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
};

/// Takes a revision. All rows are locked then, so it is greater than the revisions of all of them.
static NEXT_REVISION: Sql = Sql { text: "SELECT CASE WHEN $1 THEN {next_revision} ELSE 0 END", types: &[Type::BOOL] };

static STORE: Sql = Sql {
    text: "UPDATE {schema}.entries AS entry SET revision = $2, create_revision = item.create_revision, version = item.version,
               flags = item.flags, expires = item.expires, value = item.value
           FROM unnest($3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::bytea[])
               AS item (key, create_revision, version, flags, expires, value)
           WHERE entry.keyspace = $1 AND entry.key = item.key",
    types: &[
        Type::INT8,
        Type::INT8,
        Type::BYTEA_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::INT8_ARRAY,
        Type::TIMESTAMPTZ_ARRAY,
        Type::BYTEA_ARRAY,
    ],
};

/// Removes deleted entries, and the rows that only held a place.
static REMOVE: Sql =
    Sql { text: "DELETE FROM {schema}.entries WHERE keyspace = $1 AND key = ANY ($2)", types: &[Type::INT8, Type::BYTEA_ARRAY] };

#[async_trait]
impl AtomicStore for KeyValue {
    fn limits(&self) -> Limits {
        self.keyspace.limits
    }

    async fn get(&self, context: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        self.entry(context, key).await
    }

    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        let id = self.keyspace.id(context).await?;
        let mut attempts = 1;
        loop {
            match self.attempt(context, id, &request).await {
                Err(error) if error.code() == Code::Aborted && attempts < MAX_ATTEMPTS => attempts += 1,
                result => return result,
            }
        }
    }
}

/// The keys of a request, and those whose values it needs.
fn keys(request: &TransactRequest) -> (BTreeSet<Bytes>, BTreeSet<Bytes>) {
    let (mut all, mut read) = (BTreeSet::new(), BTreeSet::new());
    for condition in &request.conditions {
        all.insert(condition.key.clone());
        if let Some(Predicate::ValueEquals(_)) = condition.predicate {
            read.insert(condition.key.clone());
        }
    }
    for operation in request.then_operations.iter().chain(&request.else_operations) {
        match &operation.action {
            Some(Action::Set(set)) => all.insert(set.key.clone()),
            Some(Action::Delete(delete)) => all.insert(delete.key.clone()),
            Some(Action::Get(get)) => {
                read.insert(get.key.clone());
                all.insert(get.key.clone())
            }
            None => continue,
        };
    }
    (all, read)
}

fn sets(operations: &[Operation]) -> bool {
    operations.iter().any(|operation| matches!(operation.action, Some(Action::Set(_))))
}

impl KeyValue {
    async fn attempt(&self, context: &Context, id: i64, request: &TransactRequest) -> Result<TransactResponse, Error> {
        let (keys, read) = keys(request);
        let (keys, read): (Vec<&[u8]>, Vec<&[u8]>) = (keys.iter().map(|key| &key[..]).collect(), read.iter().map(|key| &key[..]).collect());
        let sets = sets(&request.then_operations) || sets(&request.else_operations);
        let mut session = self.keyspace.database.session(context).await?;
        let [_, rows, revision] =
            session.begin(None, [(&LOCK, &[&id, &keys]), (&READ, &[&id, &keys, &read]), (&NEXT_REVISION, &[&sets])]).await?;
        let revision: i64 = revision.first().ok_or_else(error::unexpected_reply)?.get(0);
        let mut transaction = Transaction::new(unsigned(revision));
        for row in &rows {
            transaction.add_entry(read_metadata(row, 1).into_entry(read_bytes(row, 0), read_bytes(row, 6)));
        }
        let response = transaction.run(request)?;

        let mut stored = Columns::default();
        let mut removed: Vec<&[u8]> = Vec::new();
        for key in &keys {
            match transaction.state(key) {
                KeyState::Stored(entry, expires) => {
                    stored.keys.push(key);
                    stored.create_revisions.push(entry.create_revision.cast_signed());
                    stored.versions.push(entry.version.cast_signed());
                    stored.flags.push(entry.flags.cast_signed());
                    stored.expires.push(column_time(expires));
                    stored.values.push(&entry.value[..]);
                }
                KeyState::Absent => removed.push(key),
                KeyState::Unchanged => {}
            }
        }
        let Columns { keys, create_revisions, versions, flags, expires, values } = stored;
        session
            .commit([
                (&STORE, &[&id, &revision, &keys, &create_revisions, &versions, &flags, &expires, &values]),
                (&REMOVE, &[&id, &removed]),
            ])
            .await?;
        Ok(response)
    }
}

/// Entries to store, as arrays.
#[derive(Default)]
struct Columns<'t> {
    keys: Vec<&'t [u8]>,
    create_revisions: Vec<i64>,
    versions: Vec<i64>,
    flags: Vec<i64>,
    expires: Vec<Option<std::time::SystemTime>>,
    values: Vec<&'t [u8]>,
}
