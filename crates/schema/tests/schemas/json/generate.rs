//! Random schemas, random edits, and data that is likely to be valid.

use proptest::prelude::*;
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

const NAMES: [&str; 4] = ["a", "b", "c", "s_x"];
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "string", "integer", "number"];
/// Keywords whose values are schemas, lists of schemas, or schemas by name. `oneOf` is missing: registries accept wider branches of
/// `oneOf`, although data that matches two branches is then invalid. So its branches are not edited.
const WITHIN: [&str; 19] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "dependencies",
    "else",
    "if",
    "items",
    "not",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "dependentSchemas",
    "$defs",
];

fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    Value::Object(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn maybe<T: Into<Value> + std::fmt::Debug + Clone>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![2 => Just(None), 1 => strategy.prop_map(|value| Some(value.into()))]
}

fn leaf() -> impl Strategy<Value = Value> {
    let types = prop::sample::subsequence(TYPES.to_vec(), 1..3).prop_map(|types| json!({"type": types}));
    let text = (maybe(0..4_u64), maybe(2..5_u64), maybe(prop::sample::select(vec!["^a", "b$", "^[ab]*$"])), any::<bool>()).prop_map(
        |(min, max, pattern, typed)| {
            object([("type", typed.then(|| "string".into())), ("minLength", min), ("maxLength", max), ("pattern", pattern)])
        },
    );
    let kind = prop::sample::select(vec!["integer", "number"]);
    let number =
        (kind, maybe(-3..3_i64), maybe(0..5_i64), maybe(-2..2_i64), maybe(1..5_i64), maybe(prop::sample::select(vec![0.5, 1.0, 2.0, 4.0])))
            .prop_map(|(kind, min, max, above, below, step)| {
                object([
                    ("type", Some(kind.into())),
                    ("minimum", min),
                    ("maximum", max),
                    ("exclusiveMinimum", above),
                    ("exclusiveMaximum", below),
                    ("multipleOf", step),
                ])
            });
    let values = prop::sample::subsequence(
        vec![json!(null), json!(true), json!("a"), json!("ab"), json!(1), json!(2.5), json!({"a": 1}), json!([])],
        1..4,
    );
    prop_oneof![
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(json!({})),
        3 => types,
        3 => text,
        3 => number,
        2 => values.prop_map(|values| json!({"enum": values})),
        1 => prop::sample::select(vec![json!("a"), json!(1), json!(null)]).prop_map(|value| json!({"const": value})),
    ]
}

/// A random schema of draft 7, or of 2020-12 if `modern`.
pub fn schema(modern: bool) -> impl Strategy<Value = Value> {
    within(leaf(), modern)
}

/// A random schema with a definition that it refers to. The definition also refers to itself.
pub fn referring(modern: bool) -> impl Strategy<Value = (Value, Value)> {
    let reference = prop_oneof![3 => leaf(), 1 => Just(json!({"$ref": "#/$defs/x"}))];
    let definition = (schema(modern), any::<bool>()).prop_map(|(schema, closed)| {
        json!({"type": "object", "properties": {"a": schema, "b": {"$ref": "#/$defs/x"}}, "additionalProperties": !closed})
    });
    (within(reference, modern), definition)
}

