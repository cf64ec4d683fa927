//! The key-value interfaces: one row for each key.

mod basic;
mod batch;
mod cas;
mod rows;
mod scan;
mod transact;
mod ttl;

use std::sync::Arc;

use super::space::{Database, Space};
use prism_call::{Error, proto::Interfaces};
use prism_driver::transactions::Transactions;

/// Expired rows that go in one write, so that no other write waits long.
const SWEEP: usize = 500;

/// All six interfaces over one keyspace.
pub struct KeyValue {
    space: Arc<Space>,
}

/// Adds them to what the driver implements.
pub fn add(interfaces: &mut Interfaces, space: &Arc<Space>) {
    let keyvalue = Arc::new(KeyValue { space: space.clone() });
    interfaces.keyvalue_basic = Some(keyvalue.clone());
    interfaces.keyvalue_batch = Some(keyvalue.clone());
    interfaces.keyvalue_cas = Some(keyvalue.clone());
    interfaces.keyvalue_scan = Some(keyvalue.clone());
    interfaces.keyvalue_ttl = Some(keyvalue.clone());
    interfaces.keyvalue_transactional = Some(Arc::new(Transactions::new(keyvalue)));
}

/// Removes what has expired.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    // Look first: a write would take the file's lock for nothing.
    while database.readers.quick(rows::any_expired).await? {
        database.writer.write(|tx| rows::remove_expired(tx, SWEEP)).await?;
    }
    Ok(())
}
