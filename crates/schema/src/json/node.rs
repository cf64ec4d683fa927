//! The data model of a JSON schema: a list of subschemas with their own assertions and links to each other.

use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;
use serde_json::{Number, Value};

use super::documents::SchemaLocation;

/// The index of a subschema.
pub type SubschemaId = usize;

/// A set of JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeSet(u8);

impl TypeSet {
    pub const NONE: Self = Self(0);
    pub const NULL: Self = Self(1);
    pub const BOOLEAN: Self = Self(2);
    pub const OBJECT: Self = Self(4);
    pub const ARRAY: Self = Self(8);
    pub const STRING: Self = Self(16);
    pub const INTEGER: Self = Self(32);
    /// Numbers that aren't integers.
    pub const FRACTION: Self = Self(64);
    pub const NUMBER: Self = Self(96);
    pub const ALL: Self = Self(127);

    /// The types by name. `number` contains the integers.
    const NAMES: [(Self, &'static str); 7] = [
        (Self::NULL, "null"),
        (Self::BOOLEAN, "boolean"),
        (Self::OBJECT, "object"),
        (Self::ARRAY, "array"),
        (Self::STRING, "string"),
        (Self::NUMBER, "number"),
        (Self::INTEGER, "integer"),
    ];

    pub fn from_name(name: &str) -> Self {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map_or(Self::NONE, |(types, _)| types)
    }

    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Object(_) => Self::OBJECT,
            Value::Array(_) => Self::ARRAY,
            Value::String(_) => Self::STRING,
            Value::Number(number) if super::number::as_integer(number).is_some() || number.as_f64().is_some_and(|f| f.fract() == 0.0) => {
                Self::INTEGER
            }
            Value::Number(_) => Self::FRACTION,
        }
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The sets that are tried one by one when a type is open. `number` is one of them, including integers.
    pub const PARTS: [Self; 8] =
        [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER, Self::INTEGER, Self::FRACTION];

    /// Returns the indexes in [`Self::PARTS`] of the sets that make up this set.
    pub fn parts(self) -> Vec<usize> {
        let kinds = [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER];
        kinds.into_iter().filter_map(|kind| Self::PARTS.iter().position(|part| *part == self.and(kind))).collect()
    }

    /// Returns the names for messages, as they are written in `type`.
    pub fn title(self) -> String {
        let mut names = Vec::new();
        let mut rest = self;
        for (types, name) in Self::NAMES {
            if !rest.is_empty() && types.is_within(rest) {
                names.push(name);
                rest = rest.without(types);
            }
        }
        if rest.intersects(Self::FRACTION) {
            names.push("number (not whole)");
        }
        names.join(", ")
    }
}

/// The values of `enum` or `const`, also as normalized texts in which `1` and `1.0` are equal.
#[derive(Clone, Debug)]
pub struct ValueList {
    pub values: Arc<[Value]>,
    pub texts: Arc<HashSet<String>>,
}

impl ValueList {
    pub fn new(values: &[Value]) -> Self {
        Self { values: values.into(), texts: Arc::new(values.iter().map(normalized_text).collect()) }
    }

    pub fn contains(&self, value: &Value) -> bool {
        self.texts.contains(&normalized_text(value))
    }
}

/// Renders a value as a text that is the same for equal values.
pub fn normalized_text(value: &Value) -> String {
    match value {
        Value::Number(number) => super::number::as_integer(number).map_or_else(|| number.to_string(), |whole| whole.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(normalized_text).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, member)| format!("{}:{}", Value::from(name.as_str()), normalized_text(member))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        value => value.to_string(),
    }
}

/// One subschema: its own assertions, and links to the schemas inside of it.
#[derive(Clone, Debug)]
pub struct Subschema {
    pub location: SchemaLocation,
    /// A fingerprint of the assertions without those of linked schemas. Equal fingerprints assert the same.
    pub shape: Arc<str>,
    /// The value of a boolean schema.
    pub verdict: Option<bool>,
    pub types: Option<TypeSet>,
    pub values: Vec<ValueList>,
    pub minimum: Option<Number>,
    pub maximum: Option<Number>,
    pub exclusive_minimum: Option<Number>,
    pub exclusive_maximum: Option<Number>,
    pub multiple_of: Option<Number>,
    pub min_length: u64,
    pub max_length: Option<u64>,
    pub pattern: Option<Arc<str>>,
    pub format: Option<Arc<str>>,
    pub min_properties: u64,
    pub max_properties: Option<u64>,
    pub required: Arc<[String]>,
    /// From `dependentRequired` and the lists of `dependencies`.
    pub dependent_required: Arc<IndexMap<String, Vec<String>>>,
    pub min_items: u64,
    pub max_items: Option<u64>,
    pub unique: bool,
    pub min_contains: Option<u64>,
    pub max_contains: Option<u64>,
    pub has_default: bool,
    /// The linked subschemas.
    pub links: SubschemaLinks,
}

