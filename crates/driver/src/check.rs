//! Checks of requests that all drivers share.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Display,
};

use crate::Limits;
use prism_call::{Code, Error};

/// Maximum length of the name of a stream, a queue, a group or a subscription.
pub const MAX_NAME_BYTES: usize = 200;

/// Checks the field `key`: 1 to `max_key_bytes` bytes.
pub fn key(limits: &Limits, key: &[u8]) -> Result<(), Error> {
    key_at(limits, "key", key)
}

/// Checks a key in another field. Pass the field as `format_args!("items[{index}].key")`, so that it is formatted only for an error.
pub fn key_at(limits: &Limits, field: impl Display, key: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::invalid(field.to_string(), "must not be empty").with_reason("INVALID_KEY"));
    }
    key_bound(limits, field, key)
}

/// Checks a bound of keys, such as a prefix: at most `max_key_bytes` bytes, may be empty.
pub fn key_bound(limits: &Limits, field: impl Display, key: &[u8]) -> Result<(), Error> {
    let size = key.len() as u64;
    if size > limits.max_key_bytes {
        let problem = format!("has {size} bytes; at most {} are allowed", limits.max_key_bytes);
        return Err(Error::invalid(field.to_string(), problem).with_reason("INVALID_KEY").with("limit", limits.max_key_bytes.to_string()));
    }
    Ok(())
}

/// Checks a value or a payload: at most `max_value_bytes` bytes.
pub fn value(limits: &Limits, field: impl Display, value: &[u8]) -> Result<(), Error> {
    let size = value.len() as u64;
    if size > limits.max_value_bytes {
        let problem = format!("has {size} bytes; at most {} are allowed", limits.max_value_bytes);
        return Err(Error::invalid(field.to_string(), problem)
            .with_reason("VALUE_TOO_LARGE")
            .with("limit", limits.max_value_bytes.to_string()));
    }
    Ok(())
}

/// Checks the name of a stream, a queue, a group …: 1 to 200 bytes without whitespace and control characters.
pub fn name(field: &str, name: &str) -> Result<(), Error> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_NAME_BYTES {
        "must have at most 200 bytes"
    } else if name.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        "must have no whitespace and no control characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid(field, problem).with_reason("INVALID_NAME"))
}

/// Checks the name of a topic: as [`name`], with tokens separated by `.`, none of them empty, without `*` and `>`.
pub fn topic(field: &str, topic: &str) -> Result<(), Error> {
    name(field, topic)?;
    let problem = if topic.split('.').any(str::is_empty) {
        "must be tokens separated by `.`, none of them empty, as orders.eu"
    } else if topic.contains(['*', '>']) {
        "must have no wildcards; subscribe to a pattern instead"
    } else {
        return Ok(());
    };
    Err(Error::invalid(field, problem).with_reason("INVALID_NAME"))
}

/// Checks a pattern: the name of a topic in which whole tokens may be `*`, and the last one `>`. The error is `INVALID_ARGUMENT INVALID_PATTERN`.
pub fn pattern(field: &str, pattern: &str) -> Result<(), Error> {
    let tokens = pattern.split('.').count();
    let whole = pattern.split('.').enumerate().all(|(index, token)| match token {
        "" => false,
        "*" => true,
        ">" => index + 1 == tokens,
        token => !token.contains(['*', '>']),
    });
    match name(field, pattern) {
        Ok(()) if whole => Ok(()),
        Ok(()) => Err(Error::invalid(
            field,
            "must be a topic name in which `*` stands for a whole token and `>` for the last ones, as orders.*.>",
        )
        .with_reason("INVALID_PATTERN")),
        Err(error) => Err(error.with_reason("INVALID_PATTERN")),
    }
}

/// Checks the id of a subscription, a consumer …: empty (the server generates one), or as [`name`].
pub fn optional_name(field: &str, id: &str) -> Result<(), Error> {
    if id.is_empty() { Ok(()) } else { name(field, id) }
}

/// Checks attributes: at most 64, names of 1 to 128 bytes, values of at most 1,024 bytes.
pub fn attributes(attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    let invalid = |problem: String| Err(Error::invalid("attributes", problem).with_reason("INVALID_ATTRIBUTES"));
    if attributes.len() > 64 {
        return invalid(format!("has {} items; at most 64 are allowed", attributes.len()));
    }
    for (name, value) in attributes {
        if name.is_empty() || name.len() > 128 {
            return invalid(format!("the name of an attribute must have 1 to 128 bytes, not {}", name.len()));
        }
        if value.len() > 1024 {
            return invalid(format!("the value of {name:?} has {} bytes; at most 1024 are allowed", value.len()));
        }
    }
    Ok(())
}

/// Checks that there are attributes. Whether they are valid is checked by [`attributes`].
pub fn required_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    if attributes.is_empty() {
        return Err(Error::invalid("attributes", "must have at least one item; send messages without attributes with Publish")
            .with_reason("INVALID_ATTRIBUTES"));
    }
    Ok(())
}

