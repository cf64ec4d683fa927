//! `document_basic`

use async_trait::async_trait;
use tokio_postgres::{Row, types::Type};

use super::{
    Documents, remove_expired,
    rows::{COLUMNS, LIVE, body_text, read_document},
    table,
};
use crate::{
    columns::{column_revision, column_time, read_time, unsigned},
    parameter::Parameter,
    sql::Sql,
};
use prism_call::{
    Code, Context, Error,
    proto::models::document::v1::{
        DeleteRequest, DeleteResponse, DocumentBasic, GetRequest, GetResponse, InsertRequest, InsertResponse, UpdateRequest, UpdateResponse,
    },
};
use prism_driver::{
    document::{
        Facts, StoredDocument, check_collection, check_id, document_exists,
        projection::Projection,
        unique_violation,
        update::{NewDocument, Update, Written, check_delete},
    },
    time,
};

/// The texts of statements on the table of a collection.
struct Texts<'d> {
    table: String,
    next_revision: &'d str,
}

impl Texts<'_> {
    /// Inserts a row, in place of one that has expired.
    fn insert(&self) -> String {
        let Self { table, next_revision } = self;
        format!(
            "INSERT INTO {table} AS document (id, revision, created, updated, expires, body)
             SELECT $1, {next_revision}, now, now, $2, $3::text::jsonb
             FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, created = excluded.created, updated = excluded.updated,
                 expires = excluded.expires, body = excluded.body
             WHERE document.expires <= clock_timestamp()
             RETURNING revision, created"
        )
    }

    fn get(&self) -> String {
        format!("SELECT {COLUMNS} FROM {} WHERE id = $1 AND {LIVE}", self.table)
    }

    /// Writes a row that was not written since it was read.
    fn update(&self) -> String {
        let Self { table, next_revision } = self;
        format!(
            "UPDATE {table} SET revision = {next_revision}, updated = date_trunc('milliseconds', clock_timestamp()), expires = $3,
                 body = $4::text::jsonb
             WHERE id = $1 AND revision = $2 AND (expires IS NULL OR expires > clock_timestamp())
             RETURNING revision, updated"
        )
    }

    /// Deletes a row with a revision; any if it is NULL.
    fn delete(&self) -> String {
        format!(
            "DELETE FROM {} WHERE id = $1 AND ($2::bigint IS NULL OR revision = $2)
             RETURNING revision, expires IS NULL OR expires > clock_timestamp()",
            self.table
        )
    }
}

static INDEX_NAME: Sql = Sql { text: "SELECT name FROM {schema}.document_indexes WHERE number = $1", types: &[Type::INT8] };

/// The only row of a result, if it has one.
fn first(rows: Result<Vec<Row>, Error>) -> Result<Option<Row>, Error> {
    rows.map(|rows| rows.into_iter().next())
}

/// A document to insert into a collection.
struct Insertion<'i> {
    collection: i64,
    id: &'i str,
    body: &'i str,
    expires: Option<time::Millis>,
}

impl Documents {
    /// Executes a statement that writes a document. If a unique index refuses it, documents that have expired are removed, and it is executed
    /// again.
    async fn write_row(&self, context: &Context, collection: i64, text: &str, parameters: &[Parameter]) -> Result<Option<Row>, Error> {
        let database = self.database();
        match first(database.query_text(context, text, parameters).await) {
            Err(error) if error.reason() == "UNIQUE_VIOLATION" => {}
            result => return result,
        }
        // It is executed again even if none was there: the sweeper may have removed it meanwhile. If another transaction removes it now, the
        // statement waits for that transaction.
        remove_expired(database, context, collection).await?;
        let refused = match first(database.query_text(context, text, parameters).await) {
            Err(error) if error.reason() == "UNIQUE_VIOLATION" => error,
            result => return result,
        };
        // The error has the name of the index in the database.
        let number: Option<i64> = refused.get("index").and_then(|index| index.rsplit('_').next()?.parse().ok());
        let Some(number) = number else { return Err(refused) };
        let row = database.query_optional(context, &INDEX_NAME, &[&number]).await?;
        Err(row.map_or(refused, |row| unique_violation(row.get(0))))
    }

