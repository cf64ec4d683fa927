//! The types of the files in `registry/`. Unknown fields are errors. Names know their line.

mod backend;
mod interface;
mod pattern;

pub use backend::{Backend, Connection, DriverStatus, Limits, Setting, SettingType};
pub(super) use interface::Capabilities;
pub use interface::{Capability, Interface, Model};
pub use pattern::{Api, IDEMPOTENCY_INTERFACES, IDEMPOTENCY_SLOT, Pattern, Slot, Status, Step};

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize, Serializer};

use prism_yaml::TextAtLine;

/// A name in a file, with its line.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Name(TextAtLine);

impl Name {
    /// Creates a name that does not come from a YAML file.
    pub(super) fn unplaced(text: &str) -> Self {
        Self(TextAtLine { line: 0, text: text.to_owned() })
    }

    /// Returns the line of the name in its file, from 1; 0 for a name that does not come from a YAML file.
    pub fn line(&self) -> u64 {
        self.0.line
    }

    /// Returns the text of the name.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}
