//! Settings of a backend, read as the JSON Schema of its driver says.
//!
//! Only what a schema made from a Rust struct holds is understood: types, required and further properties, enumerations, ranges,
//! patterns, references within the schema. The driver has the last word when it parses the settings.

use serde_json::{Map, Value as Json, json};

use super::shape::{Unit, allows, first_sentence, is, types, violation};
use crate::{
    parse_duration, parse_size,
    reader::{Reader, Scalar},
    settings::mask_url,
};
use prism_registry as registry;
use prism_yaml::{Key, Node, Position, Value, unknown_name};

/// Reads values of one backend.
pub(super) struct SettingsReader<'r, 'a> {
    pub reader: &'r Reader<'a>,
    /// Path of the backend, as `backends.cache`.
    pub path: &'r str,
    /// The whole schema, for references into it.
    pub root: &'r Json,
    /// What the registry says of this kind.
    pub kind: Option<&'r registry::Backend>,
}

/// A value for the driver, and the same as it may be printed.
type Pair = (Json, Json);

impl SettingsReader<'_, '_> {
    /// The properties of an object. `skip` is read by somebody else.
    pub fn object(
        &self,
        schema: &Json,
        entries: &[(Key, Node)],
        path: &str,
        position: &Position,
        skip: &[&str],
    ) -> (Map<String, Json>, Map<String, Json>) {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        let (mut values, mut shown) = (Map::new(), Map::new());
        let mut put = |name: &str, pair: Option<Pair>| {
            if let Some((value, printed)) = pair {
                values.insert(name.to_owned(), value);
                shown.insert(name.to_owned(), printed);
            }
        };
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            let property = self.resolve(property);
            let node = entries.iter().find(|(key, _)| key.name == *name).map(|(_, node)| node);
            // An override of a single value counts more than what the file says of it.
            let foreign = (!is(property, "object") && !is(property, "array")).then(|| self.reader.foreign(&path)).flatten();
            let nothing = node.is_none_or(|node| matches!(node.value, Value::Null));
            match (foreign, node) {
                (Some(scalar), _) => put(name, self.scalar(property, name, &path, hidden(scalar))),
                (None, Some(node)) if !nothing => put(name, self.value(property, name, node, &path)),
                (None, _) if required(name) => {
                    let hint = property["description"].as_str().map(|text| format!(": {}", first_sentence(text))).unwrap_or_default();
                    self.reader.problem(position, format!("`{name}` is missing{hint}"));
                }
                _ => {}
            }
        }
        for (key, node) in entries {
            let name = key.name.as_str();
            if properties.contains_key(name) || skip.contains(&name) {
                continue;
            }
            match &schema["additionalProperties"] {
                further @ Json::Object(_) => put(name, self.value(self.resolve(further), name, node, &format!("{path}.{name}"))),
                Json::Bool(true) => put(name, self.value(&Json::Bool(true), name, node, &format!("{path}.{name}"))),
                _ => {
                    let known = skip.iter().copied().chain(properties.keys().map(String::as_str)).collect::<Vec<_>>();
                    self.reader.problem(&key.position, unknown_name("setting", name, known));
                }
            }
        }
        (values, shown)
    }

    fn value(&self, schema: &Json, name: &str, node: &Node, path: &str) -> Option<Pair> {
        match &node.value {
            Value::Map(entries) if allows(schema, "object") => {
                let open = json!({"additionalProperties": true});
                let schema = if schema.is_object() { schema } else { &open };
                let (values, shown) = self.object(schema, entries, path, &node.position, &[]);
                Some((values.into(), shown.into()))
            }
            Value::List(items) if allows(schema, "array") => {
                let item = self.resolve(schema.get("items").unwrap_or(&Json::Bool(true)));
                let pairs = items.iter().filter_map(|node| self.value(item, name, node, path));
                let (values, shown): (Vec<_>, Vec<_>) = pairs.unzip();
                Some((values.into(), shown.into()))
            }
            Value::Map(_) | Value::List(_) => {
                self.mismatch(schema, name, node.value.kind(), &node.position);
                None
            }
            _ => self.scalar(schema, name, path, self.reader.scalar(name, node)?),
        }
    }

    fn scalar(&self, schema: &Json, name: &str, path: &str, scalar: Scalar) -> Option<Pair> {
        let unit = Unit::of(schema, name);
        let Scalar { value, shown, foreign, position } = scalar;
        let written_as_text = matches!(value, Value::Text(_));
        if let Some(right) = unit.and_then(|unit| mismeasured(unit, &value)) {
            self.reader.problem(&position, format!("`{name}` must be {right}, not `{shown}`"));
            return None;
        }
        let json = match value {
            Value::Bool(value) => Json::from(value),
            Value::Number(value) => Json::Number(value),
            Value::Text(text) => match measured(unit, &text, allows(schema, "string")) {
                Some(json) => json,
                // What comes from elsewhere is text and becomes what the schema wants.
                None if foreign && !allows(schema, "string") => parsed(&text).unwrap_or(Json::String(text)),
                None => Json::String(text),
            },
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        };
        let kind = match &json {
            Json::Bool(_) => "boolean",
            Json::Number(number) if number.is_f64() => "number",
            Json::Number(_) => "integer",
            _ => "string",
        };
        let allowed = allows(schema, kind) || (kind == "integer" && allows(schema, "number"));
        if !allowed {
            self.mismatch(schema, name, &format!("`{shown}`"), &position);
            return None;
        }
        if let Some(problem) = violation(schema, name, &json, &shown).or_else(|| self.connection(path, name, &json, &shown)) {
            self.reader.problem(&position, problem);
            return None;
        }
        let secret = schema["writeOnly"] == true || schema["format"] == "password";
        let printed = match (&json, mask_url(&shown)) {
            // A URL is a secret only in its password.
            (_, masked) if foreign || shown.contains("://") => masked.into(),
            _ if secret => "***".into(),
            (_, shown) if written_as_text => shown.into(),
            (other, _) => other.clone(),
        };
        Some((json, printed))
    }

    /// What is wrong with a connection string.
    fn connection(&self, path: &str, name: &str, value: &Json, shown: &str) -> Option<String> {
        let connection = self.kind?.connection.as_ref()?;
        let text = value.as_str().filter(|_| path.strip_prefix(self.path) == Some(&format!(".{}", connection.setting)))?;
        let wrong = regex_lite::Regex::new(&connection.pattern).is_ok_and(|pattern| !pattern.is_match(text));
        wrong.then(|| format!("`{name}` must look like `{}`, not `{}`", connection.example, mask_url(shown)))
    }

    fn mismatch(&self, schema: &Json, name: &str, found: &str, position: &Position) {
        let types = types(schema).into_iter().map(|kind| match kind {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            _ => "a mapping",
        });
        let quotes = if types.clone().eq(["text"]) && found.starts_with('`') { "; write it in quotes" } else { "" };
        self.reader.problem(position, format!("`{name}` must be {}, not {found}{quotes}", types.collect::<Vec<_>>().join(" or ")));
    }

    /// Follows references and leaves out the alternative `null`: a setting that is null is one that is not there.
    fn resolve<'s>(&'s self, schema: &'s Json) -> &'s Json {
        let mut schema = schema;
        // A schema that refers to itself in a circle says nothing; stop there.
        for _ in 0..16 {
            let alternatives = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema[*key].as_array());
            let mut others = alternatives.into_iter().flatten().filter(|one| one["type"] != "null");
            schema = match (schema["$ref"].as_str(), others.next(), others.next()) {
                (Some(reference), ..) => self.root.pointer(reference.trim_start_matches('#')).unwrap_or(&Json::Null),
                (None, Some(only), None) => only,
                _ => return schema,
            };
        }
        schema
    }
}

