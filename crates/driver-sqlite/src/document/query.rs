//! `document_query`, in pages: no read transaction stays open while a client is slow, because it would prevent checkpoints.
//!
//! SQLite finds the rows for which a condition may hold, if possible with an index, and sorts them. The whole condition is evaluated on what it returns.

use std::{fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    Documents,
    indexing::key_of,
    rows::{self, COLUMNS},
};
use crate::{error::DatabaseResult, keyspace::KeyspaceHandle, scan::scan};
use prism_call::{
    Context, Error, Messages,
    proto::models::document::v1::{
        AggregateRequest, AggregateResponse, DocumentQuery, FindOneRequest, FindOneResponse, FindRequest, FindResponse,
    },
};
use prism_driver::{
    document::{
        StoredDocument,
        aggregate::{Aggregation, Groups},
        filter::Filter,
        find::Query,
        json,
        order::Place,
    },
    time,
};

/// Most documents of a page.
const PAGE_ROWS: usize = 256;
/// A page ends after the document with which its bodies exceed this number of bytes.
const PAGE_BYTES: usize = 1 << 20;

/// A document with its place, encoded.
type Placed = (StoredDocument, Vec<u8>);

/// The state of a query.
struct Reader {
    keyspace: Arc<KeyspaceHandle>,
    query: Query,
    /// Documents until the limit of the request.
    remaining: usize,
}

/// A page of documents.
struct Page {
    documents: Vec<Placed>,
    /// Documents that are still to be left out.
    skip: u64,
    /// Where the next page begins; `None` at the end.
    next: Option<Place>,
}

impl Reader {
    /// Reads the next page. Returns it with the reader for the page after it, or with `None` if it was the last one.
    async fn page(mut self) -> Result<Option<(Vec<Placed>, Option<Self>)>, Error> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let (query, most) = (self.query.clone(), self.remaining.min(PAGE_ROWS));
        let page = scan(&self.keyspace, move |connection, keyspace| read_page(connection, keyspace, &query, most)).await?;
        self.remaining -= page.documents.len();
        self.query.skip = page.skip;
        let more = page.next.is_some();
        self.query.after = page.next;
        Ok(Some((page.documents, more.then_some(self))))
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

/// A statement with its parameters.
struct Statement {
    text: String,
    parameters: Vec<Value>,
}

impl Statement {
    /// Selects the rows of a collection for which a filter may hold. The text has numbers of the database and paths as literals of bytes.
    fn new(columns: &str, collection: i64, filter: &Filter) -> Self {
        let text = format!("SELECT {columns} FROM documents WHERE collection = {collection}");
        let mut statement = Self { text, parameters: Vec::new() };
        let now = statement.parameter(Value::Integer(time::now()));
        // Writing to a string does not fail, here and below.
        let _ = write!(statement.text, " AND (expires IS NULL OR expires > {now})");
        filter.for_each_required(&mut |required| {
            let Some((path, range)) = required.own_range() else { return };
            let key = key_of(path);
            if range.is_one_key() {
                let value = statement.parameter(Value::Blob(range.lower));
                let _ = write!(statement.text, " AND {key} = {value}");
            } else {
                let (lower, upper) = (statement.parameter(Value::Blob(range.lower)), statement.parameter(Value::Blob(range.upper)));
                let _ = write!(statement.text, " AND {key} >= {lower} AND {key} < {upper}");
            }
        });
        statement
    }

    fn parameter(&mut self, value: Value) -> String {
        self.parameters.push(value);
        format!("?{}", self.parameters.len())
    }

    /// Adds the order of a query, and the condition that rows come after its place.
    fn add_order(&mut self, query: &Query) {
        let keys: Vec<(String, bool)> = query.order.keys().iter().map(|key| (key_of(&key.path), key.descending)).collect();
        if let Some(after) = &query.after {
            let id = self.parameter(Value::Blob(after.id.as_bytes().to_vec()));
            let mut condition = format!("id > {id}");
            for ((key, descending), value) in keys.iter().zip(&after.keys).rev() {
                let value = self.parameter(Value::Blob(value.clone()));
                let operator = if *descending { "<" } else { ">" };
                condition = format!("({key} {operator} {value} OR ({key} = {value} AND {condition}))");
            }
            let _ = write!(self.text, " AND {condition}");
        }
        // SQLite uses an index for the order only if its first key is limited. From the start, the limit holds for every key.
        if let Some((key, descending)) = keys.first() {
            let first = query.after.as_ref().and_then(|after| after.keys.first());
            let operator = if *descending && first.is_some() { "<=" } else { ">=" };
            let limit = self.parameter(Value::Blob(first.cloned().unwrap_or_default()));
            let _ = write!(self.text, " AND {key} {operator} {limit}");
        }
        let order = keys.iter().map(|(key, descending)| format!("{key} {}, ", if *descending { "DESC" } else { "ASC" }));
        let _ = write!(self.text, " ORDER BY {}id", order.collect::<String>());
    }
}

fn read_page(connection: &Connection, keyspace: i64, query: &Query, most: usize) -> DatabaseResult<Page> {
    let mut page = Page { documents: Vec::new(), skip: query.skip, next: None };
    let Some(collection) = rows::find_collection(connection, keyspace, &query.collection)? else { return Ok(page) };
    let mut statement = Statement::new(COLUMNS, collection, &query.filter);
    statement.add_order(query);
    let mut select = connection.prepare(&statement.text)?;
    let mut found = select.query(params_from_iter(statement.parameters))?;
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let document = rows::read(row)?;
        if !query.filter.matches(&document.body) {
            continue;
        }
        if page.skip > 0 {
            page.skip -= 1;
            continue;
        }
        bytes += row.get_ref(5)?.as_bytes().map_or(0, <[u8]>::len);
        let place = query.order.place(&document.id, &document.body);
        page.documents.push((document, query.order.encode(&place)));
        if page.documents.len() == most || bytes >= PAGE_BYTES {
            page.next = Some(place);
            break;
        }
    }
    Ok(page)
}