    fn texts(&self, collection: i64) -> Texts<'_> {
        let database = self.database();
        Texts { table: table(database.schema(), collection), next_revision: database.next_revision() }
    }

    /// Inserts a document; `None` if its id is taken.
    async fn insert_row(&self, context: &Context, insertion: &Insertion<'_>) -> Result<Option<Facts>, Error> {
        let Insertion { collection, id, body, expires } = insertion;
        if expires.is_some() {
            self.mark_expiring(context, *collection).await?;
        }
        let parameters =
            [Parameter::Bytes(id.as_bytes().to_vec()), Parameter::Time(column_time(*expires)), Parameter::Text((*body).to_owned())];
        let row = self.write_row(context, *collection, &self.texts(*collection).insert(), &parameters).await?;
        Ok(row.map(|row| {
            let created = read_time(&row, 1).unwrap_or(0);
            Facts { revision: unsigned(row.get(0)), created, updated: created, expires: *expires }
        }))
    }

    async fn get_row(&self, context: &Context, collection: i64, id: &str) -> Result<Option<StoredDocument>, Error> {
        let parameters = [Parameter::Bytes(id.as_bytes().to_vec())];
        let row = first(self.database().query_text(context, &self.texts(collection).get(), &parameters).await)?;
        row.as_ref().map(read_document).transpose()
    }

    /// Writes what an update has made of a document; `None` if the document has changed since.
    async fn write_changed(
        &self,
        context: &Context,
        collection: i64,
        present: &StoredDocument,
        written: &Written,
    ) -> Result<Option<Facts>, Error> {
        if written.expires.is_some() {
            self.mark_expiring(context, collection).await?;
        }
        let parameters = [
            Parameter::Bytes(present.id.as_bytes().to_vec()),
            Parameter::Number(column_revision(present.facts.revision)),
            Parameter::Time(column_time(written.expires)),
            Parameter::Text(body_text(&written.body)),
        ];
        let row = self.write_row(context, collection, &self.texts(collection).update(), &parameters).await?;
        Ok(row.map(|row| Facts {
            revision: unsigned(row.get(0)),
            created: present.facts.created,
            updated: read_time(&row, 1).unwrap_or(0),
            expires: written.expires,
        }))
    }
}

#[async_trait]
impl DocumentBasic for Documents {
    async fn insert(&self, context: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        let NewDocument { collection, id, body, expires } = NewDocument::new(request)?;
        let body = body_text(&body);
        let insertion = Insertion { collection: self.collection(context, &collection).await?, id: &id, body: &body, expires };
        loop {
            match self.insert_row(context, &insertion).await {
                Ok(Some(facts)) => {
                    return Ok(InsertResponse { id, revision: facts.revision, create_time: Some(time::timestamp(facts.created)) });
                }
                // The id counts before the values.
                Err(error) if error.code() != Code::AlreadyExists => return Err(error),
                result => {
                    if let Some(present) = self.get_row(context, insertion.collection, &id).await? {
                        return Err(document_exists(present.facts.revision));
                    }
                    // If the other document has gone meanwhile, the next attempt may succeed.
                    result?;
                }
            }
        }
    }

    async fn update(&self, context: &Context, request: UpdateRequest) -> Result<UpdateResponse, Error> {
        let update = Update::new(request)?;
        let collection = if update.inserts() {
            self.collection(context, &update.collection).await?
        } else {
            match self.find_collection(context, &update.collection).await? {
                Some(collection) => collection,
                None => return Ok(Update::refusal(0)),
            }
        };
        // The change is made to the document as it was read. If it was written meanwhile, the change is made again.
        loop {
            let present = self.get_row(context, collection, &update.id).await?;
            let Some(written) = update.apply(present.as_ref().map(|document| (&document.body, &document.facts)))? else {
                return Ok(Update::refusal(present.map_or(0, |document| document.facts.revision)));
            };
            let facts = if let Some(present) = &present {
                self.write_changed(context, collection, present, &written).await?
            } else {
                let body = body_text(&written.body);
                self.insert_row(context, &Insertion { collection, id: &update.id, body: &body, expires: written.expires }).await?
            };
            if let Some(facts) = facts {
                let document = StoredDocument { id: update.id.as_str().into(), body: written.body, facts };
                return Ok(update.response(present.is_none(), &document));
            }
        }
    }

    async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check_delete(&request)?;
        let Some(collection) = self.find_collection(context, &request.collection).await? else {
            return Ok(DeleteResponse { deleted: false, revision: 0 });
        };
        let expected = request.expected_revision.map(column_revision);
        let parameters = [Parameter::Bytes(request.id.as_bytes().to_vec()), Parameter::OptionalNumber(expected)];
        let row = first(self.database().query_text(context, &self.texts(collection).delete(), &parameters).await)?;
        match row {
            Some(row) if row.get(1) => Ok(DeleteResponse { deleted: true, revision: unsigned(row.get(0)) }),
            Some(_) => Ok(DeleteResponse { deleted: false, revision: 0 }),
            None if expected.is_none() => Ok(DeleteResponse { deleted: false, revision: 0 }),
            None => {
                let present = self.get_row(context, collection, &request.id).await?;
                Ok(DeleteResponse { deleted: false, revision: present.map_or(0, |document| document.facts.revision) })
            }
        }
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check_collection(&request.collection)?;
        check_id(&request.id)?;
        let projection = Projection::new(&request.fields)?;
        let Some(collection) = self.find_collection(context, &request.collection).await? else { return Ok(GetResponse::default()) };
        let document = self.get_row(context, collection, &request.id).await?;
        let document = document.map(|StoredDocument { body, facts, .. }| facts.into_document(request.id, projection.apply_to(body)));
        Ok(GetResponse { document })
    }
}
