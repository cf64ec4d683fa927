//! `document_query`, in pages: no connection is in use while a client is slow.

use std::{fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost_types::{Struct, Value};
use tokio_postgres::Row;

use super::{
    Documents,
    condition::write_filter,
    rows::{COLUMNS, LIVE, read_document, read_value},
    statement::{INDEXED_BYTES, Statement},
    table,
};
use crate::{error, parameter::Parameter};
use prism_call::{
    Context, Error, Messages,
    proto::models::document::v1::{
        AccumulatorFunction, AggregateRequest, AggregateResponse, DocumentQuery, FindOneRequest, FindOneResponse, FindRequest, FindResponse,
    },
};
use prism_driver::document::{
    StoredDocument,
    aggregate::{Aggregation, Groups, MAX_GROUPS, MAX_HELD_BYTES, too_many_groups},
    find::Query,
    order::Place,
    value,
};

/// Rows of the first page, when the size of documents is not known.
const FIRST_PAGE_ROWS: usize = 16;
/// Most rows of a page.
const PAGE_ROWS: usize = 512;
/// Bytes that a page should have.
const PAGE_BYTES: usize = 2 << 20;
/// A page ends after the document with which its bodies exceed this number of bytes. Its statement is cancelled then, which closes the connection, so
/// this is only for documents that are much larger than those of the page before.
const MAX_PAGE_BYTES: usize = 4 * PAGE_BYTES;

/// The state of a query.
struct Reader {
    documents: Documents,
    context: Context,
    collection: i64,
    query: Query,
    /// Documents until the limit of the request.
    remaining: usize,
    /// Rows of the next page.
    rows: usize,
}

/// A document with its place, encoded.
type Placed = (StoredDocument, Vec<u8>);

impl Reader {
    /// Reads the next page. Returns it with the reader for the page after it, or with `None` if it was the last one.
    async fn page(mut self) -> Result<Option<(Vec<Placed>, Option<Self>)>, Error> {
        let most = self.remaining.min(self.rows);
        if most == 0 {
            return Ok(None);
        }
        let database = self.documents.database();
        let mut statement = Statement::new(database.schema());
        let text = self.write(&mut statement, most);
        let (mut page, mut last, mut bytes) = (Vec::new(), None, 0_usize);
        let add = |row: &Row| {
            let (document, place) = self.read(row)?;
            bytes += row.get::<_, &str>(5).len();
            page.push((document, self.query.order.encode(&place)));
            last = Some(place);
            if bytes > MAX_PAGE_BYTES { Err(Error::internal("the page has enough documents")) } else { Ok(()) }
        };
        let read = database.read_rows(&self.context, &text, &statement.parameters, add).await;
        let is_full = bytes > MAX_PAGE_BYTES;
        if !is_full {
            read?;
        }
        let more = is_full || page.len() == most;
        if last.is_some() {
            self.query.after = last;
        }
        self.remaining -= page.len();
        self.query.skip = 0;
        self.rows = (PAGE_BYTES / (bytes / page.len().max(1)).max(1)).clamp(1, PAGE_ROWS);
        Ok(Some((page, more.then_some(self))))
    }

    fn read(&self, row: &Row) -> Result<(StoredDocument, Place), Error> {
        let document = read_document(row)?;
        let keys = (0..self.query.order.keys().len()).map(|number| row.get::<_, &[u8]>(6 + number).to_vec()).collect();
        let place = Place { keys, id: document.id.to_string() };
        Ok((document, place))
    }

    /// Writes the statement of a page.
    fn write(&self, statement: &mut Statement<'_>, rows: usize) -> String {
        let mut conditions = vec![LIVE.to_owned(), write_filter(statement, &self.query.filter)];
        let (mut columns, mut order, mut keys) = (String::new(), String::new(), Vec::new());
        for key in self.query.order.keys() {
            let field = statement.field("body", &key.path);
            let whole = statement.key(&field);
            let direction = if key.descending { "DESC" } else { "ASC" };
            // Writing to a string does not fail.
            let _ = write!(columns, ", {whole}");
            let _ = write!(order, "{} {direction}, {whole} {direction}, ", statement.indexed_key(&field));
            keys.push((whole, statement.indexed_key(&field), key.descending));
        }
        if let Some(after) = &self.query.after {
            conditions.push(write_after(statement, &keys, after));
        }
        let limit = statement.parameter(Parameter::Number(i64::try_from(rows).unwrap_or(i64::MAX)));
        let skip = statement.parameter(Parameter::Number(i64::try_from(self.query.skip).unwrap_or(i64::MAX)));
        format!(
            "SELECT {COLUMNS}{columns} FROM {} WHERE {} ORDER BY {order}id LIMIT {limit} OFFSET {skip}",
            table(statement.schema, self.collection),
            conditions.join(" AND ")
        )
    }

    fn documents(self) -> impl stream::Stream<Item = Result<Placed, Error>> + Send {
        stream::try_unfold(Some(self), |reader| async move {
            match reader {
                Some(reader) => reader.page().await,
                None => Ok(None),
            }
        })
        .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
        .try_flatten()
    }
}

/// The condition that a row comes after a place.
fn write_after(statement: &mut Statement<'_>, keys: &[(String, String, bool)], after: &Place) -> String {
    let id = statement.parameter(Parameter::Bytes(after.id.as_bytes().to_vec()));
    let mut condition = format!("id > {id}");
    for ((key, _, descending), value) in keys.iter().zip(&after.keys).rev() {
        let value = statement.parameter(Parameter::Bytes(value.clone()));
        let operator = if *descending { "<" } else { ">" };
        condition = format!("({key} {operator} {value} OR ({key} = {value} AND {condition}))");
    }
    // For an index: what follows for the first key.
    if let (Some((_, indexed, descending)), Some(value)) = (keys.first(), after.keys.first()) {
        let first = statement.parameter(Parameter::Bytes(value[..value.len().min(INDEXED_BYTES)].to_vec()));
        let operator = if *descending { "<=" } else { ">=" };
        condition = format!("{indexed} {operator} {first} AND {condition}");
    }
    condition
}

/// Writes the statement of an aggregation. Each row has the group keys as JSON texts, and then two columns for each computed one.
fn write_aggregation(statement: &mut Statement<'_>, collection: i64, aggregation: &Aggregation) -> String {
    let filter = write_filter(statement, &aggregation.filter);
    let fields: Vec<String> = aggregation.paths.iter().map(|path| statement.field("body", path)).collect();
    let groups: Vec<&str> = aggregation.group_fields().map(|field| fields[field].as_str()).collect();
    // The fields are columns of the inner query, so that a parameter in a group key is the same one everywhere.
    let inner: Vec<String> = fields.iter().enumerate().map(|(number, field)| format!("{field} AS f{number}")).collect();
    let inner = if inner.is_empty() { "1 AS none".to_owned() } else { inner.join(", ") };
    let numbers: Vec<String> = aggregation.group_fields().map(|field| format!("f{field}")).collect();
    let mut columns: Vec<String> = numbers.iter().map(|field| format!("{field}::text")).collect();
    for (function, field) in aggregation.computed() {
        let field = field.map(|field| format!("f{field}"));
        let number =
            field.as_ref().map(|field| format!("CASE WHEN jsonb_typeof({field}) = 'number' THEN {field}::numeric END")).unwrap_or_default();
        columns.push(match (function, field) {
            (AccumulatorFunction::Count | AccumulatorFunction::Unspecified, None) => "count(*)::text, count(*)".to_owned(),
            (AccumulatorFunction::Count | AccumulatorFunction::Unspecified, Some(field)) => format!("count({field})::text, count(*)"),
            (AccumulatorFunction::CountDistinct, field) => format!("count(DISTINCT {})::text, count(*)", field.unwrap_or_default()),
            (AccumulatorFunction::Sum | AccumulatorFunction::Average, _) => format!("sum({number})::text, count({number})"),
            (AccumulatorFunction::Min, _) => format!("min({number})::text, count({number})"),
            (AccumulatorFunction::Max, _) => format!("max({number})::text, count({number})"),
        });
    }
    let group = if groups.is_empty() { String::new() } else { format!("GROUP BY {}", numbers.join(", ")) };
    format!(
        "SELECT {} FROM (SELECT {inner} FROM {} WHERE {LIVE} AND {filter}) AS documents {group} LIMIT {}",
        columns.join(", "),
        table(statement.schema, collection),
        MAX_GROUPS + 1
    )
}

/// The row of a group.
fn read_group(aggregation: &Aggregation, row: &Row) -> Result<(Struct, usize), Error> {
    let groups = aggregation.group_fields().count();
    let mut keys: Vec<Option<Value>> = Vec::with_capacity(groups);
    let mut bytes = 0;
    for column in 0..groups {
        let text: Option<&str> = row.get(column);
        bytes += text.map_or(0, str::len);
        keys.push(text.map(read_value).transpose()?);
    }
    let mut computed = Vec::new();
    for (number, (function, _)) in aggregation.computed().enumerate() {
        let text: Option<&str> = row.get(groups + 2 * number);
        let count: i64 = row.get(groups + 2 * number + 1);
        computed.push(computed_value(function, text, count).ok_or_else(error::unexpected_reply)?);
    }
    Ok((aggregation.row(keys, computed.into_iter()), bytes))
}

#[expect(clippy::cast_precision_loss, reason = "numbers have the precision of a double")]
fn computed_value(function: AccumulatorFunction, text: Option<&str>, count: i64) -> Option<Value> {
    let number: Option<f64> = text.map(str::parse).transpose().ok()?;
    // PostgreSQL adds without a limit; the greatest double stands for all sums that are greater.
    Some(match (function, number) {
        (AccumulatorFunction::Sum, number) => value::number(number.unwrap_or(0.0).clamp(f64::MIN, f64::MAX)),
        (_, None) => value::null(),
        (AccumulatorFunction::Average, Some(sum)) => value::number(sum.clamp(f64::MIN, f64::MAX) / count as f64),
        (_, Some(number)) => value::number(number),
    })
}

impl Documents {
    async fn reader(&self, context: &Context, query: Query) -> Result<Option<Reader>, Error> {
        let Some(collection) = self.find_collection(context, &query.collection).await? else { return Ok(None) };
        let (documents, context, remaining) = (self.clone(), context.clone(), query.limit);
        Ok(Some(Reader { documents, context, collection, query, remaining, rows: FIRST_PAGE_ROWS }))
    }
}

#[async_trait]
impl DocumentQuery for Documents {
    async fn find(&self, context: &Context, request: FindRequest) -> Result<Messages<FindResponse>, Error> {
        let query = Query::new(request)?;
        let sent = Arc::new(query.clone());
        Ok(match self.reader(context, query).await? {
            None => stream::empty().boxed(),
            Some(reader) => reader.documents().map_ok(move |(document, place)| sent.response(document, &place)).boxed(),
        })
    }

    async fn find_one(&self, context: &Context, request: FindOneRequest) -> Result<FindOneResponse, Error> {
        let query = Query::first(request)?;
        let sent = query.clone();
        let Some(reader) = self.reader(context, query).await? else { return Ok(FindOneResponse::default()) };
        let first = reader.page().await?.and_then(|(page, _)| page.into_iter().next());
        Ok(FindOneResponse { document: first.map(|(document, _)| sent.document(document)) })
    }

    async fn aggregate(&self, context: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let aggregation = Aggregation::new(request)?;
        let Some(collection) = self.find_collection(context, &aggregation.collection).await? else {
            return Ok(stream::iter(Groups::new(aggregation).finish().into_iter().map(Ok)).boxed());
        };
        let database = self.database();
        let mut statement = Statement::new(database.schema());
        let text = write_aggregation(&mut statement, collection, &aggregation);
        let (mut groups, mut held) = (Vec::new(), 0);
        let read = |row: &Row| {
            let (group, bytes) = read_group(&aggregation, row)?;
            held += bytes;
            if groups.len() == MAX_GROUPS {
                return Err(too_many_groups("groups", MAX_GROUPS));
            }
            if held > MAX_HELD_BYTES {
                return Err(too_many_groups("bytes of different values", MAX_HELD_BYTES));
            }
            groups.push(group);
            Ok(())
        };
        database.read_rows(context, &text, &statement.parameters, read).await?;
        Ok(stream::iter(aggregation.select(groups.into_iter()).into_iter().map(Ok)).boxed())
    }
}
