//! The comments of the patterns' contracts, as a table by full name: descriptors with comments take ten times the memory, and
//! a gateway needs them only to describe its APIs.

use std::{collections::BTreeMap, error::Error, fmt::Write as _, fs, path::Path};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

// Numbers of fields in descriptor.proto: the steps of a `SourceCodeInfo` path.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const FILE_SERVICE: i32 = 6;
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_NESTED: i32 = 3;
const MESSAGE_ENUM: i32 = 4;
const MESSAGE_ONEOF: i32 = 8;
const ENUM_VALUE: i32 = 2;
const SERVICE_METHOD: i32 = 2;

/// Names of all things in a file, by their path in it.
type Names = BTreeMap<Vec<i32>, String>;

/// Writes `comments.rs`: pairs of full name and comment, sorted by name.
pub fn write(out: &Path, set: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let mut comments = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("prism.")) {
        let names = names(file);
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            if let (Some(name), Some(comment)) = (names.get(&location.path), &location.leading_comments) {
                comments.insert(name.clone(), tidy(comment));
            }
        }
    }
    let mut code = String::from("pub(super) const COMMENTS: &[(&str, &str)] = &[\n");
    for (name, comment) in comments {
        writeln!(code, "    ({name:?}, {comment:?}),")?;
    }
    code.push_str("];\n");
    fs::write(out.join("comments.rs"), code)?;
    Ok(())
}

/// Without the space behind `//`.
fn tidy(comment: &str) -> String {
    let lines: Vec<&str> = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

fn names(file: &FileDescriptorProto) -> Names {
    let mut names = Names::new();
    let package = file.package();
    for (index, message) in (0..).zip(&file.message_type) {
        of_message(&mut names, vec![FILE_MESSAGE, index], package, message);
    }
    for (index, kind) in (0..).zip(&file.enum_type) {
        of_enum(&mut names, vec![FILE_ENUM, index], package, kind);
    }
    for (index, service) in (0..).zip(&file.service) {
        let name = format!("{package}.{}", service.name());
        for (method_index, method) in (0..).zip(&service.method) {
            names.insert(vec![FILE_SERVICE, index, SERVICE_METHOD, method_index], format!("{name}.{}", method.name()));
        }
        names.insert(vec![FILE_SERVICE, index], name);
    }
    names
}

fn of_message(names: &mut Names, path: Vec<i32>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let below = |kind: i32, index: i32| [path.as_slice(), &[kind, index]].concat();
    for (index, field) in (0..).zip(&message.field) {
        names.insert(below(MESSAGE_FIELD, index), format!("{name}.{}", field.name()));
    }
    for (index, oneof) in (0..).zip(&message.oneof_decl) {
        names.insert(below(MESSAGE_ONEOF, index), format!("{name}.{}", oneof.name()));
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        of_message(names, below(MESSAGE_NESTED, index), &name, nested);
    }
    for (index, kind) in (0..).zip(&message.enum_type) {
        of_enum(names, below(MESSAGE_ENUM, index), &name, kind);
    }
    names.insert(path, name);
}

/// Values are named inside of their enum here, as `prism.x.v1.Color.RED`; protobuf itself names them beside it.
fn of_enum(names: &mut Names, path: Vec<i32>, scope: &str, kind: &EnumDescriptorProto) {
    let name = format!("{scope}.{}", kind.name());
    for (index, value) in (0..).zip(&kind.value) {
        names.insert([path.as_slice(), &[ENUM_VALUE, index]].concat(), format!("{name}.{}", value.name()));
    }
    names.insert(path, name);
}
