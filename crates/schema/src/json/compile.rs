//! Compiles schema documents into a flat list of subschemas.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use super::{
    documents::{Documents, SchemaLocation},
    draft::Draft,
    ecma::is_pattern,
    node::{Subschema, SubschemaId, TypeSet, ValueList, normalized_text},
    unevaluated,
};
use crate::{
    InvalidSchema,
    budget::{BudgetExceeded, hold, spend},
};

/// The maximum number of subschemas, including those of referenced schemas.
const MAX_NODES: usize = 200_000;
/// The memory of a subschema beside its own size and its location, in bytes.
const NODE_BYTES: usize = 96;
/// The memory of a link to a subschema, in bytes.
const LINK_BYTES: usize = 56;
/// The memory of a value of `enum` or a name of `required` beside its text, in bytes.
const VALUE_BYTES: usize = 160;

/// Keywords that contain no schema, and the first draft that has them. Subschemas with equal values of these have equal shapes.
const ASSERTIONS: [(Draft, &str); 23] = [
    (Draft::Four, "type"),
    (Draft::Four, "enum"),
    (Draft::Six, "const"),
    (Draft::Four, "minimum"),
    (Draft::Four, "maximum"),
    (Draft::Four, "exclusiveMinimum"),
    (Draft::Four, "exclusiveMaximum"),
    (Draft::Four, "multipleOf"),
    (Draft::Four, "minLength"),
    (Draft::Four, "maxLength"),
    (Draft::Four, "pattern"),
    (Draft::Four, "format"),
    (Draft::Four, "minProperties"),
    (Draft::Four, "maxProperties"),
    (Draft::Four, "required"),
    (Draft::September2019, "dependentRequired"),
    (Draft::Four, "minItems"),
    (Draft::Four, "maxItems"),
    (Draft::Four, "uniqueItems"),
    (Draft::September2019, "minContains"),
    (Draft::September2019, "maxContains"),
    (Draft::Four, "contentEncoding"),
    (Draft::Four, "contentMediaType"),
];

/// Compiles all subschemas of the first document and of everything that it references. The first subschema is the root.
pub fn compile(documents: &mut Documents) -> Result<Vec<Subschema>, InvalidSchema> {
    let mut compiler =
        SchemaCompiler { documents, nodes: Vec::new(), ids: HashMap::new(), dynamic: HashMap::new(), choices: HashSet::new() };
    compiler.subschema_id(SchemaLocation { document: 0, pointer: "".into() })?;
    let mut next = 0;
    // A work list instead of recursion, because references can form chains of any length.
    while next < compiler.nodes.len() {
        compiler.compile_subschema(next)?;
        if compiler.nodes.len() > MAX_NODES {
            return Err(InvalidSchema::new(format!("the schema has more than {MAX_NODES} subschemas; split it, or remove unused ones")));
        }
        next += 1;
    }
    let mut nodes = compiler.nodes;
    unevaluated::add_translations(&mut nodes)?;
    Ok(nodes)
}

struct SchemaCompiler<'a> {
    documents: &'a mut Documents,
    nodes: Vec<Subschema>,
    ids: HashMap<SchemaLocation, SubschemaId>,
    /// For each name of a dynamic anchor, the choice of its targets.
    dynamic: HashMap<String, SubschemaId>,
    /// The choices of `dynamic`. They have no text to compile.
    choices: HashSet<SubschemaId>,
}

