//! Schemas in files.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::cli::Failure;
use prism_registry_client::{Reference, SchemaRecord};
use prism_schema::SchemaFormat;

/// Longest file that is read. Registries accept less.
const MAX_BYTES: u64 = 16 << 20;

/// A type of schemas on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaType {
    /// Apache Avro, files *.avsc
    Avro,
    /// JSON Schema, files *.json
    Json,
    /// Protocol Buffers, files *.proto
    Protobuf,
}

impl SchemaType {
    pub(super) fn format(self) -> SchemaFormat {
        match self {
            Self::Avro => SchemaFormat::Avro,
            Self::Json => SchemaFormat::Json,
            Self::Protobuf => SchemaFormat::Protobuf,
        }
    }
}

/// Reads the text of a file and determines the type of the schema.
pub(super) fn read_text(file: &str, given: Option<SchemaType>) -> Result<(String, SchemaFormat), Failure> {
    let format = match given {
        Some(given) => given.format(),
        None => format_by_extension(file)?,
    };
    let unreadable = |error: io::Error| Failure(format!("{file} can't be read: {error}"));
    let mut text = String::new();
    let limit = MAX_BYTES + 1;
    let read = if file == "-" {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(file).map_err(unreadable)?.take(limit).read_to_string(&mut text)
    };
    if read.map_err(unreadable)? as u64 == limit {
        return Err(Failure(format!("{file} has more than {MAX_BYTES} bytes; registries accept less")));
    }
    if text.trim().is_empty() {
        return Err(Failure(format!("{file} is empty")));
    }
    Ok((text, format))
}

fn format_by_extension(file: &str) -> Result<SchemaFormat, Failure> {
    match Path::new(file).extension().and_then(OsStr::to_str) {
        Some("avsc") => Ok(SchemaFormat::Avro),
        Some("json") => Ok(SchemaFormat::Json),
        Some("proto") => Ok(SchemaFormat::Protobuf),
        _ => Err(Failure(format!("the type of the schema is not known from the name `{file}`; set --type to avro, json or protobuf"))),
    }
}

/// Reads a schema and its references for a request to a registry.
pub(super) fn read_record(file: &str, given: Option<SchemaType>, references: &[String]) -> Result<SchemaRecord, Failure> {
    let (schema, format) = read_text(file, given)?;
    let references = references.iter().map(|text| parse_reference(text)).collect::<Result<_, _>>()?;
    Ok(SchemaRecord { schema, schema_type: format.name().to_owned(), references, ..SchemaRecord::default() })
}

/// Parses `NAME=SUBJECT:VERSION`. Names may be URIs, and subjects may have colons.
fn parse_reference(text: &str) -> Result<Reference, Failure> {
    let wrong = || Failure(format!("--reference {text}: it must be NAME=SUBJECT:VERSION, such as com.example.Address=address-value:2"));
    let (name, target) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (subject, version) = target.rsplit_once(':').ok_or_else(wrong)?;
    let version = if version == "latest" { -1 } else { version.parse().map_err(|_| wrong())? };
    if name.is_empty() || subject.is_empty() {
        return Err(wrong());
    }
    Ok(Reference { name: name.to_owned(), subject: subject.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_parsed() {
        let parse = |text| parse_reference(text).ok().map(|one| (one.name, one.subject, one.version));
        assert_eq!(parse("a=b:1"), Some(("a".into(), "b".into(), 1)));
        assert_eq!(parse("http://x/?a=b=:.c:s:latest"), Some(("http://x/?a=b".into(), ":.c:s".into(), -1)));
        for wrong in ["a", "a=b", "a=b:c", "=b:1", "a=:1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
