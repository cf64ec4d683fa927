//! Tags: a list in an option of messages and one in an option of fields.
//!
//! A message is called by its full name, and a field by that of its message and its own, with or without that of its oneof between
//! them: `shop.Order.Line.price`. Groups are messages and fields; entries of maps, and extensions, have no tags.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, Kind, ReflectMessage as _, Value};
use prost_types::FileDescriptorProto;

use super::{
    ProtobufSchema,
    link::LinkedFile,
    names::joined,
    print::{self, TextShape},
    read::Visibility,
};
use crate::{
    Dependency, InvalidSchema,
    tag::{FIELD, IMPORT, LIST, MAX_PATH, MESSAGE, PartKind, PartVisitor, SchemaPart},
};

/// Shows all messages and their fields.
pub(super) fn each(schema: &ProtobufSchema, visit: &mut PartVisitor) {
    if let Ok(mut file) = descriptor(schema) {
        ProtobufTagWalk::file(&schema.linked, &mut file, visit);
    }
}

/// The canonical text with the tags that `visit` leaves.
pub(super) fn change_tags(schema: &ProtobufSchema, visit: &mut PartVisitor, dependencies: &[Dependency]) -> Result<String, InvalidSchema> {
    let mut changed = HashMap::new();
    let mut number = 0;
    let mut note = |shown: &SchemaPart, tags: &mut Vec<String>| {
        let before = tags.clone();
        visit(shown, tags);
        if *tags != before {
            changed.insert(number, tags.clone());
        }
        number += 1;
    };
    each(schema, &mut note);
    if changed.is_empty() {
        return Ok(schema.canonical());
    }
    let declared;
    let schema = if is_declared(&schema.linked) {
        schema
    } else {
        declared = declaring(schema, dependencies)?;
        &declared
    };
    let mut number = 0;
    let mut put = |_: &SchemaPart, tags: &mut Vec<String>| {
        if let Some(new) = changed.get(&number) {
            tags.clone_from(new);
        }
        number += 1;
    };
    let mut file = descriptor(schema)?;
    ProtobufTagWalk::file(&schema.linked, &mut file, &mut put);
    let written = decoded(&file, dependencies)?;
    // With the last tag goes what was there for tags alone.
    let spare = changed.values().any(Vec::is_empty).then(|| without_import(&written, dependencies)).flatten();
    Ok(spare.unwrap_or_else(|| written.canonical()))
}

/// Whether the file can use the options.
fn is_declared(linked: &LinkedFile) -> bool {
    let pool = linked.file.parent_pool();
    let visible = |option: ExtensionDescriptor| {
        let declares = option.parent_file();
        declares == linked.file || linked.file.dependencies().any(|file| file == declares)
    };
    option(pool, MESSAGE, "MessageOptions").is_some_and(visible) && option(pool, FIELD, "FieldOptions").is_some_and(visible)
}

/// The schema with the import that declares the options.
fn declaring(schema: &ProtobufSchema, dependencies: &[Dependency]) -> Result<ProtobufSchema, InvalidSchema> {
    let mut file = descriptor(schema)?;
    if let Some(Value::List(imports)) = file.get_field_by_name_mut("dependency") {
        imports.push(Value::String(IMPORT.to_owned()));
    }
    let schema = decoded(&file, dependencies)?;
    if is_declared(&schema.linked) {
        Ok(schema)
    } else {
        Err(InvalidSchema::new(format!("\"{IMPORT}\" doesn't declare {MESSAGE} and {FIELD}")))
    }
}

/// The text without the import, if nothing needs it.
fn without_import(schema: &ProtobufSchema, dependencies: &[Dependency]) -> Option<String> {
    let mut linked = schema.linked.clone();
    linked.imports.retain(|(path, visibility)| path != IMPORT || *visibility != Visibility::Private);
    if linked.imports.len() == schema.linked.imports.len() {
        return None;
    }
    let text = print::file(&linked, TextShape::Canonical);
    ProtobufSchema::read(&text, dependencies).ok().map(|schema| schema.canonical())
}

/// The descriptor of the file, with the options that the files declare among its fields.
fn descriptor(schema: &ProtobufSchema) -> Result<DynamicMessage, InvalidSchema> {
    let pool = schema.linked.file.parent_pool();
    let own = pool.get_message_by_name("google.protobuf.FileDescriptorProto");
    schema.descriptor(own.unwrap_or_else(|| FileDescriptorProto::default().descriptor()))
}

fn decoded(file: &DynamicMessage, dependencies: &[Dependency]) -> Result<ProtobufSchema, InvalidSchema> {
    ProtobufSchema::read(&STANDARD.encode(file.encode_to_vec()), dependencies)
}