/// The subschemas that a subschema refers to, by keyword.
#[derive(Clone, Debug, Default)]
pub struct SubschemaLinks {
    pub reference: Option<SubschemaId>,
    pub all_of: Vec<SubschemaId>,
    pub any_of: Vec<SubschemaId>,
    pub one_of: Vec<SubschemaId>,
    pub not: Option<SubschemaId>,
    /// `if`, `then` and `else`.
    pub condition: Option<[SubschemaId; 3]>,
    pub properties: IndexMap<Arc<str>, SubschemaId>,
    pub patterns: IndexMap<Arc<str>, SubschemaId>,
    pub additional: Option<SubschemaId>,
    pub property_names: Option<SubschemaId>,
    /// From `dependentSchemas` and the schemas of `dependencies`.
    pub dependent: IndexMap<Arc<str>, SubschemaId>,
    pub prefix: Vec<SubschemaId>,
    pub items: Option<SubschemaId>,
    pub contains: Option<SubschemaId>,
    pub unevaluated_properties: Option<SubschemaId>,
    pub unevaluated_items: Option<SubschemaId>,
    /// A choice (`anyOf`) of the possible targets of a dynamic reference, if there are several. All references to one anchor share it.
    pub dynamic: Option<SubschemaId>,
    /// `unevaluated…` as `additional` or `items`: the part of it that holds for all data.
    pub rest_at_least: Option<SubschemaId>,
    /// The same: the most that it can mean for any data.
    pub rest_at_most: Option<SubschemaId>,
}

impl SubschemaLinks {
    /// Visits all links with their keyword and name.
    pub fn visit(&self, mut visitor: impl FnMut(&str, &str, SubschemaId)) {
        let options = [
            ("$ref", self.reference),
            ("not", self.not),
            ("additionalProperties", self.additional),
            ("propertyNames", self.property_names),
            ("items", self.items),
            ("contains", self.contains),
            ("unevaluatedProperties", self.unevaluated_properties),
            ("unevaluatedItems", self.unevaluated_items),
            ("$dynamicRef", self.dynamic),
        ];
        for (keyword, id) in options {
            if let Some(id) = id {
                visitor(keyword, "", id);
            }
        }
        let lists = [("allOf", &self.all_of), ("anyOf", &self.any_of), ("oneOf", &self.one_of), ("prefixItems", &self.prefix)];
        for (keyword, list) in lists {
            for (index, id) in list.iter().enumerate() {
                visitor(keyword, &index.to_string(), *id);
            }
        }
        if let Some(condition) = self.condition {
            for (keyword, id) in ["if", "then", "else"].into_iter().zip(condition) {
                visitor(keyword, "", id);
            }
        }
        let maps = [("properties", &self.properties), ("patternProperties", &self.patterns), ("dependentSchemas", &self.dependent)];
        for (keyword, map) in maps {
            for (name, id) in map {
                visitor(keyword, name, *id);
            }
        }
    }

    /// Returns whether there are no links.
    pub fn is_empty(&self) -> bool {
        let options = [
            self.reference,
            self.not,
            self.additional,
            self.property_names,
            self.items,
            self.contains,
            self.unevaluated_properties,
            self.unevaluated_items,
            self.dynamic,
        ];
        let lists = [&self.all_of, &self.any_of, &self.one_of, &self.prefix];
        let maps = [&self.properties, &self.patterns, &self.dependent];
        options.iter().all(Option::is_none)
            && self.condition.is_none()
            && lists.iter().all(|list| list.is_empty())
            && maps.iter().all(|map| map.is_empty())
    }

    /// Returns the number of links.
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.visit(|_, _, _| count += 1);
        count
    }

    /// Adds `offset` to all links.
    pub fn shift(&mut self, offset: usize) {
        let options = [
            &mut self.reference,
            &mut self.not,
            &mut self.additional,
            &mut self.property_names,
            &mut self.items,
            &mut self.contains,
            &mut self.unevaluated_properties,
            &mut self.unevaluated_items,
            &mut self.rest_at_least,
            &mut self.rest_at_most,
            &mut self.dynamic,
        ];
        options.into_iter().flatten().for_each(|id| *id += offset);
        let lists = [&mut self.all_of, &mut self.any_of, &mut self.one_of, &mut self.prefix];
        lists.into_iter().flatten().for_each(|id| *id += offset);
        self.condition.iter_mut().flatten().for_each(|id| *id += offset);
        let maps = [&mut self.properties, &mut self.patterns, &mut self.dependent];
        maps.into_iter().flat_map(IndexMap::values_mut).for_each(|id| *id += offset);
    }
}

impl Subschema {
    /// Returns a subschema that accepts everything.
    pub fn anything(location: SchemaLocation) -> Self {
        Self {
            location,
            shape: "".into(),
            verdict: None,
            types: None,
            values: Vec::new(),
            minimum: None,
            maximum: None,
            exclusive_minimum: None,
            exclusive_maximum: None,
            multiple_of: None,
            min_length: 0,
            max_length: None,
            pattern: None,
            format: None,
            min_properties: 0,
            max_properties: None,
            required: [].into(),
            dependent_required: Arc::default(),
            min_items: 0,
            max_items: None,
            unique: false,
            min_contains: None,
            max_contains: None,
            has_default: false,
            links: SubschemaLinks::default(),
        }
    }

    /// Returns whether it accepts everything.
    pub fn is_anything(&self) -> bool {
        self.verdict != Some(false) && self.shape.is_empty() && self.links.is_empty()
    }
}
