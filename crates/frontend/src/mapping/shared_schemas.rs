//! The schemas in the components of a document. Each one is compiled once, when a value is first checked against it, whatever the number of
//! schemas that refer to it. A schema that was compiled together with all that it refers to would have a copy of half the document.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, OnceLock, Weak},
};

use jsonschema::{Draft, Keyword, ValidationError, Validator};
use serde_json::{Map, Value as Json, json};

use super::{ecma_pattern, subschemas};
use crate::json_pointer::unescape_token;

/// Maximum length of a description in bytes, because it may quote the request.
const MAX_DESCRIPTION: usize = 300;
/// Prefix of references to schemas.
const SCHEMAS: &str = "#/components/schemas/";
/// The keyword that replaces `$ref` in compiled schemas.
const LINK: &str = "x-prism-link";
/// Marks the path in the message of an error that comes from a linked schema.
const MARK: char = '\u{1}';

/// The schemas in the components of a document, by name.
#[derive(Debug, Default)]
pub struct SchemaComponents(BTreeMap<String, Component>);

#[derive(Debug)]
struct Component {
    /// The schema as JSON. Text takes a tenth of the memory of a tree.
    text: Box<str>,
    compiled: OnceLock<Option<Validator>>,
}

impl SchemaComponents {
    /// Collects the schemas of a document.
    pub fn new(schemas: impl IntoIterator<Item = (String, Json)>) -> Self {
        let component = |schema: Json| Component { text: schema.to_string().into(), compiled: OnceLock::new() };
        Self(schemas.into_iter().map(|(name, schema)| (name, component(schema))).collect())
    }

    /// Compiles a schema; `None`: it is not valid, which `prism frontend lint` reports.
    pub fn compile(self: &Arc<Self>, schema: &Json) -> Option<Validator> {
        self.build(schema, true).or_else(|| self.build(schema, false))
    }

    /// Compiles a schema, with or without the patterns that can't run.
    fn build(self: &Arc<Self>, schema: &Json, all: bool) -> Option<Validator> {
        // These keywords depend on what the schemas beside them have seen, so what they refer to must be a part of the schema.
        let mut whole = if has_unevaluated(schema) {
            self.around(schema)?
        } else {
            let mut linked = schema.clone();
            subschemas::each_mut(&mut linked, &mut |members| {
                if let Some(reference) = members.shift_remove("$ref") {
                    members.insert(LINK.to_owned(), reference);
                }
            });
            linked
        };
        if let Some(Json::Object(components)) = whole.pointer_mut("/components/schemas") {
            components.values_mut().for_each(|schema| rewrite_patterns(schema, all));
        }
        rewrite_patterns(&mut whole, all);
        let components = Arc::downgrade(self);
        let options = jsonschema::options().with_draft(Draft::Draft202012).offline();
        let options =
            options.with_keyword(LINK, move |_, value, _| Ok(Box::new(Link::new(components.clone(), value.as_str().unwrap_or_default()))));
        options.build(&whole).ok()
    }

    /// Returns a schema together with the components that it refers to.
    fn around(&self, schema: &Json) -> Option<Json> {
        let mut needed: BTreeMap<&str, Json> = BTreeMap::new();
        let mut wanted = Vec::new();
        references(schema, &mut wanted);
        while let Some(reference) = wanted.pop() {
            let Some((name, _)) = split_reference(&reference) else { continue };
            let Some((name, component)) = self.0.get_key_value(&*name) else { continue };
            if !needed.contains_key(name.as_str()) {
                let value = serde_json::from_str(&component.text).ok()?;
                references(&value, &mut wanted);
                needed.insert(name, value);
            }
        }
        let schemas: Map<String, Json> = needed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Some(json!({"components": {"schemas": schemas}, "allOf": [schema]}))
    }
}

/// Returns the name of the component that a reference leads to or into, and the pointer in that component.
fn split_reference(reference: &str) -> Option<(Cow<'_, str>, &str)> {
    let path = reference.strip_prefix(SCHEMAS)?;
    let (name, pointer) = path.split_at(path.find('/').unwrap_or(path.len()));
    Some((unescape_token(name), pointer))
}

/// Collects the references in a schema and its subschemas.
fn references(schema: &Json, found: &mut Vec<String>) {
    subschemas::each(schema, &mut |members| {
        if let Some(Json::String(reference)) = members.get("$ref") {
            found.push(reference.clone());
        }
    });
}

