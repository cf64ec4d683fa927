//! KeyValue: one row for each key.

mod basic;
mod batch;
mod cas;
mod history;
mod scan;
mod transact;
mod transactional;
mod ttl;
mod watch;

use std::sync::Arc;

pub use self::history::sweep as sweep_histories;
use self::watch::Watch;
use crate::{database::Database, keyspace::KeyspaceHandle, sql::Sql};
use prism_call::{Context, Error, proto::Interfaces};
use prism_driver::transactions::Transactions;

/// Expired rows that one statement removes, so that its locks are held only for a short time.
const EXPIRED_PER_STATEMENT: usize = 500;

/// Removes expired rows of all keyspaces, except those that another transaction uses now.
static REMOVE_EXPIRED: Sql = Sql {
    text: "DELETE FROM {schema}.entries AS entry
           USING (SELECT keyspace, key FROM {schema}.entries WHERE expires <= now() LIMIT 500 FOR UPDATE SKIP LOCKED) AS expired
           WHERE entry.keyspace = expired.keyspace AND entry.key = expired.key AND entry.expires <= now()
           RETURNING 1",
    types: &[],
};

/// The key-value interfaces over one keyspace.
pub struct KeyValue {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the key-value interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let keyvalue = Arc::new(KeyValue { keyspace: keyspace.clone() });
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    interfaces.keyvalue_scan = Some(keyvalue.clone());
    interfaces.keyvalue_ttl = Some(keyvalue.clone());
    interfaces.keyvalue_transactional = Some(Arc::new(Transactions::new(keyvalue.clone())));
    interfaces.keyvalue_watch = Some(Arc::new(Watch::new(keyvalue)));
}

/// Removes expired rows of all keyspaces.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    while database.query(context, &REMOVE_EXPIRED, &[]).await?.len() >= EXPIRED_PER_STATEMENT {}
    Ok(())
}