/// Checks the number of items in a batch: 1 to `max_batch_items`.
pub fn batch(limits: &Limits, field: &str, items: usize) -> Result<(), Error> {
    count(field, items, limits.max_batch_items)
}

/// Checks the number of items: 1 to `most`. The error is `INVALID_ARGUMENT BATCH_SIZE`.
pub fn count(field: &str, items: usize, most: u32) -> Result<(), Error> {
    if items == 0 || items > most as usize {
        return Err(Error::invalid(field, format!("has {items} items; 1 to {most} are allowed"))
            .with_reason("BATCH_SIZE")
            .with("limit", most.to_string()));
    }
    Ok(())
}

/// Checks that keys are distinct. The error is `INVALID_ARGUMENT DUPLICATE_KEY`; `field` returns the field of an item, as `items[3].key`.
pub fn distinct<'a>(keys: impl IntoIterator<Item = &'a [u8]>, field: impl Fn(usize) -> String) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for (index, key) in keys.into_iter().enumerate() {
        if !seen.insert(key) {
            return Err(Error::invalid(field(index), "is a key that came before; send each key once").with_reason("DUPLICATE_KEY"));
        }
    }
    Ok(())
}

/// Returns the effective `limit` of a request: 0 means the default; more than `most` is an error.
pub fn limit(field: &str, limit: u32, default: u32, most: u32) -> Result<u32, Error> {
    match limit {
        0 => Ok(default),
        limit if limit <= most => Ok(limit),
        limit => Err(Error::invalid(field, format!("is {limit}; at most {most} is allowed"))),
    }
}

/// The limit of a request that reads all items if its field `limit` is 0.
pub fn limit_or_all(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { limit as usize }
}

/// Returns `RESOURCE_EXHAUSTED BACKEND_FULL`.
pub fn full(what: &str, limit: u64) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "BACKEND_FULL",
        format!("the backend is full: its limit of {limit} {what} is reached; remove data or raise the limit"),
    )
    .with("limit", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<(), Error>) -> String {
        result.err().map(|error| format!("{} {}", error.reason(), error.violations()[0].field)).unwrap_or_default()
    }

    #[test]
    fn names() {
        for good in ["a", "orders/eu:1", "größe", &"x".repeat(200)] {
            assert_eq!(reason(name("stream", good)), "", "{good:?}");
        }
        for bad in ["", "a b", "a\u{a0}b", "a\n", "\u{7f}", &"x".repeat(201), &"ä".repeat(101)] {
            assert_eq!(reason(name("stream", bad)), "INVALID_NAME stream", "{bad:?}");
        }
        assert_eq!(reason(optional_name("subscription", "")), "");
    }

    #[test]
    fn topics_and_patterns() {
        for good in ["a", "orders.eu.paid", "a-b_c.1"] {
            assert_eq!(reason(topic("topic", good)) + &reason(pattern("pattern", good)), "", "{good:?}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a*", "a.>b"] {
            assert_eq!(reason(topic("topic", bad)), "INVALID_NAME topic", "{bad:?}");
            assert_eq!(reason(pattern("pattern", bad)), "INVALID_PATTERN pattern", "{bad:?}");
        }
        for wild in ["*", ">", "a.*.b", "*.*", "a.>", "*.>"] {
            assert_eq!(reason(topic("topic", wild)), "INVALID_NAME topic", "{wild:?}");
            assert_eq!(reason(pattern("pattern", wild)), "", "{wild:?}");
        }
        assert_eq!(reason(pattern("pattern", ">.a")), "INVALID_PATTERN pattern");
    }

    #[test]
    fn sizes() {
        let limits = Limits { max_key_bytes: 4, max_value_bytes: 8, max_batch_items: 2 };
        assert_eq!(reason(key(&limits, b"")), "INVALID_KEY key");
        assert_eq!(reason(key(&limits, b"12345")), "INVALID_KEY key");
        assert_eq!(reason(key_bound(&limits, "prefix", b"")), "");
        let error = value(&limits, "value", b"123456789").unwrap_err();
        assert_eq!((error.reason(), error.get("limit")), ("VALUE_TOO_LARGE", Some("8")));
        assert_eq!(reason(batch(&limits, "items", 0)), "BATCH_SIZE items");
        assert_eq!(reason(batch(&limits, "items", 3)), "BATCH_SIZE items");
        assert_eq!(reason(distinct([&b"a"[..], b"b", b"a"], |index| format!("keys[{index}]"))), "DUPLICATE_KEY keys[2]");
        assert_eq!(limit("limit", 0, 1, 100).unwrap(), 1);
        assert_eq!(limit("limit", 101, 1, 100).unwrap_err().reason(), "INVALID_FIELD");
    }

    #[test]
    fn attribute_limits() {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(reason(attributes(&map(&"n".repeat(128), &"v".repeat(1024)))), "");
        for bad in [map("", "v"), map(&"n".repeat(129), "v"), map("n", &"v".repeat(1025))] {
            assert_eq!(reason(attributes(&bad)), "INVALID_ATTRIBUTES attributes");
        }
        let many = (0..65).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(reason(attributes(&many)), "INVALID_ATTRIBUTES attributes");
    }
}
