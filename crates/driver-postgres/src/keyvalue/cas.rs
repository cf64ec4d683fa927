//! `keyvalue_cas`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::KeyValue;
use crate::columns::{column_revision, column_time, unsigned};
use crate::{database::Parameters, error, sql::Sql};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, keyvalue::check_expected_revision, time};

/// Attempts of a comparison whose key changed between the comparison and the read that reports the current revision.
const MAX_ATTEMPTS: u32 = 16;

/// Stores the value if the key does not exist.
static CREATE: Sql = Sql {
    text: "INSERT INTO {schema}.entries AS entry (keyspace, key, revision, create_revision, version, flags, expires, value)
           SELECT $1, $2, next, next, 1, $3, $4, $5 FROM (SELECT {next_revision} AS next) AS new
           ON CONFLICT (keyspace, key) DO UPDATE SET
               (revision, create_revision) = (SELECT next, next FROM (SELECT {next_revision} AS next) AS new),
               version = 1, flags = excluded.flags, expires = excluded.expires, value = excluded.value
           WHERE entry.expires <= clock_timestamp()
           RETURNING revision",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::TIMESTAMPTZ, Type::BYTEA],
};

/// Stores the value if the key has the expected revision.
static SWAP: Sql = Sql {
    text: "UPDATE {schema}.entries SET revision = {next_revision}, version = version + 1, flags = $3, expires = $4, value = $5
           WHERE keyspace = $1 AND key = $2 AND revision = $6 AND (expires IS NULL OR expires > clock_timestamp())
           RETURNING revision",
    types: &[Type::INT8, Type::BYTEA, Type::INT8, Type::TIMESTAMPTZ, Type::BYTEA, Type::INT8],
};

static DELETE: Sql = Sql {
    text: "DELETE FROM {schema}.entries
           WHERE keyspace = $1 AND key = $2 AND revision = $3 AND (expires IS NULL OR expires > clock_timestamp())
           RETURNING revision",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// Reads the current revision.
static REVISION: Sql = Sql {
    text: "SELECT revision FROM {schema}.entries WHERE keyspace = $1 AND key = $2 AND (expires IS NULL OR expires > now())",
    types: &[Type::INT8, Type::BYTEA],
};

/// The result of a comparison.
enum Compared {
    /// The revision was the expected one. Holds what the statement returned.
    Equal(u64),
    /// Another revision; 0 if the key does not exist.
    Other(u64),
}

impl KeyValue {
    /// Executes a statement that compares the revision and writes, together with a read of the current revision.
    async fn compare(
        &self,
        context: &Context,
        expected: u64,
        statement: (&'static Sql, Parameters<'_>),
        read: Parameters<'_>,
    ) -> Result<Compared, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let [written, current] = self.keyspace.database.query_two(context, statement, (&REVISION, read)).await?;
            if let Some(row) = written.first() {
                return Ok(Compared::Equal(unsigned(row.get(0))));
            }
            let current = current.first().map_or(0, |row| unsigned(row.get(0)));
            // It had another revision when it was compared, and has the expected one now: only the next comparison has a valid result.
            if current != expected {
                return Ok(Compared::Other(current));
            }
        }
        Err(error::unavailable("other clients kept writing the key", std::time::Duration::from_millis(50)))
    }
}

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, context: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        let CompareAndSwapRequest { key, expected_revision, value, ttl, flags } = request;
        check::key(&self.keyspace.limits, &key)?;
        check::value(&self.keyspace.limits, "value", &value)?;
        let expires = column_time(time::expiry(ttl.as_ref())?);
        let id = self.keyspace.id(context).await?;
        let (key, value, flags, revision) = (&key[..], &value[..], flags.cast_signed(), column_revision(expected_revision));
        let compared = if expected_revision == 0 {
            let create: Parameters<'_> = &[&id, &key, &flags, &expires, &value];
            self.compare(context, 0, (&CREATE, create), &[&id, &key]).await?
        } else {
            let swap: Parameters<'_> = &[&id, &key, &flags, &expires, &value, &revision];
            self.compare(context, expected_revision, (&SWAP, swap), &[&id, &key]).await?
        };
        Ok(match compared {
            Compared::Equal(revision) => CompareAndSwapResponse { swapped: true, revision },
            Compared::Other(revision) => CompareAndSwapResponse { swapped: false, revision },
        })
    }

    async fn compare_and_delete(&self, context: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.keyspace.limits, &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let id = self.keyspace.id(context).await?;
        let (key, revision) = (&request.key[..], column_revision(request.expected_revision));
        let delete: Parameters<'_> = &[&id, &key, &revision];
        Ok(match self.compare(context, request.expected_revision, (&DELETE, delete), &[&id, &key]).await? {
            Compared::Equal(revision) => CompareAndDeleteResponse { deleted: true, revision },
            Compared::Other(revision) => CompareAndDeleteResponse { deleted: false, revision },
        })
    }
}
