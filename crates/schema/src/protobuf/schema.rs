//! A parsed Protobuf schema.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::{
    link::{self, LinkedFile},
    print::{self, TextShape},
    read::{MAX_TEXT, ProtoFile, Syntax, Visibility},
    restore, validate, wellknown,
};
use crate::{
    Dependency, InvalidSchema,
    budget::{self, MAX_PARSED_BYTES},
    text::shorten,
};

/// A parsed Protobuf schema together with the files that it imports.
#[derive(Debug)]
pub struct ProtobufSchema {
    pub(super) linked: Box<LinkedFile>,
    canonical: String,
    bytes: u64,
    /// Whether the text was a descriptor in base64, and not source.
    pub(crate) from_descriptor: bool,
}

/// The maximum length of an error message in characters. A message can quote the text.
const MAX_MESSAGE: usize = 500;

impl ProtobufSchema {
    /// Parses a schema; see [`crate::Schema::parse`].
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Self::read(text, dependencies).map_err(|invalid| InvalidSchema::new(shorten(&invalid.message, MAX_MESSAGE)))
    }

    /// Returns the estimated size in memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Parses a schema. Error messages have any length.
    pub(super) fn read(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        budget::run_operation(MAX_PARSED_BYTES, || Self::read_all(text, dependencies))
    }

    fn read_all(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut name = "schema.proto".to_owned();
        while dependencies.iter().any(|dependency| *dependency.name == *name) {
            name.insert(0, '_');
        }
        let file = ProtoFile::read(&name, text).map_err(|invalid| remove_file_name(&name, invalid))?;
        let from_descriptor = file.from_descriptor;
        let mut linked = link_valid(&name, file, dependencies).map_err(|invalid| remove_file_name(&name, invalid))?;
        let canonical = print::print_file(&linked, TextShape::Canonical);
        if from_descriptor {
            // The printed source is parsed again. So a descriptor is accepted only if source can express it, and each file has one
            // canonical text.
            let again = ProtoFile::parse(&name, &canonical).and_then(|file| link_valid(&name, file, dependencies));
            linked = again.map_err(|invalid| InvalidSchema::new(format!("no source can have this descriptor: {}", invalid.message)))?;
        }
        // Printing joins the fields of a oneof that are apart in the descriptor.
        let canonical = if from_descriptor { print::print_file(&linked, TextShape::Canonical) } else { canonical };
        if canonical.len() > MAX_TEXT {
            return Err(InvalidSchema::new(format!(
                "longer than {MAX_TEXT} bytes when written out; split it into files that import each other"
            )));
        }
        Ok(Self { linked: Box::new(linked), canonical, bytes: budget::held_bytes(), from_descriptor })
    }

    /// Returns the canonical text; see [`crate::Schema::canonical`].
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// Returns the canonical text with imports sorted by name, options and fields by number, and full names of types; see
    /// [`crate::Schema::normalized`].
    pub fn normalized(&self) -> String {
        let normalized = print::print_file(&self.linked, TextShape::Normalized);
        // A text above the limit could not be parsed again.
        if normalized.len() > MAX_TEXT { self.canonical() } else { normalized }
    }

    /// Returns the text in another shape; see [`crate::Schema::render_as`].
    pub fn render_as(&self, shape: &str) -> Option<String> {
        match shape {
            "serialized" => {
                let file = self.descriptor(wellknown::file_descriptor());
                file.ok().map(|file| STANDARD.encode(file.encode_to_vec()))
            }
            "ignore_extensions" => Some(print::print_file(&self.linked, TextShape::Bare)),
            _ => None,
        }
    }

    /// Returns the descriptor of the file itself as protoc would create it, without source locations.
    pub(super) fn descriptor(&self, descriptor: MessageDescriptor) -> Result<DynamicMessage, InvalidSchema> {
        let encoded = self.linked.file.encode_to_vec();
        let mut file = DynamicMessage::decode(descriptor, encoded.as_slice())
            .map_err(|error| InvalidSchema::new(format!("the descriptor can't be read: {error}")))?;
        let imports = &self.linked.imports;
        let list = |wanted: Visibility| {
            let plain = imports.iter().filter(|(_, visibility)| *visibility != Visibility::Option);
            let numbered = plain.zip(0..).filter(|((_, visibility), _)| *visibility == wanted);
            Value::List(numbered.map(|(_, index)| Value::I32(index)).collect())
        };
        let paths = |options: bool| {
            let wanted = imports.iter().filter(|(_, visibility)| (*visibility == Visibility::Option) == options);
            Value::List(wanted.map(|(path, _)| Value::String(path.clone())).collect())
        };
        file.set_field_by_name("dependency", paths(false));
        if imports.iter().any(|(_, visibility)| *visibility == Visibility::Option) {
            file.set_field_by_name("option_dependency", paths(true));
        }
        restore::restore_visibilities(&mut file, &self.linked.exported);
        restore::restore_json_names(&mut file, self.linked.file.package_name(), &self.linked.json_names);
        file.set_field_by_name("public_dependency", list(Visibility::Public));
        file.set_field_by_name("weak_dependency", list(Visibility::Weak));
        match self.linked.syntax {
            Syntax::Proto2 => file.clear_field_by_name("syntax"),
            Syntax::Proto3 => file.set_field_by_name("syntax", Value::String("proto3".to_owned())),
            Syntax::Edition(edition) => {
                file.set_field_by_name("syntax", Value::String("editions".to_owned()));
                file.set_field_by_name("edition", Value::EnumNumber(edition.number));
            }
        }
        Ok(file)
    }
}

/// Links a file, and checks the rules that the linker doesn't check.
fn link_valid(name: &str, file: ProtoFile, dependencies: &[Dependency]) -> Result<LinkedFile, InvalidSchema> {
    let (file, linked) = link::link(name, file, dependencies)?;
    validate::validate(&file, &linked).map_err(|invalid| InvalidSchema::new(format!("{name}: {}", invalid.message)))?;
    Ok(linked)
}

/// Removes the file name from a message. Only the linker knows the schema's file by this name.
fn remove_file_name(name: &str, invalid: InvalidSchema) -> InvalidSchema {
    let prefix = format!("{name}: ");
    match invalid.message.strip_prefix(&prefix) {
        Some(rest) => InvalidSchema::new(rest),
        None => invalid,
    }
}
