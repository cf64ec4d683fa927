//! Puts into a descriptor what the linker doesn't keep.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, Value};

use super::names::join_name;

/// The number of `VISIBILITY_LOCAL`; that of `VISIBILITY_EXPORT` is one more.
const LOCAL: i32 = 1;

/// Receives a declaration and its full name.
type DeclarationVisitor<'a> = dyn FnMut(&mut DynamicMessage, &str) + 'a;

/// Sets which messages and enums are `export` or `local`.
pub(super) fn restore_visibilities(file: &mut DynamicMessage, exported: &HashMap<String, bool>) {
    if exported.is_empty() {
        return;
    }
    let mut set = |declaration: &mut DynamicMessage, name: &str| {
        if let Some(exported) = exported.get(name) {
            declaration.set_field_by_name("visibility", Value::EnumNumber(LOCAL + i32::from(*exported)));
        }
    };
    visit(file, &["message_type", "enum_type"], "", &mut set);
}

/// Sets the JSON names that the linker would have refused.
pub(super) fn restore_json_names(file: &mut DynamicMessage, package: &str, json_names: &HashMap<String, String>) {
    if json_names.is_empty() {
        return;
    }
    let mut set = |message: &mut DynamicMessage, full: &str| {
        let Some(Value::List(fields)) = message.get_field_by_name_mut("field") else { return };
        for field in fields.iter_mut().filter_map(Value::as_message_mut) {
            if let Some(json) = json_names.get(&join_name(full, &name_of(field))) {
                field.set_field_by_name("json_name", Value::String(json.clone()));
            }
        }
    };
    visit(file, &["message_type"], package, &mut set);
}

/// Visits the declarations in some lists and all nested ones. Recursion is limited by the depth of messages.
fn visit(of: &mut DynamicMessage, lists: &[&str], scope: &str, visitor: &mut DeclarationVisitor) {
    for list in lists {
        if !of.has_field_by_name(list) {
            continue;
        }
        let Some(Value::List(declarations)) = of.get_field_by_name_mut(list) else { continue };
        for declaration in declarations.iter_mut().filter_map(Value::as_message_mut) {
            let full = join_name(scope, &name_of(declaration));
            visitor(declaration, &full);
            if *list != "enum_type" {
                let inner: &[&str] = if lists.len() > 1 { &["nested_type", "enum_type"] } else { &["nested_type"] };
                visit(declaration, inner, &full, visitor);
            }
        }
    }
}

fn name_of(declaration: &DynamicMessage) -> String {
    declaration.get_field_by_name("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
