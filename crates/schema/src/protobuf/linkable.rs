//! Changes descriptors that are valid and that the linker would refuse.

use std::collections::{HashMap, HashSet};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto, UninterpretedOption,
};

use super::names::{join_name, json_name};

/// Gives fields with the same JSON name other ones, and notes theirs. The same for oneofs that only the parser made. proto2 allows them, and names may differ in case only.
pub(super) fn tell_json_names_apart(file: &mut FileDescriptorProto, json_names: &mut HashMap<String, String>) {
    let package = file.package().to_owned();
    file.message_type.iter_mut().for_each(|message| rename_fields(message, &package, json_names));
}

fn rename_fields(message: &mut DescriptorProto, scope: &str, json_names: &mut HashMap<String, String>) {
    let full = join_name(scope, message.name());
    let mut taken = HashSet::new();
    for field in &mut message.field {
        let json = field.json_name.clone().unwrap_or_else(|| json_name(field.name()));
        if !json.is_empty() && taken.insert(json.clone()) {
            continue;
        }
        let own = format!("{json}#{}", field.number());
        taken.insert(own.clone());
        json_names.insert(join_name(&full, field.name()), json);
        field.json_name = Some(own);
    }
    rename_synthetic_oneofs(message);
    message.nested_type.iter_mut().for_each(|nested| rename_fields(nested, &full, json_names));
}

/// Renames oneofs of `optional` fields that have the name of another part. Their names mean nothing.
fn rename_synthetic_oneofs(message: &mut DescriptorProto) {
    let DescriptorProto { field, oneof_decl, .. } = message;
    let taken: HashSet<String> = field.iter().map(|field| field.name().to_owned()).collect();
    let synthetic = field.iter().filter(|field| field.proto3_optional()).filter_map(|field| usize::try_from(field.oneof_index?).ok());
    for index in synthetic {
        let Some(oneof) = oneof_decl.get_mut(index) else { continue };
        while taken.contains(oneof.name()) {
            oneof.name = Some(format!("X{}", oneof.name()));
        }
    }
}

/// Writes the values `inf` and `nan` of options as numbers. Returns whether there are some.
pub(super) fn write_infinities(file: &mut FileDescriptorProto) -> bool {
    let mut found = false;
    let mut write = |options: &mut Vec<UninterpretedOption>| {
        for option in options {
            let number = match option.identifier_value.as_deref() {
                Some("inf") => f64::INFINITY,
                Some("nan") => f64::NAN,
                _ => continue,
            };
            option.identifier_value = None;
            option.double_value = Some(number);
            found = true;
        }
    };
    file.options.iter_mut().for_each(|options| write(&mut options.uninterpreted_option));
    file.message_type.iter_mut().for_each(|message| visit_message(message, &mut write));
    file.enum_type.iter_mut().for_each(|values| visit_enum(values, &mut write));
    file.extension.iter_mut().for_each(|field| visit_field(field, &mut write));
    file.service.iter_mut().for_each(|service| visit_service(service, &mut write));
    found
}

/// Receives the options of a declaration.
type OptionVisitor<'a> = dyn FnMut(&mut Vec<UninterpretedOption>) + 'a;

/// Visits all options of a message. Recursion is limited by the depth of messages.
fn visit_message(message: &mut DescriptorProto, visit: &mut OptionVisitor) {
    message.options.iter_mut().for_each(|options| visit(&mut options.uninterpreted_option));
    message.field.iter_mut().chain(&mut message.extension).for_each(|field| visit_field(field, visit));
    message.oneof_decl.iter_mut().filter_map(|oneof| oneof.options.as_mut()).for_each(|options| visit(&mut options.uninterpreted_option));
    let ranges = message.extension_range.iter_mut().filter_map(|range| range.options.as_mut());
    ranges.for_each(|options| visit(&mut options.uninterpreted_option));
    message.enum_type.iter_mut().for_each(|values| visit_enum(values, visit));
    message.nested_type.iter_mut().for_each(|nested| visit_message(nested, visit));
}

fn visit_field(field: &mut FieldDescriptorProto, visit: &mut OptionVisitor) {
    field.options.iter_mut().for_each(|options| visit(&mut options.uninterpreted_option));
}

fn visit_enum(values: &mut EnumDescriptorProto, visit: &mut OptionVisitor) {
    values.options.iter_mut().for_each(|options| visit(&mut options.uninterpreted_option));
    let values = values.value.iter_mut().filter_map(|value| value.options.as_mut());
    values.for_each(|options| visit(&mut options.uninterpreted_option));
}

fn visit_service(service: &mut ServiceDescriptorProto, visit: &mut OptionVisitor) {
    service.options.iter_mut().for_each(|options| visit(&mut options.uninterpreted_option));
    let methods = service.method.iter_mut().filter_map(|method| method.options.as_mut());
    methods.for_each(|options| visit(&mut options.uninterpreted_option));
}