fn within(leaf: impl Strategy<Value = Value> + 'static, modern: bool) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(3, 20, 4, move |inner| {
        let names = || prop::sample::subsequence(NAMES.to_vec(), 0..3);
        let schemas = || maybe(inner.clone());
        let properties = prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), inner.clone(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()));
        let closing = prop_oneof![2 => Just(None), 2 => Just(Some(json!(false))), 1 => inner.clone().prop_map(Some)];
        let objects = (properties, names(), closing.clone(), schemas(), maybe(0..3_u64), maybe(1..4_u64), schemas(), names()).prop_map(
            move |(properties, required, rest, pattern, min, max, by_name, needed)| {
                let patterns = pattern.map(|schema| json!({"^s_": schema}));
                let closing = if modern && required.len() == 2 { "unevaluatedProperties" } else { "additionalProperties" };
                let dependent = (!needed.is_empty()).then(|| json!({"a": needed}));
                let (by_name, depending) = if needed.len() == 1 { (None, by_name) } else { (by_name, None) };
                let depending = depending.map(|schema| json!({"b": schema}));
                object([
                    ("type", Some("object".into())),
                    ("properties", Some(properties)),
                    ("required", (!required.is_empty()).then(|| required.into())),
                    (closing, rest),
                    ("patternProperties", patterns),
                    ("minProperties", min),
                    ("maxProperties", max),
                    ("propertyNames", by_name),
                    (if modern { "dependentRequired" } else { "dependencies" }, if modern { dependent } else { depending.clone().or(dependent) }),
                    ("dependentSchemas", depending.filter(|_| modern)),
                ])
            },
        );
        let counts = (maybe(0..3_u64), maybe(1..3_u64));
        let arrays = (schemas(), prop::collection::vec(inner.clone(), 0..3), closing, maybe(0..3_u64), maybe(1..4_u64), any::<bool>(), schemas(), counts).prop_map(
            move |(items, item_schemas, rest, min, max, unique, contains, (min_contains, max_contains))| {
                let tuple = !item_schemas.is_empty();
                let (tuple_keyword, rest_keyword) = match (modern, unique) {
                    (true, true) => ("prefixItems", "unevaluatedItems"),
                    (true, false) => ("prefixItems", "items"),
                    (false, _) => ("items", "additionalItems"),
                };
                object([
                    ("type", Some("array".into())),
                    (if tuple { tuple_keyword } else { "items" }, if tuple { Some(item_schemas.into()) } else { items }),
                    (rest_keyword, rest.filter(|_| tuple)),
                    ("minItems", min),
                    ("maxItems", max),
                    ("uniqueItems", unique.then(|| true.into())),
                    ("minContains", min_contains.filter(|_| modern && contains.is_some())),
                    ("maxContains", max_contains.filter(|_| modern && contains.is_some())),
                    ("contains", contains),
                ])
            },
        );
        let several = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            4 => objects,
            3 => arrays,
            2 => several().prop_map(|list| json!({"anyOf": list})),
            2 => several().prop_map(|list| json!({"allOf": list})),
            1 => (several(), several(), any::<bool>()).prop_map(|(all, any, rest)| {
                json!({"allOf": all, "anyOf": any, "unevaluatedProperties": rest, "unevaluatedItems": rest})
            }),
            1 => prop::sample::subsequence(TYPES[..6].to_vec(), 1..4).prop_map(|types| {
                json!({"oneOf": types.into_iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>()})
            }),
            1 => inner.clone().prop_map(|schema| json!({"not": schema})),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(when, then, otherwise)| json!({"if": when, "then": then, "else": otherwise})),
        ]
    })
}

/// Collects the JSON pointers of a schema and of all schemas within it.
pub fn pointers(schema: &Value, at: &str, pointers_found: &mut Vec<String>) {
    pointers_found.push(at.to_owned());
    let Some(members) = schema.as_object() else { return };
    for (keyword, value) in members.iter().filter(|(keyword, _)| WITHIN.contains(&keyword.as_str())) {
        let at = format!("{at}/{keyword}");
        let is_map = ["properties", "patternProperties", "dependencies", "dependentSchemas", "$defs"].contains(&keyword.as_str());
        match value {
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(index, schema)| pointers(schema, &format!("{at}/{index}"), pointers_found))
            }
            Value::Object(map) if is_map => {
                for (name, schema) in map.iter().filter(|(_, schema)| !schema.is_array()) {
                    pointers(schema, &format!("{at}/{name}"), pointers_found);
                }
            }
            schema => pointers(schema, &at, pointers_found),
        }
    }
}

/// An edit: position, kind, number and schema.
pub type Edit = (prop::sample::Index, u8, i64, Value);

pub fn edits(modern: bool) -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..16_u8, -1..2_i64, schema(modern)), 1..6)
}