impl SchemaCompiler<'_> {
    /// Returns the subschema at a location, for a link to it.
    fn subschema_id(&mut self, location: SchemaLocation) -> Result<SubschemaId, BudgetExceeded> {
        spend(1 + location.pointer.len() / 32)?;
        hold(LINK_BYTES)?;
        if let Some(id) = self.ids.get(&location) {
            return Ok(*id);
        }
        hold(size_of::<Subschema>() + NODE_BYTES + location.pointer.len())?;
        self.nodes.push(Subschema::anything(location.clone()));
        self.ids.insert(location, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    fn compile_subschema(&mut self, id: SubschemaId) -> Result<(), InvalidSchema> {
        if self.choices.contains(&id) {
            return Ok(());
        }
        let location = self.nodes[id].location.clone();
        let draft = self.documents.get(location.document).draft;
        self.documents.count_name_bytes(location.pointer.len())?;
        let document = Arc::clone(&self.documents.get(location.document).value);
        match document.pointer(&location.pointer) {
            Some(Value::Bool(verdict)) => {
                self.nodes[id].verdict = Some(*verdict);
                if !verdict {
                    self.nodes[id].shape = "false".into();
                }
            }
            Some(Value::Object(members)) => {
                let reference = members.get("$ref").and_then(Value::as_str);
                if let Some(reference) = reference {
                    let target = self.documents.resolve(reference, &location)?;
                    let target = self.subschema_id(target)?;
                    self.nodes[id].links.reference = Some(target);
                }
                self.nodes[id].has_default = members.contains_key("default");
                // Definitions are checked even if nothing refers to them.
                for keyword in ["definitions", "$defs"] {
                    for name in members.get(keyword).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
                        self.subschema_id(location.below(&[keyword, name]))?;
                    }
                }
                if reference.is_none() || draft.reference_has_siblings() {
                    self.compile_assertions(id, members, draft)?;
                    self.compile_links(id, members, draft)?;
                }
            }
            // A placeholder for a missing `then` or `else`.
            _ => {}
        }
        Ok(())
    }

    fn compile_assertions(&mut self, id: SubschemaId, members: &Map<String, Value>, draft: Draft) -> Result<(), InvalidSchema> {
        let location = self.nodes[id].location.clone();
        let listed = |keyword: &str| members.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        let listed = listed("enum") + listed("required");
        hold(listed * VALUE_BYTES)?;
        spend(listed)?;
        let node = &mut self.nodes[id];
        let mut shape = String::new();
        for (since, keyword) in ASSERTIONS {
            if let Some(value) = members.get(keyword).filter(|_| draft >= since) {
                shape.push_str(keyword);
                shape.push_str(&normalized_text(value));
            }
        }
        let size = |keyword: &str| members.get(keyword).and_then(parse_size);
        let number = |keyword: &str| members.get(keyword).and_then(Value::as_number).cloned();
        let string = |keyword: &str| members.get(keyword).and_then(Value::as_str).map(Arc::<str>::from);
        node.types = members.get("type").map(parse_types);
        if let Some(values) = members.get("enum").and_then(Value::as_array) {
            node.values.push(ValueList::new(values));
        }
        if draft >= Draft::Six
            && let Some(value) = members.get("const")
        {
            node.values.push(ValueList::new(std::slice::from_ref(value)));
        }
        (node.minimum, node.maximum) = (number("minimum"), number("maximum"));
        if draft == Draft::Four {
            let is_exclusive = |keyword: &str| members.get(keyword) == Some(&Value::Bool(true));
            if is_exclusive("exclusiveMinimum") {
                node.exclusive_minimum = node.minimum.take();
            }
            if is_exclusive("exclusiveMaximum") {
                node.exclusive_maximum = node.maximum.take();
            }
        } else {
            (node.exclusive_minimum, node.exclusive_maximum) = (number("exclusiveMinimum"), number("exclusiveMaximum"));
        }
        node.multiple_of = number("multipleOf");
        (node.min_length, node.max_length) = (size("minLength").unwrap_or(0), size("maxLength"));
        (node.pattern, node.format) = (string("pattern"), string("format"));
        (node.min_properties, node.max_properties) = (size("minProperties").unwrap_or(0), size("maxProperties"));
        (node.min_items, node.max_items) = (size("minItems").unwrap_or(0), size("maxItems"));
        node.unique = members.get("uniqueItems") == Some(&Value::Bool(true));
        if draft >= Draft::September2019 {
            (node.min_contains, node.max_contains) = (size("minContains"), size("maxContains"));
        }
        node.required = members.get("required").map(parse_names).unwrap_or_default().into();
        let mut dependent = IndexMap::new();
        let since = if draft >= Draft::September2019 { &["dependencies", "dependentRequired"][..] } else { &["dependencies"] };
        for keyword in since {
            for (name, value) in members.get(*keyword).and_then(Value::as_object).into_iter().flatten() {
                if value.is_array() {
                    dependent.entry(name.clone()).or_insert_with(Vec::new).extend(parse_names(value));
                    shape.push_str(name);
                    shape.push_str(&normalized_text(value));
                }
            }
        }
        node.dependent_required = dependent.into();
        if let Some((keyword, reference, anchor)) = dynamic_reference(members, draft)
            && let Some(choice) = self.dynamic_choice(anchor)?
        {
            shape.push_str(keyword);
            shape.push_str(reference);
            self.nodes[id].links.dynamic = Some(choice);
        }
        hold(shape.len())?;
        spend(shape.len() / 16)?;
        let node = &mut self.nodes[id];
        node.shape = shape.into();
        if let Some(pattern) = node.pattern.as_ref().filter(|pattern| !is_pattern(pattern)) {
            return Err(invalid_pattern(pattern, &location.below(&["pattern"])));
        }
        Ok(())
    }

    /// Returns the choice of the targets of a dynamic anchor, if there are several. Their number is counted once for each anchor.
    fn dynamic_choice(&mut self, anchor: &str) -> Result<Option<SubschemaId>, BudgetExceeded> {
        if let Some(choice) = self.dynamic.get(anchor) {
            return Ok(Some(*choice));
        }
        let Some(targets) = self.documents.dynamic_anchors(anchor).map(<[_]>::to_vec) else { return Ok(None) };
        let any_of = targets.into_iter().map(|location| self.subschema_id(location)).collect::<Result<Vec<_>, _>>()?;
        hold(size_of::<Subschema>())?;
        let mut choice = Subschema::anything(self.nodes[0].location.clone());
        choice.links.any_of = any_of;
        self.nodes.push(choice);
        self.choices.insert(self.nodes.len() - 1);
        self.dynamic.insert(anchor.to_owned(), self.nodes.len() - 1);
        Ok(Some(self.nodes.len() - 1))
    }

    fn compile_links(&mut self, id: SubschemaId, members: &Map<String, Value>, draft: Draft) -> Result<(), InvalidSchema> {
        let location = self.nodes[id].location.clone();
        let mut links = std::mem::take(&mut self.nodes[id].links);
        for (keyword, value) in members {
            let is_schema = value.is_object() || value.is_boolean();
            match (keyword.as_str(), value) {
                ("allOf", Value::Array(list)) => links.all_of.extend(self.list_ids(&location, keyword, list)?),
                ("anyOf", Value::Array(list)) => links.any_of = self.list_ids(&location, keyword, list)?,
                ("oneOf", Value::Array(list)) => links.one_of = self.list_ids(&location, keyword, list)?,
                ("prefixItems", Value::Array(list)) if draft >= Draft::December2020 => {
                    links.prefix = self.list_ids(&location, keyword, list)?;
                }
                ("items", Value::Array(list)) if draft < Draft::December2020 => links.prefix = self.list_ids(&location, keyword, list)?,
                ("properties", Value::Object(map)) => links.properties = self.map_ids(&location, keyword, map)?,
                ("patternProperties", Value::Object(map)) => {
                    if let Some(pattern) = map.keys().find(|pattern| !is_pattern(pattern)) {
                        return Err(invalid_pattern(pattern, &location.below(&[keyword])));
                    }
                    links.patterns = self.map_ids(&location, keyword, map)?;
                }
                ("dependencies" | "dependentSchemas", Value::Object(map)) if keyword == "dependencies" || draft >= Draft::September2019 => {
                    for (name, _) in map.iter().filter(|(_, value)| !value.is_array()) {
                        links.dependent.insert(name.as_str().into(), self.subschema_id(location.below(&[keyword, name]))?);
                    }
                }
                ("additionalProperties", _) => links.additional = Some(self.subschema_id(location.below(&[keyword]))?),
                ("additionalItems", _) if draft < Draft::December2020 && members.get("items").is_some_and(Value::is_array) => {
                    links.items = Some(self.subschema_id(location.below(&[keyword]))?);
                }
                ("items", _) if is_schema => links.items = Some(self.subschema_id(location.below(&[keyword]))?),
                ("not", _) => links.not = Some(self.subschema_id(location.below(&[keyword]))?),
                ("propertyNames", _) if draft >= Draft::Six => links.property_names = Some(self.subschema_id(location.below(&[keyword]))?),
                ("contains", _) if draft >= Draft::Six => links.contains = Some(self.subschema_id(location.below(&[keyword]))?),
                ("if", _) if draft >= Draft::Seven => {
                    let mut part = |keyword| self.subschema_id(location.below(&[keyword]));
                    links.condition = Some([part("if")?, part("then")?, part("else")?]);
                }
                ("unevaluatedProperties", _) if draft >= Draft::September2019 => {
                    links.unevaluated_properties = Some(self.subschema_id(location.below(&[keyword]))?);
                }
                ("unevaluatedItems", _) if draft >= Draft::September2019 => {
                    links.unevaluated_items = Some(self.subschema_id(location.below(&[keyword]))?);
                }
                ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    if let Some((_, reference, anchor)) = dynamic_reference(members, draft).filter(|(known, ..)| known == keyword) {
                        let target = self.documents.resolve(reference, &location)?;
                        if self.dynamic_choice(anchor)?.is_none() {
                            links.all_of.push(self.subschema_id(target)?);
                        }
                    }
                }
                _ => {}
            }
        }
        self.nodes[id].links = links;
        Ok(())
    }

    fn list_ids(&mut self, location: &SchemaLocation, keyword: &str, list: &[Value]) -> Result<Vec<SubschemaId>, BudgetExceeded> {
        (0..list.len()).map(|index| self.subschema_id(location.below(&[keyword, &index.to_string()]))).collect()
    }

    fn map_ids(
        &mut self,
        location: &SchemaLocation,
        keyword: &str,
        map: &Map<String, Value>,
    ) -> Result<IndexMap<Arc<str>, SubschemaId>, BudgetExceeded> {
        map.keys().map(|name| Ok((name.as_str().into(), self.subschema_id(location.below(&[keyword, name]))?))).collect()
    }
}

