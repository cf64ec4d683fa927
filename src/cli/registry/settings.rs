//! The settings of a backend: what its driver's schema says, or what is expected where there is no driver yet.

use serde::Serialize;
use serde_json::Value;

use crate::registry::{Backend, CompiledDriver};

/// One setting, for people.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Setting {
    /// As it is written in the configuration; below another one after a dot.
    pub name: String,
    /// What its value is, as `string`, or the values that there are, as `full | normal`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it has to be given.
    pub required: bool,
    /// What it is when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it does, in one sentence.
    pub description: String,
}

impl Setting {
    /// `required`, or the default.
    pub fn default_text(&self) -> String {
        match &self.default {
            None if self.required => "required".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => format!("default {text}"),
            Some(value) => format!("default {value}"),
        }
    }
}

/// All settings of a backend.
pub(super) fn of(backend: &Backend, drivers: &[CompiledDriver]) -> Vec<Setting> {
    if let Some(driver) = drivers.iter().find(|driver| backend.name == *driver.kind) {
        let mut settings = Vec::new();
        collect(&driver.schema, &driver.schema, "", &mut settings);
        return settings;
    }
    let expected = backend.settings.iter().map(|setting| Setting {
        name: setting.name.to_string(),
        kind: setting.kind.to_string(),
        required: false,
        default: setting.default.clone(),
        description: setting.description.clone(),
    });
    expected.collect()
}

fn collect(root: &Value, schema: &Value, prefix: &str, settings: &mut Vec<Setting>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let name = format!("{prefix}{name}");
        let target = resolve(root, property);
        if target["properties"].is_object() {
            collect(root, target, &format!("{name}."), settings);
            continue;
        }
        let described = property["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        settings.push(Setting {
            kind: kind(target),
            required: schema["required"].as_array().is_some_and(|list| list.iter().any(|one| *one == *name)),
            default: property.get("default").filter(|value| !value.is_null()).cloned(),
            description: first_sentence(described),
            name,
        });
    }
}

fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}

/// Follows a reference, also where the value may be absent.
fn resolve<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let alternatives = property["anyOf"].as_array().into_iter().flatten();
    let reference = std::iter::once(property).chain(alternatives).find_map(|one| one["$ref"].as_str());
    let target = reference.and_then(|path| root.pointer(path.trim_start_matches('#')));
    target.unwrap_or(property)
}

fn kind(schema: &Value) -> String {
    let constants = |list: &Value| {
        let values = list.as_array().into_iter().flatten();
        let values = values.filter_map(|one| one.as_str().or(one["const"].as_str()));
        values.collect::<Vec<_>>().join(" | ")
    };
    for list in [&schema["enum"], &schema["oneOf"]] {
        let values = constants(list);
        if !values.is_empty() {
            return values;
        }
    }
    let types = [&schema["type"]].into_iter().chain(schema["type"].as_array().into_iter().flatten());
    types.filter_map(Value::as_str).find(|one| *one != "null").unwrap_or("any").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_lines() {
        let schema = json!({
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "description": "Where it\nis. Or was."},
                "size": {"type": ["integer", "null"], "default": null},
                "level": {"$ref": "#/$defs/Level", "default": "full"},
                "retry": {"$ref": "#/$defs/Retry"},
            },
            "$defs": {
                "Level": {"oneOf": [{"const": "full"}, {"const": "normal"}], "description": "How much."},
                "Retry": {"properties": {"max": {"type": "string", "default": "1s"}}},
            },
        });
        let mut settings = Vec::new();
        collect(&schema, &schema, "", &mut settings);
        let lines = settings.iter().map(|one| format!("{} {} {} {}", one.name, one.kind, one.default_text(), one.description));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "url string required Where it is.",
                "size integer  ",
                "level full | normal default full How much.",
                "retry.max string default 1s "
            ]
        );
    }
}
