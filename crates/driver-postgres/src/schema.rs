//! The tables, as numbered migrations. A released migration never changes; changes are new migrations at the end.

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{error::Problem, sql::quote_literal};

/// Migration `n` updates the tables from version `n` to version `n + 1`.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_keyvalue.sql"),
    include_str!("migrations/0002_queue.sql"),
    include_str!("migrations/0003_changes.sql"),
    include_str!("migrations/0004_streams.sql"),
    include_str!("migrations/0005_topics.sql"),
    include_str!("migrations/0006_collections.sql"),
    include_str!("migrations/0007_documents.sql"),
    include_str!("migrations/0008_graphs.sql"),
    include_str!("migrations/0009_timeseries.sql"),
];

/// The first half of the key of the advisory lock: "PRSM". The second half is the hash of the schema's name.
const LOCK: i32 = 0x5052_534D;

/// The version that this build supports.
fn latest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Updates the tables to the latest version in one transaction. If several gateways call it at the same time, the first one updates, and
/// the others wait for its lock and then find nothing to do. `identifier` is the quoted name of the schema.
pub async fn migrate(client: &Client, schema: &str, identifier: &str) -> Result<(), Problem> {
    let read_version = format!("SELECT max(version) FROM {identifier}.migrations");
    let version = match number(client, &read_version).await {
        Err(problem) if problem.is_missing_table() => None,
        version => version?,
    };
    match version {
        Some(version) if version > latest() => return Err(Problem::NewerTables { found: version, known: latest() }),
        Some(version) if version == latest() => return Ok(()),
        _ => {}
    }
    let name = quote_literal(schema);
    // The migration of a large table may take longer than other statements may.
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK}, hashtext({name}))"
        ))
        .await?;
    // The right to create schemas is only needed if it does not exist.
    if number(client, &format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {name}")).await?.is_none() {
        client.batch_execute(&format!("CREATE SCHEMA {identifier}")).await?;
    }
    client
        .batch_execute(&format!(
            "SET LOCAL client_min_messages = warning; SET LOCAL search_path = {identifier};
             CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        ))
        .await?;
    let version = number(client, &read_version).await?.unwrap_or(0);
    if version > latest() {
        return Err(Problem::NewerTables { found: version, known: latest() });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(0)) {
        client.batch_execute(&format!("{migration}; INSERT INTO migrations (version) VALUES ({version})")).await?;
    }
    Ok(client.batch_execute("COMMIT").await?)
}

/// The number in the first row of a result; `None` if there is no row or no number.
async fn number(client: &Client, query: &str) -> Result<Option<i32>, Problem> {
    let messages = client.simple_query(query).await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).and_then(|text| text.parse().ok()),
        _ => None,
    }))
}
