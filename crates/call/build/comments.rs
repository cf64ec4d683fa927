//! Writes the comments of the patterns' protos as a table by full name. Descriptors with comments would take ten times the memory,
//! and a gateway needs comments only to describe its APIs.

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

/// Full names of the definitions in a file, by their path in it.
type Names = BTreeMap<Vec<i32>, String>;

/// Writes `comments.rs`: pairs of full name and comment, sorted by name.
pub fn write(out: &Path, set: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let mut comments = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("prism.")) {
        let names = collect_names(file);
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            if let (Some(name), Some(comment)) = (names.get(&location.path), &location.leading_comments) {
                comments.insert(name.clone(), trim_comment(comment));
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

/// Removes the space after `//` from each line.
fn trim_comment(comment: &str) -> String {
    let lines: Vec<&str> = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

fn collect_names(file: &FileDescriptorProto) -> Names {
    let mut names = Names::new();
    let package = file.package();
    for (index, message) in (0..).zip(&file.message_type) {
        add_message(&mut names, vec![FILE_MESSAGE, index], package, message);
    }
    for (index, kind) in (0..).zip(&file.enum_type) {
        add_enum(&mut names, vec![FILE_ENUM, index], package, kind);
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

fn add_message(names: &mut Names, path: Vec<i32>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let below = |kind: i32, index: i32| [path.as_slice(), &[kind, index]].concat();
    for (index, field) in (0..).zip(&message.field) {
        names.insert(below(MESSAGE_FIELD, index), format!("{name}.{}", field.name()));
    }
    for (index, oneof) in (0..).zip(&message.oneof_decl) {
        names.insert(below(MESSAGE_ONEOF, index), format!("{name}.{}", oneof.name()));
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        add_message(names, below(MESSAGE_NESTED, index), &name, nested);
    }
    for (index, kind) in (0..).zip(&message.enum_type) {
        add_enum(names, below(MESSAGE_ENUM, index), &name, kind);
    }
    names.insert(path, name);
}

/// Adds an enum and its values. A value is named below its enum here, as `prism.x.v1.Color.RED`; in protobuf, it is named below the
/// scope of the enum.
fn add_enum(names: &mut Names, path: Vec<i32>, scope: &str, kind: &EnumDescriptorProto) {
    let name = format!("{scope}.{}", kind.name());
    for (index, value) in (0..).zip(&kind.value) {
        names.insert([path.as_slice(), &[ENUM_VALUE, index]].concat(), format!("{name}.{}", value.name()));
    }
    names.insert(path, name);
}
