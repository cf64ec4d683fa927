//! The document interfaces.

mod aggregate;
mod basic;
mod changes;
mod gateways;
mod indexing;
mod order;
mod query;
mod unique;

use prism::{
    call::Error,
    proto::models::document::v1::{
        Comparison, ComparisonOperator, Condition, ConditionList, DeleteRequest, DeleteResponse, Document, FindRequest, FindResponse,
        GetRequest, InsertRequest, SortKey, UpdateRequest, UpdateResponse, condition::Test, update_request::Change,
    },
};
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Value as Json, json};

use crate::{subject::Subject, suite::Suite, support::all};

/// All suites of the model.
pub const SUITES: &[&Suite] =
    &[&aggregate::SUITE, &basic::SUITE, &changes::SUITE, &gateways::SUITE, &indexing::SUITE, &order::SUITE, &query::SUITE, &unique::SUITE];

/// The collection of most cases.
const COLLECTION: &str = "people";

/// A JSON value as the contract has it.
fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(_) => Kind::ListValue(list(json)),
        Json::Object(_) => Kind::StructValue(object(json)),
    };
    Value { kind: Some(kind) }
}

fn list(json: &Json) -> ListValue {
    ListValue { values: json.as_array().expect("a list").iter().map(value).collect() }
}

fn object(json: &Json) -> Struct {
    Struct { fields: json.as_object().expect("an object").iter().map(|(name, json)| (name.clone(), value(json))).collect() }
}

/// The JSON value of a value. Whole numbers are integers, so that they are equal to those of `json!`.
fn json_of(value: &Value) -> Json {
    match value.kind.as_ref().expect("every value has a kind") {
        Kind::NullValue(_) => Json::Null,
        Kind::BoolValue(value) => json!(value),
        #[expect(clippy::cast_possible_truncation, reason = "the number is whole and exact")]
        Kind::NumberValue(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => json!(*number as i64),
        Kind::NumberValue(number) => json!(number),
        Kind::StringValue(text) => json!(text),
        Kind::ListValue(list) => list.values.iter().map(json_of).collect(),
        Kind::StructValue(object) => json_of_object(object),
    }
}

fn json_of_object(object: &Struct) -> Json {
    Json::Object(object.fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect())
}

fn body_of(document: &Document) -> Json {
    json_of_object(document.body.as_ref().expect("a body is always present"))
}

/// A condition with a test.
fn test(test: Test) -> Condition {
    Condition { test: Some(test) }
}

fn compare(path: &str, operator: ComparisonOperator, expected: &Json) -> Condition {
    test(Test::Compare(Comparison { path: path.to_owned(), operator: operator.into(), value: Some(value(expected)) }))
}

fn equal(path: &str, expected: &Json) -> Condition {
    compare(path, ComparisonOperator::Unspecified, expected)
}

fn all_of(conditions: Vec<Condition>) -> Condition {
    test(Test::All(ConditionList { conditions }))
}

fn any_of(conditions: Vec<Condition>) -> Condition {
    test(Test::Any(ConditionList { conditions }))
}

fn not(condition: Condition) -> Condition {
    test(Test::Not(Box::new(condition)))
}

fn sort_key(path: &str, descending: bool) -> SortKey {
    SortKey { path: path.to_owned(), descending }
}

/// The ids of documents, in order.
fn ids(found: &[FindResponse]) -> String {
    found.iter().map(|found| found.document.as_ref().unwrap().id.as_str()).collect::<Vec<_>>().join(" ")
}

fn find_request(filter: Option<Condition>) -> FindRequest {
    FindRequest { collection: COLLECTION.to_owned(), filter, ..Default::default() }
}

/// Short forms of the calls that most cases make.
impl Subject {
    async fn try_insert_document(&self, id: &str, body: &Json) -> Result<u64, Error> {
        let request = InsertRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), body: Some(object(body)), ttl: None };
        Ok(self.document_basic().insert(&self.context, request).await?.revision)
    }

    async fn put_document(&self, id: &str, body: &Json) -> u64 {
        self.try_insert_document(id, body).await.unwrap()
    }

    /// Inserts one document for each body, with the ids 0, 1, 2 …, in order if there are at most ten.
    async fn put_documents(&self, bodies: &[Json]) {
        for (number, body) in bodies.iter().enumerate() {
            self.put_document(&number.to_string(), body).await;
        }
    }

    async fn document(&self, id: &str) -> Option<Document> {
        let request = GetRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), fields: vec![] };
        self.document_basic().get(&self.context, request).await.unwrap().document
    }

    async fn body(&self, id: &str) -> Json {
        body_of(&self.document(id).await.expect("the document is there"))
    }

    async fn try_update(&self, id: &str, change: Change) -> Result<UpdateResponse, Error> {
        self.document_basic().update(&self.context, update_request(id, change)).await
    }

    async fn update_document(&self, request: UpdateRequest) -> UpdateResponse {
        self.document_basic().update(&self.context, request).await.unwrap()
    }

    async fn delete_document(&self, id: &str, expected_revision: Option<u64>) -> DeleteResponse {
        let request = DeleteRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), expected_revision };
        self.document_basic().delete(&self.context, request).await.unwrap()
    }

    async fn find_documents(&self, request: FindRequest) -> Vec<FindResponse> {
        all(self.document_query().find(&self.context, request).await.unwrap()).await
    }

    /// The ids of the documents that meet a condition.
    async fn found(&self, filter: Condition) -> String {
        ids(&self.find_documents(find_request(Some(filter))).await)
    }
}

fn update_request(id: &str, change: Change) -> UpdateRequest {
    UpdateRequest { collection: COLLECTION.to_owned(), id: id.to_owned(), change: Some(change), ..Default::default() }
}

fn replacement(body: &Json) -> Change {
    Change::Replacement(object(body))
}