/// What a variable says may be a secret, so only its name is shown. Options of the command line are for all to see anyway.
fn hidden(scalar: Scalar) -> Scalar {
    match &scalar.position {
        Position::Named(name) if !name.starts_with('-') => Scalar { shown: format!("${{env:{name}}}"), ..scalar },
        _ => scalar,
    }
}

/// Durations and sizes are written alike everywhere, and reach every driver in one unit: milliseconds, as a text, and bytes.
fn measured(unit: Option<Unit>, text: &str, as_text: bool) -> Option<Json> {
    match unit? {
        Unit::Duration => {
            let duration = parse_duration(text)?;
            let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
            (whole && as_text).then(|| format!("{}ms", duration.as_millis()).into())
        }
        Unit::Bytes => parse_size(text).map(Json::from),
    }
}

/// What a value should have been. A plain number is a size, but no duration: nobody would know the unit.
fn mismeasured(unit: Unit, value: &Value) -> Option<&'static str> {
    let right = match (unit, value) {
        (Unit::Duration, Value::Text(text)) => parse_duration(text).is_some(),
        (Unit::Duration, _) => false,
        (Unit::Bytes, Value::Text(text)) => parse_size(text).is_some(),
        (Unit::Bytes, _) => true,
    };
    let expected = match unit {
        Unit::Duration => "a duration such as 100ms, 30s or 5m",
        Unit::Bytes => "a size such as 64KiB or 4MiB",
    };
    (!right).then_some(expected)
}

fn parsed(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok().filter(|json: &Json| json.is_number() || json.is_boolean())
}