/// Returns the schema after some edits.
pub fn edited(schema: &Value, edits: &[Edit]) -> Value {
    let mut edited = schema.clone();
    for (position, kind, number, other) in edits {
        let mut pointers_found = Vec::new();
        pointers(&edited, "", &mut pointers_found);
        let at = position.get(&pointers_found).clone();
        if let Some(target) = edited.pointer_mut(&at) {
            edit(target, *kind, *number, other);
        }
    }
    edited
}

fn edit(target: &mut Value, kind: u8, number: i64, other: &Value) {
    let old = target.clone();
    let Some(members) = target.as_object_mut() else {
        *target = other.clone();
        return;
    };
    let name = NAMES[usize::try_from(number + 1).unwrap_or_default()];
    match kind {
        0 => *target = other.clone(),
        1 => *target = json!({"anyOf": [old, other]}),
        2 => *target = json!({"allOf": [old]}),
        3 => *target = json!({"anyOf": [old]}),
        4 | 5 => {
            if let Some(keyword) = members.keys().nth(usize::try_from(number + 1).unwrap_or_default()).cloned() {
                members.shift_remove(&keyword);
            }
        }
        6..=8 => {
            for (keyword, value) in members.iter_mut().filter(|(keyword, _)| keyword.starts_with('m') || keyword.starts_with("excl")) {
                if let Some(integer) = value.as_i64().filter(|_| keyword != "multipleOf") {
                    *value = (integer + number).max(if keyword.contains("um") { i64::MIN } else { 0 }).into();
                }
            }
        }
        9 => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert(name.to_owned(), other.clone());
            }
        }
        10 => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                properties.shift_remove(name);
            }
        }
        11 => {
            members.insert("additionalProperties".to_owned(), number.eq(&0).into());
        }
        12 => {
            if let Some(list) = members.get_mut("required").and_then(Value::as_array_mut) {
                list.pop();
            } else {
                members.insert("required".to_owned(), json!([name]));
            }
        }
        13 => {
            if let Some(list) = members.get_mut("enum").and_then(Value::as_array_mut).filter(|list| list.len() > 1) {
                list.remove(0);
            } else if let Some(list) = members.get_mut("anyOf").and_then(Value::as_array_mut) {
                list.push(other.clone());
            }
        }
        14 => {
            let types = members.get("type").and_then(Value::as_str).map(str::to_owned);
            if let Some(kind) = types {
                let mut types = vec![kind.clone()];
                types.extend(TYPES.into_iter().filter(|other| *other != kind).take(1).map(str::to_owned));
                members.insert("type".to_owned(), json!(types));
            }
        }
        _ => {
            members.insert("title".to_owned(), "edited".into());
        }
    }
}

/// Returns data that is likely to be valid, often at a boundary.
pub fn sample(root: &Value, schema: &Value, rng: &mut impl Rng, depth: usize) -> Value {
    let Some(members) = schema.as_object().filter(|members| !members.is_empty() && depth < 6) else { return any_value(rng, depth) };
    if let Some(target) = members.get("$ref").and_then(Value::as_str).and_then(|uri| root.pointer(uri.trim_start_matches('#'))) {
        return sample(root, target, rng, depth + 1);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branch) = members.get(keyword).and_then(Value::as_array).and_then(|list| list.choose(rng)) {
            return sample(root, branch, rng, depth + 1);
        }
    }
    if let Some(list) = members.get("allOf").and_then(Value::as_array).filter(|list| !list.is_empty()) {
        let samples: Vec<Value> = list.iter().map(|schema| sample(root, schema, rng, depth + 1)).collect();
        if let Some(objects) = samples.iter().map(Value::as_object).collect::<Option<Vec<_>>>() {
            return Value::Object(objects.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        return samples.choose(rng).cloned().unwrap_or_default();
    }
    if members.contains_key("if") {
        let keyword = *["if", "then", "else"].choose(rng).unwrap_or(&"if");
        return members.get(keyword).map_or(Value::Null, |schema| sample(root, schema, rng, depth + 1));
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        return values.choose(rng).cloned().unwrap_or_default();
    }
    if let Some(value) = members.get("const") {
        return value.clone();
    }
    let kind = match members.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.choose(rng).and_then(Value::as_str).unwrap_or("null").to_owned(),
        _ => (*TYPES.choose(rng).unwrap_or(&"null")).to_owned(),
    };
    let number = |keyword: &str| members.get(keyword).and_then(Value::as_i64);
    match kind.as_str() {
        "null" => Value::Null,
        "boolean" => rng.random::<bool>().into(),
        "string" => {
            let low = number("minLength").unwrap_or(0);
            let length = rng.random_range(low..=number("maxLength").unwrap_or(low + 3).max(low));
            (0..length).map(|_| *['a', 'b', 'c'].choose(rng).unwrap_or(&'a')).collect::<String>().into()
        }
        "integer" | "number" => {
            let real = |value: i64| f64::from(i32::try_from(value).unwrap_or_default());
            let edges = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map(number);
            let base = edges.into_iter().flatten().collect::<Vec<_>>().choose(rng).copied().unwrap_or(0);
            let value = base + rng.random_range(-2..3);
            if kind == "number" && rng.random_bool(0.4) {
                json!(real(value) + 0.5)
            } else if rng.random_bool(0.1) {
                json!(real(value))
            } else {
                value.into()
            }
        }
        "array" => sample_array(root, members, rng, depth),
        _ => sample_object(root, members, rng, depth),
    }
}