fn aggregate(connection: &Connection, keyspace: i64, aggregation: Aggregation) -> DatabaseResult<Vec<AggregateResponse>> {
    let mut groups = Groups::new(aggregation);
    let Some(collection) = rows::find_collection(connection, keyspace, &groups.aggregation().collection)? else {
        return Ok(groups.finish());
    };
    let statement = Statement::new("body", collection, &groups.aggregation().filter);
    let mut select = connection.prepare(&statement.text)?;
    let mut found = select.query(params_from_iter(statement.parameters))?;
    while let Some(row) = found.next()? {
        let body = row.get_ref(0)?.as_str().ok().and_then(json::read);
        let body = body.ok_or_else(|| Error::internal("a body in the database is not a JSON object"))?;
        if groups.aggregation().filter.matches(&body) {
            groups.add_body(&body)?;
        }
    }
    Ok(groups.finish())
}

impl Documents {
    fn reader(&self, query: Query) -> Reader {
        let remaining = query.limit;
        Reader { keyspace: self.keyspace.clone(), query, remaining }
    }
}

#[async_trait]
impl DocumentQuery for Documents {
    async fn find(&self, _: &Context, request: FindRequest) -> Result<Messages<FindResponse>, Error> {
        let query = Query::new(request)?;
        let sent = query.clone();
        let documents = self.reader(query).documents();
        Ok(documents.map_ok(move |(document, place)| sent.response(document, &place)).boxed())
    }

    async fn find_one(&self, _: &Context, request: FindOneRequest) -> Result<FindOneResponse, Error> {
        let query = Query::first(request)?;
        let sent = query.clone();
        let first = self.reader(query).page().await?.and_then(|(page, _)| page.into_iter().next());
        Ok(FindOneResponse { document: first.map(|(document, _)| sent.document(document)) })
    }

    async fn aggregate(&self, _: &Context, request: AggregateRequest) -> Result<Messages<AggregateResponse>, Error> {
        let aggregation = Aggregation::new(request)?;
        let rows = scan(&self.keyspace, move |connection, keyspace| aggregate(connection, keyspace, aggregation)).await?;
        Ok(stream::iter(rows.into_iter().map(Ok)).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::indexing::create_statement, functions, schema};
    use prism_call::proto::models::document::v1::{Index, IndexField, SortKey};
    use prism_driver::document::{index::IndexDefinition, order::Order, path::Path, value};

    fn plan(connection: &Connection, filter: Filter, order: &[&str], cursor: &str) -> String {
        let order = order.iter().map(|path| SortKey { path: (*path).to_owned(), descending: true }).collect();
        let request = FindRequest { collection: "c".to_owned(), order, cursor: cursor.to_owned(), ..FindRequest::default() };
        let query = Query { filter, ..Query::new(request).unwrap() };
        let mut statement = Statement::new(COLUMNS, 1, &query.filter);
        statement.add_order(&query);
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text)).unwrap();
        let steps = explain.query_map(params_from_iter(statement.parameters), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    }

    #[test]
    fn queries_use_indexes() {
        let mut connection = Connection::open_in_memory().unwrap();
        functions::register(&connection).unwrap();
        schema::migrate(&mut connection).unwrap();
        let index = Index { name: "i".to_owned(), fields: vec![IndexField { path: "a".to_owned(), descending: true }], unique: false };
        let definition = IndexDefinition::of_stored(index).unwrap();
        connection.execute(&create_statement(1, 1, &definition), []).unwrap();
        let path = || Path::parse("a").unwrap();
        let by_id: &[&str] = &[];
        let by_field: &[&str] = &["a"];
        let order = Order::new(&[SortKey { path: "a".to_owned(), descending: true }]).unwrap();
        let cursor = order.cursor(&order.encode(&Place { keys: vec![value::string_key("x")], id: "x".to_owned() }));
        for (filter, order, cursor, is_sorted) in [
            (Filter::Equal(path(), value::number(1.0)), by_id, "", true),
            (Filter::Present(path()), by_id, "", false),
            (Filter::All(Vec::new()), by_field, "", true),
            (Filter::All(Vec::new()), by_field, cursor.as_str(), true),
        ] {
            let steps = plan(&connection, filter, order, cursor);
            assert!(steps.contains("USING INDEX document_index_1 "), "{steps}");
            assert_eq!(!steps.contains("TEMP B-TREE"), is_sorted, "{steps}");
        }
        let steps = plan(&connection, Filter::All(Vec::new()), by_id, "");
        assert!(steps.contains("(collection=?)") && !steps.contains("TEMP B-TREE"), "{steps}");
    }
}
