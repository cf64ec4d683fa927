//! Tags in Protobuf: a list in an option of messages and one in an option of fields.
//!
//! The path of a message is its full name. The path of a field is that of its message and its own name, optionally with the name of its
//! oneof in between: `shop.Order.Line.price`. Groups are both messages and fields. Map entries and extensions have no tags.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, Kind, Value};

use super::{
    link::LinkedFile,
    names::join_name,
    print::{self, TextShape},
    read::Visibility,
    schema::ProtobufSchema,
    wellknown,
};
use crate::{
    Dependency, InvalidSchema,
    tag::{FIELD, IMPORT, LIST, MAX_PATH, MESSAGE, PartKind, PartVisitor, SchemaPart},
};

/// Visits all messages and their fields.
pub(super) fn visit_parts(schema: &ProtobufSchema, visit: &mut PartVisitor) {
    if let Ok(mut file) = descriptor(schema) {
        ProtobufTagWalk::file(&schema.linked, &mut file, visit);
    }
}

/// Returns the canonical text with the tags that `visit` leaves.
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
    visit_parts(schema, &mut note);
    if changed.is_empty() {
        return Ok(schema.canonical());
    }
    let declared;
    let schema = if can_use_options(&schema.linked) {
        schema
    } else {
        declared = with_import(schema, dependencies)?;
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
    // The import is removed with the last tag if nothing else needs it.
    let without = changed.values().any(Vec::is_empty).then(|| without_import(&written, dependencies)).flatten();
    Ok(without.unwrap_or_else(|| written.canonical()))
}

/// Returns whether the file can use the options for tags.
fn can_use_options(linked: &LinkedFile) -> bool {
    let pool = linked.file.parent_pool();
    let visible = |option: ExtensionDescriptor| {
        let declares = option.parent_file();
        declares == linked.file || linked.file.dependencies().any(|file| file == declares)
    };
    option(pool, MESSAGE, "MessageOptions").is_some_and(visible) && option(pool, FIELD, "FieldOptions").is_some_and(visible)
}

/// Returns the schema with an import of the file that declares the options.
fn with_import(schema: &ProtobufSchema, dependencies: &[Dependency]) -> Result<ProtobufSchema, InvalidSchema> {
    let mut file = descriptor(schema)?;
    if let Some(Value::List(imports)) = file.get_field_by_name_mut("dependency") {
        imports.push(Value::String(IMPORT.to_owned()));
    }
    let schema = decoded(&file, dependencies)?;
    if can_use_options(&schema.linked) {
        Ok(schema)
    } else {
        Err(InvalidSchema::new(format!("\"{IMPORT}\" doesn't declare {MESSAGE} and {FIELD}")))
    }
}

/// Returns the text without the import, or `None` if it is needed.
fn without_import(schema: &ProtobufSchema, dependencies: &[Dependency]) -> Option<String> {
    let mut linked = schema.linked.clone();
    linked.imports.retain(|(path, visibility)| path != IMPORT || *visibility != Visibility::Private);
    if linked.imports.len() == schema.linked.imports.len() {
        return None;
    }
    let text = print::print_file(&linked, TextShape::Canonical);
    ProtobufSchema::read(&text, dependencies).ok().map(|schema| schema.canonical())
}

/// Returns the descriptor of the file, with the declared options as fields.
fn descriptor(schema: &ProtobufSchema) -> Result<DynamicMessage, InvalidSchema> {
    let pool = schema.linked.file.parent_pool();
    let own = pool.get_message_by_name("google.protobuf.FileDescriptorProto");
    schema.descriptor(own.unwrap_or_else(wellknown::file_descriptor))
}

fn decoded(file: &DynamicMessage, dependencies: &[Dependency]) -> Result<ProtobufSchema, InvalidSchema> {
    ProtobufSchema::read(&STANDARD.encode(file.encode_to_vec()), dependencies)
}

struct ProtobufTagWalk<'a, 'b> {
    /// The options, if the file can use them.
    message: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    visit: &'a mut PartVisitor<'b>,
}