/// Returns the keyword, the reference and the anchor of a dynamic reference.
fn dynamic_reference(members: &Map<String, Value>, draft: Draft) -> Option<(&'static str, &str, &str)> {
    let keyword = match draft {
        Draft::September2019 => "$recursiveRef",
        Draft::December2020 => "$dynamicRef",
        _ => return None,
    };
    let reference = members.get(keyword)?.as_str()?;
    let anchor = if draft == Draft::September2019 { "#" } else { reference.rsplit('#').next()? };
    Some((keyword, reference, anchor))
}

fn invalid_pattern(pattern: &str, location: &SchemaLocation) -> InvalidSchema {
    InvalidSchema::new(format!("`{pattern}` at `{}` is not a regular expression (ECMA 262)", location.pointer))
}

fn parse_types(value: &Value) -> TypeSet {
    match value {
        Value::String(name) => TypeSet::from_name(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(TypeSet::from_name).fold(TypeSet::NONE, TypeSet::or),
        _ => TypeSet::ALL,
    }
}

fn parse_names(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Parses a size. Newer drafts allow `2.0`.
fn parse_size(value: &Value) -> Option<u64> {
    let number: &Number = value.as_number()?;
    number.as_u64().or_else(|| u64::try_from(super::number::as_integer(number)?).ok())
}
