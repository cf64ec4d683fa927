//! Layer one: data models, their interfaces, and the capabilities that these express.

use serde::{Deserialize, Serialize};

use super::Name;

/// `registry/interfaces/<model>.yaml`: a data model and its interfaces.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As `keyvalue`.
    #[serde(rename = "model")]
    pub name: Name,
    /// As `KeyValue`.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// Place in listings, from 1.
    pub order: u32,
    /// In the order of the catalog.
    pub interfaces: Vec<Interface>,
}

/// One thin interface of a data model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// As `keyvalue_scan`.
    pub name: Name,
    /// One sentence.
    pub description: String,
    /// The capability that it expresses, as `scan_support`.
    pub capability: Name,
    /// Its proto, below `proto/`.
    pub proto_file: Name,
    /// Its service, with the package.
    pub service: Name,
}

impl Interface {
    /// Returns the data model that it belongs to, as `keyvalue`.
    pub fn model(&self) -> &str {
        self.name.split_once('_').map_or(&*self.name, |(model, _)| model)
    }

    /// Returns what it adds to its model, as `scan`.
    pub fn flavour(&self) -> &str {
        self.name.split_once('_').map_or("", |(_, flavour)| flavour)
    }
}

/// `registry/capabilities.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capabilities {
    pub capabilities: Vec<Capability>,
}

/// A capability that interfaces express.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// As `scan_support`.
    pub name: Name,
    /// Title for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// The interfaces that express it, at most one in each data model.
    pub interfaces: Vec<Name>,
}