impl<'a, 'b> ProtobufTagWalk<'a, 'b> {
    /// Visits all declarations of a file.
    fn file(linked: &LinkedFile, file: &mut DynamicMessage, visit: &'a mut PartVisitor<'b>) {
        let pool = linked.file.parent_pool();
        let mut walk = Self { message: option(pool, MESSAGE, "MessageOptions"), field: option(pool, FIELD, "FieldOptions"), visit };
        walk.messages(file, "message_type", linked.file.package_name());
    }

    /// Visits messages. Recursion is limited by the nesting limit of the parser.
    fn messages(&mut self, of: &mut DynamicMessage, list: &str, scope: &str) {
        for message in items(of, list) {
            let is_entry = options(message).and_then(|options| options.get_field_by_name("map_entry")?.as_bool()) == Some(true);
            if is_entry {
                continue;
            }
            let path = join_name(scope, &name(message));
            if path.len() > MAX_PATH {
                continue;
            }
            visit_part(self.visit, &SchemaPart { part: PartKind::Record, path: &path, alternative: None }, message, self.message.as_ref());
            self.fields(message, &path);
            self.messages(message, "nested_type", &path);
        }
    }

    fn fields(&mut self, message: &mut DynamicMessage, scope: &str) {
        let oneofs: Vec<String> = items(message, "oneof_decl").map(|oneof| name(oneof)).collect();
        for field in items(message, "field") {
            let name = name(field);
            let path = join_name(scope, &name);
            let oneof = field.get_field_by_name("oneof_index").filter(|_| field.has_field_by_name("oneof_index"));
            let oneof = oneof.and_then(|index| oneofs.get(usize::try_from(index.as_i32()?).ok()?));
            let alternative = oneof.map(|oneof| join_name(scope, &join_name(oneof, &name)));
            if path.len() <= MAX_PATH {
                visit_part(
                    self.visit,
                    &SchemaPart { part: PartKind::Field, path: &path, alternative: alternative.as_deref() },
                    field,
                    self.field.as_ref(),
                );
            }
        }
    }
}

/// Returns the option with a name if it extends the right declaration and has the list of tags.
fn option(pool: &DescriptorPool, name: &str, of: &str) -> Option<ExtensionDescriptor> {
    let option = pool.get_extension_by_name(name)?;
    let list = option.kind().as_message().and_then(|meta| meta.get_field_by_name(LIST))?;
    let fits = !option.is_list() && list.is_list() && matches!(list.kind(), Kind::String);
    (fits && option.containing_message().full_name() == format!("google.protobuf.{of}")).then_some(option)
}

/// Returns the messages in a list of declarations.
fn items<'a>(of: &'a mut DynamicMessage, list: &str) -> impl Iterator<Item = &'a mut DynamicMessage> {
    let list = if of.has_field_by_name(list) { of.get_field_by_name_mut(list) } else { None };
    list.and_then(Value::as_list_mut).into_iter().flatten().filter_map(Value::as_message_mut)
}

fn name(declaration: &DynamicMessage) -> String {
    declaration.get_field_by_name("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the options of a declaration if it has some.
fn options(declaration: &mut DynamicMessage) -> Option<&mut DynamicMessage> {
    if declaration.has_field_by_name("options") { declaration.get_field_by_name_mut("options")?.as_message_mut() } else { None }
}

fn visit_part(visit: &mut PartVisitor, shown: &SchemaPart, declaration: &mut DynamicMessage, option: Option<&ExtensionDescriptor>) {
    let before = option.and_then(|option| read_tags(options(declaration)?, option)).unwrap_or_default();
    let mut tags = before.clone();
    visit(shown, &mut tags);
    if let Some(option) = option.filter(|_| tags != before) {
        write_tags(declaration, option, tags);
    }
}

fn read_tags(options: &DynamicMessage, option: &ExtensionDescriptor) -> Option<Vec<String>> {
    let meta = options.get_extension(option);
    let list = meta.as_message()?.get_field_by_name(LIST)?;
    Some(list.as_list()?.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
}

/// Writes the tags. Options that become empty are removed, so that the text doesn't contain them.
fn write_tags(declaration: &mut DynamicMessage, option: &ExtensionDescriptor, tags: Vec<String>) {
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
