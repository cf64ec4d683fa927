//! Everything of a registry, and its export file with a JSON object on each line.
//!
//! The first line has the version of the format (`{"kind": "registry", "form": 1, …}`). The last line has the number of lines
//! (`{"kind": "end", …}`), so that a truncated file is detected. The lines between have the kinds `schema`, `config`, `mode`, `kek`
//! and `dek`, with the members of the REST API. docs/schema-registry.md documents the format.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Failure;
use prism_registry_client::SchemaRecord;

/// The version of the format.
const FORM: u32 = 1;
/// Longest line that is read.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Everything of a registry.
#[derive(Debug, Default)]
pub(super) struct RegistryContents {
    /// URL of the registry that it was read from.
    pub source: String,
    /// Ordered by subject and version.
    pub schemas: Vec<SchemaRecord>,
    /// By scope: a subject, a context as `:.context:`, or an empty text for the global configuration.
    pub configs: BTreeMap<String, Value>,
    /// By scope.
    pub modes: BTreeMap<String, String>,
    /// Key encryption keys.
    pub keks: Vec<Value>,
    /// Data encryption keys.
    pub deks: Vec<Value>,
}

/// A line of an export file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Line {
    Registry { form: u32, source: String },
    Schema(Box<SchemaRecord>),
    Config { scope: String, config: Value },
    Mode { scope: String, mode: String },
    Kek { kek: Value },
    Dek { dek: Value },
    End { lines: usize },
}

impl RegistryContents {
    /// Returns the counts as a text for users.
    pub fn summary(&self) -> String {
        let deleted = self.schemas.iter().filter(|schema| schema.deleted).count();
        let mut subjects: Vec<_> = self.schemas.iter().map(|schema| &schema.subject).collect();
        subjects.sort();
        subjects.dedup();
        let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        [
            format!("{} of {} ({deleted} softly deleted)", counted(self.schemas.len(), "version"), counted(subjects.len(), "subject")),
            counted(self.configs.len(), "configuration"),
            counted(self.modes.len(), "mode"),
            counted(self.keks.len() + self.deks.len(), "key"),
        ]
        .join(", ")
    }

    /// Writes an export file.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut count = 0;
        let mut put = |line: &Line| -> io::Result<()> {
            serde_json::to_writer(&mut *out, line)?;
            count += 1;
            out.write_all(b"\n")
        };
        put(&Line::Registry { form: FORM, source: self.source.clone() })?;
        for schema in &self.schemas {
            put(&Line::Schema(Box::new(schema.clone())))?;
        }
        for (scope, config) in &self.configs {
            put(&Line::Config { scope: scope.clone(), config: config.clone() })?;
        }
        for (scope, mode) in &self.modes {
            put(&Line::Mode { scope: scope.clone(), mode: mode.clone() })?;
        }
        for kek in &self.keks {
            put(&Line::Kek { kek: kek.clone() })?;
        }
        for dek in &self.deks {
            put(&Line::Dek { dek: dek.clone() })?;
        }
        let end = Line::End { lines: count };
        serde_json::to_writer(&mut *out, &end)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Reads an export file. Errors call it `name`.
    pub fn read(name: &str, mut from: impl BufRead) -> Result<Self, Failure> {
        let mut contents = Self::default();
        let (mut number, mut text) = (0, String::new());
        loop {
            text.clear();
            let read = from.by_ref().take(MAX_LINE_BYTES).read_line(&mut text).map_err(|error| format!("{name} can't be read: {error}"))?;
            if read == 0 {
                return Err(Failure(format!("{name} is truncated: its last line, `\"kind\": \"end\"`, is missing; export it again")));
            }
            number += 1;
            let line =
                serde_json::from_str(&text).map_err(|error| format!("{name}:{number} is not a line of `prism schema export`: {error}"))?;
            match (line, number) {
                (Line::Registry { form: FORM, source }, 1) => contents.source = source,
                (Line::Registry { form, .. }, 1) => {
                    return Err(Failure(format!(
                        "{name} has format version {form}, and this prism reads version {FORM}; use a newer prism"
                    )));
                }
                (_, 1) => return Err(Failure(format!("{name} does not begin with the first line of a file of `prism schema export`"))),
                (Line::Registry { .. }, _) => {
                    return Err(Failure(format!(
                        "{name}:{number} begins a second registry; split the file and import one registry at a time"
                    )));
                }
                (Line::Schema(schema), _) => contents.schemas.push(*schema),
                (Line::Config { scope, config }, _) => drop(contents.configs.insert(scope, config)),
                (Line::Mode { scope, mode }, _) => drop(contents.modes.insert(scope, mode)),
                (Line::Kek { kek }, _) => contents.keks.push(kek),
                (Line::Dek { dek }, _) => contents.deks.push(dek),
                (Line::End { lines }, _) if lines + 1 == number => return Ok(contents),
                (Line::End { lines }, _) => {
                    return Err(Failure(format!(
                        "{name} is damaged: it has {} lines before its end instead of {lines}; export it again",
                        number - 1
                    )));
                }
            }
        }
    }
}