fn sample_array(root: &Value, members: &Map<String, Value>, rng: &mut impl Rng, depth: usize) -> Value {
    let number = |keyword: &str| members.get(keyword).and_then(Value::as_u64);
    let item_schemas =
        members.get("prefixItems").or_else(|| members.get("items").filter(|items| items.is_array())).and_then(Value::as_array);
    let rest = members.get("additionalItems").or_else(|| members.get("items").filter(|items| !items.is_array()));
    let low = number("minItems").unwrap_or(0);
    let high = number("maxItems").unwrap_or(low + 3).max(low);
    let position = |index: u64| item_schemas.and_then(|item_schemas| item_schemas.get(usize::try_from(index).ok()?)).or(rest);
    let contained = members.get("contains");
    (0..rng.random_range(low..=high))
        .map(|index| match contained.filter(|_| rng.random_bool(0.3)) {
            Some(schema) => sample(root, schema, rng, depth + 1),
            None => sample(root, position(index).unwrap_or(&Value::Bool(true)), rng, depth + 1),
        })
        .collect()
}

fn sample_object(root: &Value, members: &Map<String, Value>, rng: &mut impl Rng, depth: usize) -> Value {
    let mut object = Map::new();
    let properties = members.get("properties").and_then(Value::as_object);
    let required: Vec<&str> = members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let rest = members.get("additionalProperties").or_else(|| members.get("unevaluatedProperties")).unwrap_or(&Value::Bool(true));
    let pattern = members.get("patternProperties").and_then(|patterns| patterns.get("^s_"));
    for name in NAMES.into_iter().chain(["z", "s_"]) {
        let declared = properties.and_then(|properties| properties.get(name)).or(pattern.filter(|_| name.starts_with("s_")));
        let likely = if required.contains(&name) {
            0.95
        } else if declared.is_some() {
            0.5
        } else if *rest == Value::Bool(false) {
            0.02
        } else {
            0.25
        };
        if rng.random_bool(likely) {
            object.insert(name.to_owned(), sample(root, declared.unwrap_or(rest), rng, depth + 1));
        }
    }
    Value::Object(object)
}

fn any_value(rng: &mut impl Rng, depth: usize) -> Value {
    match rng.random_range(0..if depth < 4 { 8 } else { 5 }) {
        0 => Value::Null,
        1 => rng.random::<bool>().into(),
        2 => rng.random_range(-3..6).into(),
        3 => json!(f64::from(rng.random_range(-3..6)) + 0.5),
        4 => (*["", "a", "ab", "abc", "ba", "cccc"].choose(rng).unwrap_or(&"")).into(),
        5 => (0..rng.random_range(0..3)).map(|_| any_value(rng, depth + 1)).collect(),
        _ => NAMES
            .into_iter()
            .filter(|_| rng.random_bool(0.4))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|name| (name.to_owned(), any_value(rng, depth + 1)))
            .collect(),
    }
}
