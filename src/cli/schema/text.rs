//! Schemas that are given as files.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::record::{Reference, Schema};
use crate::cli::Failure;
use prism_schema::Format;

/// Longest file; registries take less.
const MAX_BYTES: u64 = 16 << 20;

/// A type of schemas, as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Type {
    /// Apache Avro, files *.avsc
    Avro,
    /// JSON Schema, files *.json
    Json,
    /// Protocol Buffers, files *.proto
    Protobuf,
}

impl Type {
    pub(super) fn format(self) -> Format {
        match self {
            Self::Avro => Format::Avro,
            Self::Json => Format::Json,
            Self::Protobuf => Format::Protobuf,
        }
    }
}

/// What a file has, and of which type that is.
pub(super) fn read(file: &str, given: Option<Type>) -> Result<(String, Format), Failure> {
    let format = match given {
        Some(given) => given.format(),
        None => by_ending(file)?,
    };
    let cant = |error: io::Error| Failure(format!("{file} can't be read: {error}"));
    let mut text = String::new();
    let most = MAX_BYTES + 1;
    let read = if file == "-" {
        io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        File::open(file).map_err(cant)?.take(most).read_to_string(&mut text)
    };
    if read.map_err(cant)? as u64 == most {
        return Err(Failure(format!("{file} has more than {MAX_BYTES} bytes, which is no schema that a registry takes")));
    }
    if text.trim().is_empty() {
        return Err(Failure(format!("{file} is empty")));
    }
    Ok((text, format))
}

fn by_ending(file: &str) -> Result<Format, Failure> {
    match Path::new(file).extension().and_then(|ending| ending.to_str()) {
        Some("avsc") => Ok(Format::Avro),
        Some("json") => Ok(Format::Json),
        Some("proto") => Ok(Format::Protobuf),
        _ => Err(Failure(format!("`{file}` does not tell the type of the schema; give --type avro, json or protobuf"))),
    }
}

/// A schema that is to be sent.
pub(super) fn schema(file: &str, given: Option<Type>, references: &[String]) -> Result<Schema, Failure> {
    let (schema, format) = read(file, given)?;
    let references = references.iter().map(|text| reference(text)).collect::<Result<_, _>>()?;
    Ok(Schema { schema, schema_type: format.name().to_owned(), references, ..Schema::default() })
}

/// `NAME=SUBJECT:VERSION`. Names may be URIs, and subjects may have colons.
fn reference(text: &str) -> Result<Reference, Failure> {
    let wrong = || Failure(format!("--reference {text}: it is NAME=SUBJECT:VERSION, as com.example.Address=address-value:2"));
    let (name, of) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (subject, version) = of.rsplit_once(':').ok_or_else(wrong)?;
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
    fn references() {
        let read = |text| reference(text).ok().map(|one| (one.name, one.subject, one.version));
        assert_eq!(read("a=b:1"), Some(("a".into(), "b".into(), 1)));
        assert_eq!(read("http://x/?a=b=:.c:s:latest"), Some(("http://x/?a=b".into(), ":.c:s".into(), -1)));
        for wrong in ["a", "a=b", "a=b:c", "=b:1", "a=:1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