fn has_unevaluated(schema: &Json) -> bool {
    let mut found = false;
    subschemas::each(schema, &mut |members| {
        found |= members.contains_key("unevaluatedProperties") || members.contains_key("unevaluatedItems");
    });
    found
}

/// Rewrites the patterns of a schema for the validator. Leaves out those that it can't run, if `all` is false.
fn rewrite_patterns(schema: &mut Json, all: bool) {
    subschemas::each_mut(schema, &mut |members| {
        if let Some(Json::String(pattern)) = members.get("pattern") {
            if all || ecma_pattern::is_usable(pattern) {
                let rewritten = ecma_pattern::rewrite(pattern).into_owned();
                members.insert("pattern".to_owned(), rewritten.into());
            } else {
                members.shift_remove("pattern");
            }
        }
        if let Some(Json::Object(patterns)) = members.get_mut("patternProperties") {
            let usable = std::mem::take(patterns).into_iter().filter(|(pattern, _)| all || ecma_pattern::is_usable(pattern));
            *patterns = usable.map(|(pattern, schema)| (ecma_pattern::rewrite(&pattern).into_owned(), schema)).collect();
        }
    });
}

/// A reference to a component.
struct Link {
    /// The components have the validators that have the links, so a link must not keep them.
    components: Weak<SchemaComponents>,
    /// Name of the component.
    name: String,
    /// The pointer to the schema in the component; empty: the component itself.
    pointer: String,
    /// The schema, if the reference leads into a component.
    inside: OnceLock<Option<Validator>>,
}

thread_local! {
    /// The schemas that are being checked, with the values that they check.
    static ACTIVE: RefCell<Vec<(*const Validator, *const Json)>> = const { RefCell::new(Vec::new()) };
}

impl Link {
    /// Creates a link. What is no reference to a component leads to nothing.
    fn new(components: Weak<SchemaComponents>, reference: &str) -> Self {
        let (name, pointer) = split_reference(reference).unwrap_or_default();
        Self { components, name: name.into_owned(), pointer: pointer.to_owned(), inside: OnceLock::new() }
    }

    /// Calls a function with the validator. Returns `None` if the schema can't be used, or checks the same value already: a schema that
    /// refers to itself says nothing more.
    fn check<R>(&self, instance: &Json, check: impl FnOnce(&Validator) -> R) -> Option<R> {
        let components = self.components.upgrade()?;
        let component = components.0.get(&self.name)?;
        let parse = || serde_json::from_str::<Json>(&component.text).ok();
        let validator = match self.pointer.as_str() {
            "" => component.compiled.get_or_init(|| components.compile(&parse()?)).as_ref()?,
            pointer => self.inside.get_or_init(|| components.compile(parse()?.pointer(pointer)?)).as_ref()?,
        };
        let key = (std::ptr::from_ref(validator), std::ptr::from_ref(instance));
        let repeated = ACTIVE.with_borrow_mut(|active| {
            let repeated = active.contains(&key);
            active.push(key);
            repeated
        });
        let _active = Active;
        (!repeated).then(|| check(validator))
    }
}

/// Removes the last check from [`ACTIVE`] when it ends.
struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.with_borrow_mut(Vec::pop);
    }
}

