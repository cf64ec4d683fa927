//! KeyValue: one row for each key.

mod basic;
mod batch;
mod cas;
mod rows;
mod scan;
mod transactional;
mod ttl;
mod watch;

use std::sync::Arc;

use self::watch::Watch;
use crate::{database::Database, history, keyspace::KeyspaceHandle};
use prism_call::{Error, proto::Interfaces};
use prism_driver::transactions::Transactions;

/// Expired rows that one write removes. The number is limited so that other writes don't wait long.
const EXPIRED_PER_WRITE: usize = 500;

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

/// Removes expired rows and ended histories of all keyspaces.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    // Reads first: a write would lock the file even if nothing has expired.
    while database.readers.quick(rows::any_expired).await? {
        database.remove(|tx| rows::remove_expired(tx, EXPIRED_PER_WRITE)).await?;
    }
    if database.readers.quick(|connection| Ok(history::any_ended(connection)?)).await? {
        while database.remove(|tx| Ok(history::remove_ended(tx.connection, EXPIRED_PER_WRITE)?)).await? {}
    }
    Ok(())
}
