//! The settings of a backend with references resolved, and their printable form.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The settings of a backend, without `type`, or of a pattern. Only [`ResolvedSettings::values`] contains secrets. The printable form shows references as
/// they are in the file, and `***` for a secret that is written in the file.
#[derive(Clone, Default, PartialEq, Hash)]
pub struct ResolvedSettings {
    values: Map<String, Value>,
    printable: Map<String, Value>,
}

impl ResolvedSettings {
    /// Combines the values for the driver or pattern with their printable form.
    pub fn new(values: Map<String, Value>, printable: Map<String, Value>) -> Self {
        Self { values, printable }
    }

    /// Returns the values for the driver or pattern, with secrets. Never print them.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the printable values, without secrets.
    pub fn printable(&self) -> &Map<String, Value> {
        &self.printable
    }
}

impl fmt::Debug for ResolvedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.printable).finish()
    }
}

impl Serialize for ResolvedSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.printable.serialize(serializer)
    }
}

/// Replaces the password of a URL (`redis://user:password@host`) by `***`. Other texts stay unchanged.
pub(super) fn mask_url(text: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
        let (user, _) = authority.rsplit_once('@')?;
        let (name, password) = user.split_once(':').unwrap_or(("", user));
        if password.starts_with("${") && password.ends_with('}') {
            return None;
        }
        Some(format!("{scheme}://{name}:***{}", &rest[user.len()..]))
    };
    masked().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_passwords_in_urls() {
        assert_eq!(mask_url("redis://ada:pass:w@host:6379/0"), "redis://ada:***@host:6379/0");
        assert_eq!(mask_url("redis://pass@host"), "redis://:***@host");
        assert_eq!(mask_url("redis://host:6379/a@b"), "redis://host:6379/a@b");
        assert_eq!(mask_url("redis://ada:${env:PASSWORD}@host"), "redis://ada:${env:PASSWORD}@host");
        assert_eq!(mask_url("plain"), "plain");
    }

    #[test]
    fn debug_texts_contain_no_secrets() {
        let map = |value: &str| Map::from_iter([("password".to_owned(), Value::from(value))]);
        let settings = ResolvedSettings::new(map("hunter2"), map("${env:PASSWORD}"));
        assert_eq!(format!("{settings:?}"), r#"{"password": String("${env:PASSWORD}")}"#);
        assert_eq!(serde_json::to_string(&settings).expect("JSON"), r#"{"password":"${env:PASSWORD}"}"#);
    }
}