struct ProtobufTagWalk<'a, 'b> {
    /// The options, if the file knows them.
    message: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    visit: &'a mut PartVisitor<'b>,
}

impl<'a, 'b> ProtobufTagWalk<'a, 'b> {
    /// Through all that a file declares.
    fn file(linked: &LinkedFile, file: &mut DynamicMessage, visit: &'a mut PartVisitor<'b>) {
        let pool = linked.file.parent_pool();
        let mut walk = Self { message: option(pool, MESSAGE, "MessageOptions"), field: option(pool, FIELD, "FieldOptions"), visit };
        walk.messages(file, "message_type", linked.file.package_name());
    }

    /// Goes as deep as the reader of texts has allowed.
    fn messages(&mut self, of: &mut DynamicMessage, list: &str, scope: &str) {
        for message in items(of, list) {
            let is_entry = options(message).and_then(|options| options.get_field_by_name("map_entry")?.as_bool()) == Some(true);
            if is_entry {
                continue;
            }
            let path = joined(scope, &name(message));
            if path.len() > MAX_PATH {
                continue;
            }
            show(self.visit, &SchemaPart { part: PartKind::Record, path: &path, also: None }, message, self.message.as_ref());
            self.fields(message, &path);
            self.messages(message, "nested_type", &path);
        }
    }

    fn fields(&mut self, message: &mut DynamicMessage, scope: &str) {
        let oneofs: Vec<String> = items(message, "oneof_decl").map(|oneof| name(oneof)).collect();
        for field in items(message, "field") {
            let name = name(field);
            let path = joined(scope, &name);
            let oneof = field.get_field_by_name("oneof_index").filter(|_| field.has_field_by_name("oneof_index"));
            let oneof = oneof.and_then(|index| oneofs.get(usize::try_from(index.as_i32()?).ok()?));
            let also = oneof.map(|oneof| joined(scope, &joined(oneof, &name)));
            if path.len() <= MAX_PATH {
                show(self.visit, &SchemaPart { part: PartKind::Field, path: &path, also: also.as_deref() }, field, self.field.as_ref());
            }
        }
    }
}

/// The option of that name, if it is one of those declarations and has the list.
fn option(pool: &DescriptorPool, name: &str, of: &str) -> Option<ExtensionDescriptor> {
    let option = pool.get_extension_by_name(name)?;
    let list = option.kind().as_message().and_then(|meta| meta.get_field_by_name(LIST))?;
    let fits = !option.is_list() && list.is_list() && matches!(list.kind(), Kind::String);
    (fits && option.containing_message().full_name() == format!("google.protobuf.{of}")).then_some(option)
}

/// The messages in a list of declarations.
fn items<'a>(of: &'a mut DynamicMessage, list: &str) -> impl Iterator<Item = &'a mut DynamicMessage> {
    let list = if of.has_field_by_name(list) { of.get_field_by_name_mut(list) } else { None };
    list.and_then(Value::as_list_mut).into_iter().flatten().filter_map(Value::as_message_mut)
}

fn name(declaration: &DynamicMessage) -> String {
    declaration.get_field_by_name("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The options of a declaration that has some.
fn options(declaration: &mut DynamicMessage) -> Option<&mut DynamicMessage> {
    if declaration.has_field_by_name("options") { declaration.get_field_by_name_mut("options")?.as_message_mut() } else { None }
}

fn show(visit: &mut PartVisitor, shown: &SchemaPart, declaration: &mut DynamicMessage, option: Option<&ExtensionDescriptor>) {
    let before = option.and_then(|option| read(options(declaration)?, option)).unwrap_or_default();
    let mut tags = before.clone();
    visit(shown, &mut tags);
    if let Some(option) = option.filter(|_| tags != before) {
        write(declaration, option, tags);
    }
}

fn read(options: &DynamicMessage, option: &ExtensionDescriptor) -> Option<Vec<String>> {
    let meta = options.get_extension(option);
    let list = meta.as_message()?.get_field_by_name(LIST)?;
    Some(list.as_list()?.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
}

/// What is empty without the tags is taken away, so that the text says nothing of it.
fn write(declaration: &mut DynamicMessage, option: &ExtensionDescriptor, tags: Vec<String>) {
    let Some(options) = declaration.get_field_by_name_mut("options").and_then(Value::as_message_mut) else { return };
    if let Some(meta) = options.get_extension_mut(option).as_message_mut() {
        meta.set_field_by_name(LIST, Value::List(tags.into_iter().map(Value::String).collect()));
        if meta.encoded_len() == 0 {
            options.clear_extension(option);
        }
    }
    if options.encoded_len() == 0 {
        declaration.clear_field_by_name("options");
    }
}