impl<'i> Keyword<'i> for Link {
    fn validate(&self, instance: &'i Json) -> Result<(), ValidationError<'i>> {
        match self.check(instance, |validator| violation(validator, instance)) {
            Some(Some((path, description))) => Err(ValidationError::custom(format!("{MARK}{path}{MARK}{description}"))),
            _ => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Json) -> bool {
        self.check(instance, |validator| validator.is_valid(instance)).unwrap_or(true)
    }
}

/// Returns the first violation: the JSON pointer of the value, and a description.
pub fn violation(validator: &Validator, value: &Json) -> Option<(String, String)> {
    let error = validator.iter_errors(value).next()?;
    let path = error.instance_path().as_str().to_owned();
    let mut description = error.to_string();
    // The path in a linked schema begins at the value that the link checks.
    if let Some((inner, linked)) = description.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) {
        return Some((format!("{path}{inner}"), linked.to_owned()));
    }
    if description.len() > MAX_DESCRIPTION {
        // Without the value, so that the expectation is not cut off.
        description = error.masked_with("it").to_string();
    }
    if description.len() > MAX_DESCRIPTION {
        let end = (0..=MAX_DESCRIPTION).rev().find(|end| description.is_char_boundary(*end)).unwrap_or_default();
        description.truncate(end);
        description.push('…');
    }
    Some((path, description))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> Arc<SchemaComponents> {
        let schemas = json!({
            "Note": {"type": "object", "properties": {"text": {"$ref": "#/components/schemas/Text"}, "next": {"$ref": "#/components/schemas/Note"}}},
            "Text": {"type": "string", "maxLength": 3},
            "a/b": {"type": "integer", "default": {"$ref": "#/components/schemas/Text"}},
            "Open": {"allOf": [{"$ref": "#/components/schemas/Note"}], "unevaluatedProperties": false},
            "One": {"allOf": [{"$ref": "#/components/schemas/Other"}, {"minProperties": 1}]},
            "Other": {"anyOf": [{"$ref": "#/components/schemas/One"}, {"type": "object"}]},
        });
        Arc::new(SchemaComponents::new(schemas.as_object().unwrap().clone()))
    }

    #[test]
    fn linked_schemas_check_what_they_refer_to() {
        let components = components();
        let note = "#/components/schemas/Note";
        for (schema, good, bad, path) in [
            (json!({"$ref": note}), json!({"next": {"text": "abc"}}), json!({"next": {"next": {"text": "abcd"}}}), "/next/next/text"),
            (json!({"items": {"$ref": note}}), json!([{}]), json!([{}, {"text": 1}]), "/1/text"),
            (json!({"$ref": format!("{note}/properties/text")}), json!("abc"), json!("abcd"), ""),
            (json!({"$ref": "#/components/schemas/a~1b"}), json!(1), json!("a"), ""),
            (json!({"$ref": note, "required": ["text"]}), json!({"text": "a"}), json!({}), ""),
            (json!({"not": {"$ref": note}}), json!(1), json!({}), ""),
            (json!({"$ref": "#/components/schemas/Open"}), json!({"text": "a"}), json!({"other": 1}), ""),
            (json!({"$ref": "#/components/schemas/One"}), json!({"a": 1}), json!({}), ""),
            (json!({"pattern": "^[\\w-.]+$"}), json!("a-b"), json!("a b"), ""),
            (json!({"pattern": "(", "minLength": 2}), json!("ab"), json!("a"), ""),
            (json!({"patternProperties": {"^[\\w-.]$": {"type": "null"}}}), json!({"a": null}), json!({"a": 1}), "/a"),
        ] {
            let validator = components.compile(&schema).unwrap();
            assert!(violation(&validator, &good).is_none() && validator.is_valid(&good), "{schema}");
            let (found, description) = violation(&validator, &bad).unwrap();
            assert_eq!(found, path, "{schema}: {description}");
            assert!(!validator.is_valid(&bad) && !description.contains(MARK), "{schema}: {description}");
        }
        assert!(ACTIVE.with_borrow(Vec::is_empty));
        let other = &components.0["a/b"];
        assert!(other.compiled.get().is_some(), "a component is compiled when it is first used");
    }

    #[test]
    fn values_may_be_nested_as_deeply_as_json_allows() {
        let schemas = json!({"Tree": {"anyOf": [
            {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Tree"}},
            {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
            {"type": "integer"},
        ]}});
        let components = Arc::new(SchemaComponents::new(schemas.as_object().unwrap().clone()));
        let validator = components.compile(&json!({"$ref": "#/components/schemas/Tree"})).unwrap();
        let nested = |leaf: Json| (0..126).fold(leaf, |inner, level| if level % 2 == 0 { json!({"a": inner}) } else { json!([inner]) });
        assert!(validator.is_valid(&nested(json!(1))) && violation(&validator, &nested(json!(1))).is_none());
        assert!(!validator.is_valid(&nested(json!("x"))) && violation(&validator, &nested(json!("x"))).is_some());
    }

    #[test]
    fn a_schema_that_needs_its_parts_includes_them() {
        let components = components();
        let brought = |reference: &str| {
            let whole = components.around(&json!({"items": {"$ref": reference}})).unwrap();
            whole["components"]["schemas"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(brought("#/components/schemas/Note"), ["Note", "Text"]);
        assert_eq!(brought("#/components/schemas/Note/properties/text"), ["Note", "Text"]);
        assert_eq!(brought("#/components/schemas/a~1b"), ["a/b"], "a default is data");
    }
}
