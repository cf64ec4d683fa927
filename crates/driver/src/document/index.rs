//! Indexes of collections: checked.

use prost_types::{Struct, Value, value::Kind};

use super::{
    check_collection,
    filter::{Filter, KeyRange},
    order::{put_delimited, put_escaped},
    path::Path,
    value::{self, Key},
};
use prism_call::{
    Code, Error,
    proto::models::document::v1::{CreateIndexRequest, DropIndexRequest, Index},
};

/// Most indexes of a collection.
pub const MAX_INDEXES: usize = 64;
/// Most fields of an index.
const MAX_FIELDS: usize = 8;
/// Longest name of an index.
const MAX_NAME_BYTES: usize = 48;

/// An index that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDefinition {
    /// The fields, the most important first.
    pub paths: Vec<Path>,
    /// The index as it was created.
    pub index: Index,
}

impl IndexDefinition {
    /// Checks CreateIndex.
    pub fn new(request: CreateIndexRequest) -> Result<(String, Self), Error> {
        check_collection(&request.collection)?;
        let Some(index) = request.index else { return Err(invalid("index", "must be set")) };
        check_name("index.name", &index.name)?;
        let count = index.fields.len();
        if count == 0 || count > MAX_FIELDS {
            return Err(invalid("index.fields", format!("has {count} items; 1 to {MAX_FIELDS} are allowed")));
        }
        let mut paths: Vec<Path> = Vec::with_capacity(count);
        for (number, field) in index.fields.iter().enumerate() {
            let at = format!("index.fields[{number}].path");
            let path = Path::parse(&field.path).map_err(|problem| invalid(&at, problem))?;
            if paths.contains(&path) {
                return Err(invalid(&at, "is a path that came before"));
            }
            paths.push(path);
        }
        Ok((request.collection, Self { paths, index }))
    }

    /// The definition of an index that was stored; `None` if its paths are broken.
    pub fn of_stored(index: Index) -> Option<Self> {
        let paths: Result<Vec<Path>, _> = index.fields.iter().map(|field| Path::parse(&field.path)).collect();
        Some(Self { paths: paths.ok()?, index })
    }

    /// The key of a document: the keys of all fields, one after the other, whose order is that of the fields.
    pub fn key(&self, body: &Struct) -> Key {
        let mut key = Key::new();
        for path in &self.paths {
            put_delimited(&mut key, &value::key(path.get_in(body)));
        }
        key
    }

    /// The range of keys of the documents for which a filter may hold, as the filter limits the first fields of the index: of [`key`](Self::key), from the
    /// lower end, inclusive, to the upper one, exclusive. `None` if the filter does not limit the first field. The flag says whether the first field has one
    /// value.
    pub fn range(&self, filter: &Filter) -> Option<(KeyRange, bool)> {
        let mut prefix = Key::new();
        let mut limited = None;
        for path in &self.paths {
            let Some(range) = filter.range(path) else { break };
            let (mut lower, mut upper) = (prefix.clone(), prefix.clone());
            put_escaped(&mut lower, &range.lower);
            put_escaped(&mut upper, &range.upper);
            limited = Some((KeyRange { lower, upper }, limited.is_some() || range.is_one_key()));
            if !range.is_one_key() {
                break;
            }
            put_delimited(&mut prefix, &range.lower);
        }
        limited
    }

    /// The key by which no two documents may be equal; `None` if the index is not unique, or a field is missing or null.
    pub fn unique_key(&self, body: &Struct) -> Option<Key> {
        let counts = |value: &Value| !matches!(value.kind, None | Some(Kind::NullValue(_)));
        let unique = self.index.unique && self.paths.iter().all(|path| path.get_in(body).is_some_and(counts));
        unique.then(|| self.key(body))
    }
}

/// Checks DropIndex.
pub fn check_drop(request: &DropIndexRequest) -> Result<(), Error> {
    check_collection(&request.collection)?;
    check_name("name", &request.name)
}

/// `ALREADY_EXISTS INDEX_DIFFERS`
pub fn index_differs(name: &str) -> Error {
    Error::new(
        Code::AlreadyExists,
        "INDEX_DIFFERS",
        format!("the collection has another index with the name {name:?}; drop it first, or choose another name"),
    )
    .with("index", name)
}

/// `RESOURCE_EXHAUSTED TOO_MANY_INDEXES`
pub fn too_many_indexes() -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_INDEXES",
        format!("the collection has {MAX_INDEXES} indexes, and may not have more; drop one first"),
    )
    .with("limit", MAX_INDEXES.to_string())
}

fn check_name(field: &str, name: &str) -> Result<(), Error> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_NAME_BYTES {
        "must have at most 48 characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        "must have only the characters a–z, A–Z, 0–9 and _"
    } else {
        return Ok(());
    };
    Err(invalid(field, problem))
}

fn invalid(field: &str, problem: impl Into<String>) -> Error {
    Error::invalid(field, problem).with_reason("INVALID_INDEX")
}
