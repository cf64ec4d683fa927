//! Settings of a backend: what the driver gets, and what may be shown of it.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What stands beside `type` in the definition of a backend. Only [`Settings::values`] has the secrets; what is printed shows
/// the references to them as they stand in the file, and `***` for a secret that was written out.
#[derive(Clone, Default, PartialEq)]
pub struct Settings {
    values: Map<String, Value>,
    shown: Map<String, Value>,
}

impl Settings {
    /// Values for the driver, and the same as they may be printed.
    pub fn new(values: Map<String, Value>, shown: Map<String, Value>) -> Self {
        Self { values, shown }
    }

    /// The values for the driver, secrets resolved. Never to be printed.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The same, fit to be printed.
    pub fn shown(&self) -> &Map<String, Value> {
        &self.shown
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.shown).finish()
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown.serialize(serializer)
    }
}

/// The password of a URL (`redis://user:password@host`) as stars; other text as it is.
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
    fn a_password_in_a_url_is_masked() {
        assert_eq!(mask_url("redis://ada:pass:w@host:6379/0"), "redis://ada:***@host:6379/0");
        assert_eq!(mask_url("redis://pass@host"), "redis://:***@host");
        assert_eq!(mask_url("redis://host:6379/a@b"), "redis://host:6379/a@b");
        assert_eq!(mask_url("redis://ada:${env:PASSWORD}@host"), "redis://ada:${env:PASSWORD}@host");
        assert_eq!(mask_url("plain"), "plain");
    }

    #[test]
    fn secrets_are_in_no_debug_text() {
        let map = |value: &str| Map::from_iter([("password".to_owned(), Value::from(value))]);
        let settings = Settings::new(map("hunter2"), map("${env:PASSWORD}"));
        assert_eq!(format!("{settings:?}"), r#"{"password": String("${env:PASSWORD}")}"#);
        assert_eq!(serde_json::to_string(&settings).expect("JSON"), r#"{"password":"${env:PASSWORD}"}"#);
    }
}
