//! Pages of a listing, for drivers that find keys in any order.

use std::collections::BTreeMap;

use super::check_prefix;
use crate::{Limits, check, cursor};
use prism_call::{
    Error,
    proto::models::blob::v1::{ListRequest, ListResponse, ListedBlob},
};

/// Greatest number of blobs and common prefixes in a page.
pub const MAX_PAGE: u32 = 1000;
/// Greatest length of a delimiter.
const MAX_DELIMITER: usize = 16;

/// The checked request of a listing.
#[derive(Clone, Debug)]
pub struct ListScope {
    /// Only keys that begin with it.
    pub prefix: String,
    /// Groups keys; may be empty.
    pub delimiter: String,
    /// Greatest number of items.
    pub limit: usize,
    /// The last item of the page before: a key or a common prefix.
    pub after: Option<String>,
}

impl ListScope {
    /// Checks a request.
    pub fn new(limits: &Limits, request: ListRequest) -> Result<Self, Error> {
        check_prefix(limits, &request.prefix)?;
        if request.delimiter.len() > MAX_DELIMITER {
            return Err(Error::invalid("delimiter", format!("must have at most {MAX_DELIMITER} bytes")));
        }
        let limit = check::limit("limit", request.limit, MAX_PAGE, MAX_PAGE)?;
        let after = cursor::open("blobs", &request.cursor)?.map(String::from_utf8).transpose().map_err(|_| cursor::invalid())?;
        Ok(Self { prefix: request.prefix, delimiter: request.delimiter, limit: limit as usize, after })
    }

    /// Returns the cursor that continues after an item.
    pub fn cursor(item: &str) -> String {
        cursor::seal("blobs", item.as_bytes())
    }

    /// Returns the item of a key: the key itself, or its common prefix. `None` if the key is not in this page or those after it.
    pub fn item<'k>(&self, key: &'k str) -> Option<Item<'k>> {
        let rest = key.strip_prefix(self.prefix.as_str())?;
        let group = if self.delimiter.is_empty() { None } else { rest.find(&self.delimiter) };
        let item = match group {
            Some(place) => Item::Prefix(&key[..self.prefix.len() + place + self.delimiter.len()]),
            None => Item::Key(key),
        };
        self.after.as_deref().is_none_or(|after| item.text() > after).then_some(item)
    }
}

/// An item of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'k> {
    /// A key.
    Key(&'k str),
    /// A common prefix.
    Prefix(&'k str),
}

impl<'k> Item<'k> {
    /// Returns the key or the common prefix.
    pub fn text(self) -> &'k str {
        match self {
            Self::Key(text) | Self::Prefix(text) => text,
        }
    }
}

/// Collects the first items of a listing from keys in any order. It holds at most one item more than a page has, and `T` for each key.
pub struct Page<T> {
    scope: ListScope,
    items: BTreeMap<String, Option<T>>,
}

impl<T> Page<T> {
    /// Begins a page.
    pub fn new(scope: ListScope) -> Self {
        Self { scope, items: BTreeMap::new() }
    }

    /// Adds a key, if it may be in the page. `value` is called only if it is.
    pub fn add(&mut self, key: &str, value: impl FnOnce() -> T) {
        let Some(item) = self.scope.item(key) else { return };
        let full = self.items.len() > self.scope.limit;
        if full && self.items.last_key_value().is_some_and(|(last, _)| item.text() > last.as_str()) {
            return;
        }
        match item {
            Item::Key(key) => self.items.insert(key.to_owned(), Some(value())),
            Item::Prefix(prefix) if self.items.contains_key(prefix) => return,
            Item::Prefix(prefix) => self.items.insert(prefix.to_owned(), None),
        };
        if self.items.len() > self.scope.limit + 1 {
            self.items.pop_last();
        }
    }

    /// Whether keys after this one, in ascending order, can't change the page.
    pub fn is_full(&self) -> bool {
        self.items.len() > self.scope.limit
    }

    /// Ends the page. `list` describes a blob; `None`: it was deleted meanwhile.
    pub fn finish(mut self, mut list: impl FnMut(String, T) -> Result<Option<ListedBlob>, Error>) -> Result<ListResponse, Error> {
        let mut response = ListResponse::default();
        if self.is_full() {
            self.items.pop_last();
            response.cursor = self.items.last_key_value().map(|(last, _)| ListScope::cursor(last)).unwrap_or_default();
        }
        for (text, value) in self.items {
            match value {
                Some(value) => response.blobs.extend(list(text, value)?),
                None => response.prefixes.push(text),
            }
        }
        Ok(response)
    }
}
