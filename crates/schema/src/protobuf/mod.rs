//! Protocol Buffers: proto2, proto3 and the editions 2023 and 2024, <https://protobuf.dev/reference/protobuf/>.
//!
//! A text is source, or the base64 of a `google.protobuf.FileDescriptorProto`; both of the same file are the same schema. Its
//! imports are its dependencies, by name; Protobuf's own files and those in `wellknown/` need no reference.
//!
//! `scan` → `edition` → `read` → `check` → `link` is the way of a text to descriptors that know each other; `print` writes
//! them as the one canonical text, and `compare` tells what stands between two of them.

mod check;
mod compare;
mod edition;
mod features;
mod link;
mod names;
mod print;
mod read;
mod scan;
mod tag;
#[cfg(test)]
mod tests;
mod wellknown;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use prost_types::FileDescriptorProto;

use super::{Dependency, Difference, InvalidSchema, tag::PartVisitor};
use link::LinkedFile;
use print::TextShape;
use read::{MAX_TEXT, ProtoFile, Syntax, Visibility};

/// A schema with all that it refers to.
#[derive(Debug)]
pub struct ProtobufSchema {
    linked: LinkedFile,
    canonical: String,
}

/// Longest message about a text that is refused, in letters: it may quote the text.
const MAX_MESSAGE: usize = 500;

impl ProtobufSchema {
    /// Reads a text; see [`crate::Schema::parse`].
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Self::read(text, dependencies).map_err(|invalid| match invalid.message.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => InvalidSchema::new(format!("{}…", invalid.message.get(..end).unwrap_or_default())),
            None => invalid,
        })
    }

    fn read(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut name = "schema.proto".to_owned();
        while dependencies.iter().any(|dependency| *dependency.name == *name) {
            name.insert(0, '_');
        }
        let file = ProtoFile::read(&name, text).map_err(|invalid| unnamed(&name, invalid))?;
        let decoded = file.from_descriptor;
        let mut linked = link::link(&name, file, dependencies).map_err(|invalid| unnamed(&name, invalid))?;
        let canonical = print::file(&linked, TextShape::Canonical);
        if decoded {
            // By way of source: what can be said there only is what a compiler would take, and one file has one canonical text.
            let again = ProtoFile::parse(&name, &canonical).and_then(|file| link::link(&name, file, dependencies));
            linked = again
                .map_err(|invalid| InvalidSchema::new(format!("the descriptor is none that source could have: {}", invalid.message)))?;
        }
        // Fields of a oneof that a descriptor has apart come together when they are written.
        let canonical = if decoded { print::file(&linked, TextShape::Canonical) } else { canonical };
        if canonical.len() > MAX_TEXT {
            return Err(InvalidSchema::new(format!(
                "longer than {MAX_TEXT} bytes when written out; split it into files that import each other"
            )));
        }
        Ok(Self { linked, canonical })
    }

    /// See [`crate::Schema::canonical`].
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// See [`crate::Schema::normalized`]: imports by name, options and fields by number, types by their full names.
    pub fn normalized(&self) -> String {
        let normalized = print::file(&self.linked, TextShape::Normalized);
        // What can't be read again is no text to keep.
        if normalized.len() > MAX_TEXT { self.canonical() } else { normalized }
    }

    /// See [`crate::Schema::render_as`].
    pub fn render_as(&self, shape: &str) -> Option<String> {
        match shape {
            "serialized" => {
                let file = self.descriptor(FileDescriptorProto::default().descriptor());
                file.ok().map(|file| STANDARD.encode(file.encode_to_vec()))
            }
            "ignore_extensions" => Some(print::file(&self.linked, TextShape::Bare)),
            _ => None,
        }
    }

    /// See [`crate::Schema::tags`].
    pub(super) fn tags(&self, visit: &mut PartVisitor) {
        tag::each(self, visit);
    }

    /// See [`crate::Schema::change_tags`].
    pub(super) fn change_tags(&self, visit: &mut PartVisitor, dependencies: &[Dependency]) -> Result<String, InvalidSchema> {
        tag::change_tags(self, visit, dependencies)
    }

    /// The descriptor of the file itself as protoc would give it, without places in the text.
    fn descriptor(&self, descriptor: MessageDescriptor) -> Result<DynamicMessage, InvalidSchema> {
        let encoded = self.linked.file.encode_to_vec();
        let mut file = DynamicMessage::decode(descriptor, encoded.as_slice())
            .map_err(|error| InvalidSchema::new(format!("the descriptor can't be read: {error}")))?;
        let imports = &self.linked.imports;
        let list = |wanted: Visibility| {
            let numbered = imports.iter().zip(0..).filter(|((_, visibility), _)| *visibility == wanted);
            Value::List(numbered.map(|(_, index)| Value::I32(index)).collect())
        };
        file.set_field_by_name("dependency", Value::List(imports.iter().map(|(path, _)| Value::String(path.clone())).collect()));
        file.set_field_by_name("public_dependency", list(Visibility::Public));
        file.set_field_by_name("weak_dependency", list(Visibility::Weak));
        match self.linked.syntax {
            Syntax::Proto2 => file.clear_field_by_name("syntax"),
            Syntax::Proto3 => {}
            Syntax::Edition(edition) => {
                file.set_field_by_name("syntax", Value::String("editions".to_owned()));
                file.set_field_by_name("edition", Value::EnumNumber(edition.number));
            }
        }
        Ok(file)
    }
}

/// Takes the name off that the schema's own file has for the linker alone.
fn unnamed(name: &str, invalid: InvalidSchema) -> InvalidSchema {
    let prefix = format!("{name}: ");
    match invalid.message.strip_prefix(&prefix) {
        Some(rest) => InvalidSchema::new(rest),
        None => invalid,
    }
}

/// See [`crate::Schema::differences`].
pub fn differences(reader: &ProtobufSchema, writer: &ProtobufSchema) -> Vec<Difference> {
    compare::differences(&reader.linked, &writer.linked)
}
