//! Compares the settings of a backend with the schema of its driver. People and the configuration read the registry, and the driver
//! reads its schema: both must agree.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    super::{Backend, Problems, SettingType, unknown_name},
    CompiledDriver,
};

pub(super) fn validate(file: &str, backend: &Backend, driver: &CompiledDriver, problems: &mut Problems) {
    let mut compiled = Vec::new();
    collect(&driver.schema, &driver.schema, "", &mut compiled);
    let mut seen = HashSet::new();
    for setting in &backend.settings {
        if !seen.insert(setting.name.as_str()) {
            problems.add(file, setting.name.line(), format!("setting `{}` is listed twice", setting.name));
        }
        let Some(known) = compiled.iter().find(|known| *setting.name == *known.name) else {
            problems.add(
                file,
                setting.name.line(),
                unknown_name("setting", &setting.name, compiled.iter().map(|known| known.name.as_str())),
            );
            continue;
        };
        // A default that the schema does not contain is not compared.
        if let Some(default) = known.default.filter(|default| setting.default.as_ref() != Some(default)) {
            problems.add(file, setting.name.line(), format!("the driver's default of `{}` is {default}", setting.name));
        }
        if !known.types.iter().any(|one| fits(setting.kind, one)) {
            let message = format!("`{}` is `{}`, but the driver reads: {}", setting.name, setting.kind, known.types.join(", "));
            problems.add(file, setting.name.line(), message);
        }
    }
    for known in compiled.iter().filter(|known| !backend.settings.iter().any(|setting| *setting.name == *known.name)) {
        problems.add(file, backend.name.line(), format!("setting `{}` of the driver is missing", known.name));
    }
}

/// A setting in the schema of a driver.
struct SchemaSetting<'a> {
    name: String,
    types: Vec<&'a str>,
    default: Option<&'a Value>,
}

fn collect<'a>(root: &'a Value, schema: &'a Value, prefix: &str, found: &mut Vec<SchemaSetting<'a>>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        let target = resolve(root, property);
        if target["properties"].is_object() {
            collect(root, target, &format!("{name}."), found);
        } else {
            let default = property.get("default").filter(|value| !value.is_null());
            found.push(SchemaSetting { name, types: types(target), default });
        }
    }
}

/// Follows a reference, also that of an optional value.
fn resolve<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let alternatives = property["anyOf"].as_array().into_iter().flatten();
    let reference = std::iter::once(property).chain(alternatives).find_map(|one| one["$ref"].as_str());
    let target = reference.and_then(|path| root.pointer(path.trim_start_matches('#')));
    target.unwrap_or(property)
}

/// Returns the types of a value: `string`, `integer` …; for constants, their type.
fn types(schema: &Value) -> Vec<&str> {
    let listed = schema["type"].as_array().into_iter().flatten().chain([&schema["type"]]);
    let chosen = ["oneOf", "anyOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten());
    listed.filter_map(Value::as_str).chain(chosen.flat_map(types)).filter(|one| *one != "null").collect()
}

/// Whether a value of the registry's type fits a type of the schema.
fn fits(kind: SettingType, schema: &str) -> bool {
    match kind {
        SettingType::String | SettingType::Secret => schema == "string",
        SettingType::Duration => matches!(schema, "string" | "integer"),
        SettingType::Bytes => matches!(schema, "integer" | "string"),
        SettingType::Integer => schema == "integer",
        SettingType::Boolean => schema == "boolean",
    }
}
