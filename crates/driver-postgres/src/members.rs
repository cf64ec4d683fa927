//! The members of consumer groups in this gateway, which it renews in the database.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_postgres::types::Type;

use crate::{database::Database, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::lock::lock;

/// How often members are renewed. They expire 30 seconds after they were renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(8);

/// A member that is locked is renewing itself, or is being removed. Waiting for one would delay the others, and could be a deadlock.
static RENEW: Sql = Sql {
    text: "WITH unlocked AS MATERIALIZED (SELECT id FROM {schema}.members WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED)
           UPDATE {schema}.members AS member SET expires = clock_timestamp() + interval '30 seconds' FROM unlocked WHERE member.id = unlocked.id",
    types: &[Type::INT8_ARRAY],
};

/// The ids of the members in this gateway.
#[derive(Default)]
pub struct Members {
    ids: Mutex<HashSet<i64>>,
}

/// A member is renewed until this is dropped.
pub struct RenewedMember {
    members: Arc<Members>,
    id: i64,
}

impl Members {
    /// Renews a member from now on.
    pub fn add(self: &Arc<Self>, id: i64) -> RenewedMember {
        lock(&self.ids).insert(id);
        RenewedMember { members: self.clone(), id }
    }
}

impl Drop for RenewedMember {
    fn drop(&mut self) {
        lock(&self.members.ids).remove(&self.id);
    }
}

/// Renews the members, even if their clients don't read, until its task is aborted.
pub async fn renew_members(members: Arc<Members>, database: Arc<Database>) {
    let context = Context::internal("");
    loop {
        tokio::time::sleep(RENEW_INTERVAL).await;
        if let Err(error) = renew(&members, &database, &context).await {
            tracing::debug!(%error, "members of consumer groups could not be renewed; their records may be delivered again");
        }
    }
}

async fn renew(members: &Members, database: &Database, context: &Context) -> Result<(), Error> {
    let ids: Vec<i64> = lock(&members.ids).iter().copied().collect();
    if ids.is_empty() {
        return Ok(());
    }
    database.query(context, &RENEW, &[&ids]).await.map(drop)
}
