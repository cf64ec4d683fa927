//! A schema taken apart: what it asserts itself, and the schemas that it is made of.

use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;
use serde_json::{Number, Value};

use super::documents::SchemaLocation;

/// A schema among others, by its index.
pub type SubschemaId = usize;

/// Kinds of values, as a set.
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
    /// Numbers that aren't whole.
    pub const FRACTION: Self = Self(64);
    pub const NUMBER: Self = Self(96);
    pub const ALL: Self = Self(127);

    /// Their names; `number` is both whole numbers and others.
    const NAMES: [(Self, &'static str); 7] = [
        (Self::NULL, "null"),
        (Self::BOOLEAN, "boolean"),
        (Self::OBJECT, "object"),
        (Self::ARRAY, "array"),
        (Self::STRING, "string"),
        (Self::NUMBER, "number"),
        (Self::INTEGER, "integer"),
    ];

    pub fn named(name: &str) -> Self {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map_or(Self::NONE, |(types, _)| types)
    }

    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Object(_) => Self::OBJECT,
            Value::Array(_) => Self::ARRAY,
            Value::String(_) => Self::STRING,
            Value::Number(number) if super::number::whole(number).is_some() || number.as_f64().is_some_and(|f| f.fract() == 0.0) => {
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

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Sets that are told apart when types are tried one by one; numbers are one.
    pub const PARTS: [Self; 8] =
        [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER, Self::INTEGER, Self::FRACTION];

    /// The indexes in [`Self::PARTS`] of the sets that it consists of.
    pub fn parts(self) -> Vec<usize> {
        let kinds = [Self::NULL, Self::BOOLEAN, Self::OBJECT, Self::ARRAY, Self::STRING, Self::NUMBER];
        kinds.into_iter().filter_map(|kind| Self::PARTS.iter().position(|part| *part == self.and(kind))).collect()
    }

    /// For people, as in `type`.
    pub fn title(self) -> String {
        let mut names = Vec::new();
        let mut rest = self;
        for (types, name) in Self::NAMES {
            if !rest.is_empty() && types.is_within(rest) {
                names.push(name);
                rest = rest.without(types);
            }
        }
        if rest.has(Self::FRACTION) {
            names.push("number (not whole)");
        }
        names.join(", ")
    }
}

/// Values of `enum` or `const`, and the same as texts in which `1` and `1.0` are one.
#[derive(Clone, Debug)]
pub struct ValueList {
    pub values: Arc<[Value]>,
    pub texts: Arc<HashSet<String>>,
}

impl ValueList {
    pub fn new(values: &[Value]) -> Self {
        Self { values: values.into(), texts: Arc::new(values.iter().map(text).collect()) }
    }

    pub fn has(&self, value: &Value) -> bool {
        self.texts.contains(&text(value))
    }
}

/// A value as a text that is the same for equal values.
pub fn text(value: &Value) -> String {
    match value {
        Value::Number(number) => super::number::whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, member)| format!("{}:{}", Value::from(name.as_str()), text(member))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        value => value.to_string(),
    }
}

/// A schema.
#[derive(Clone, Debug)]
pub struct Subschema {
    pub place: SchemaLocation,
    /// The keywords that it asserts itself, as a text; equal texts assert the same.
    pub shape: Arc<str>,
    /// `true` and `false` are schemas.
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
    /// Of `dependentRequired` and of the lists of `dependencies`.
    pub dependent_required: Arc<IndexMap<String, Vec<String>>>,
    pub min_items: u64,
    pub max_items: Option<u64>,
    pub unique: bool,
    pub min_contains: Option<u64>,
    pub max_contains: Option<u64>,
    pub has_default: bool,
    /// What it is made of.
    pub links: SubschemaLinks,
}

/// Schemas within a schema.
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
    /// Of `dependentSchemas` and of the schemas of `dependencies`.
    pub dependent: IndexMap<Arc<str>, SubschemaId>,
    pub prefix: Vec<SubschemaId>,
    pub items: Option<SubschemaId>,
    pub contains: Option<SubschemaId>,
    pub unevaluated_properties: Option<SubschemaId>,
    pub unevaluated_items: Option<SubschemaId>,
    /// All that a dynamic reference may mean, if that depends on how it is reached.
    pub dynamic: Vec<SubschemaId>,
    /// What `unevaluated…` says, as a schema with `additional` or `items`: as far as it holds whatever data looks like.
    pub rest_at_least: Option<SubschemaId>,
    /// The same, as much of it as there may be.
    pub rest_at_most: Option<SubschemaId>,
}

impl SubschemaLinks {
    /// All of them, by keyword and name.
    pub fn each(&self, mut visit: impl FnMut(&str, &str, SubschemaId)) {
        let options = [
            ("$ref", self.reference),
            ("not", self.not),
            ("additionalProperties", self.additional),
            ("propertyNames", self.property_names),
            ("items", self.items),
            ("contains", self.contains),
            ("unevaluatedProperties", self.unevaluated_properties),
            ("unevaluatedItems", self.unevaluated_items),
        ];
        for (keyword, id) in options {
            if let Some(id) = id {
                visit(keyword, "", id);
            }
        }
        let lists = [
            ("allOf", &self.all_of),
            ("anyOf", &self.any_of),
            ("oneOf", &self.one_of),
            ("prefixItems", &self.prefix),
            ("$dynamicRef", &self.dynamic),
        ];
        for (keyword, list) in lists {
            for (index, id) in list.iter().enumerate() {
                visit(keyword, &index.to_string(), *id);
            }
        }
        if let Some(condition) = self.condition {
            for (keyword, id) in ["if", "then", "else"].into_iter().zip(condition) {
                visit(keyword, "", id);
            }
        }
        let maps = [("properties", &self.properties), ("patternProperties", &self.patterns), ("dependentSchemas", &self.dependent)];
        for (keyword, map) in maps {
            for (name, id) in map {
                visit(keyword, name, *id);
            }
        }
    }

    /// Moves all of them by `offset`.
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
        ];
        options.into_iter().flatten().for_each(|id| *id += offset);
        let lists = [&mut self.all_of, &mut self.any_of, &mut self.one_of, &mut self.prefix, &mut self.dynamic];
        lists.into_iter().flatten().for_each(|id| *id += offset);
        self.condition.iter_mut().flatten().for_each(|id| *id += offset);
        let maps = [&mut self.properties, &mut self.patterns, &mut self.dependent];
        maps.into_iter().flat_map(IndexMap::values_mut).for_each(|id| *id += offset);
    }
}

impl Subschema {
    /// A schema that says nothing.
    pub fn anything(place: SchemaLocation) -> Self {
        Self {
            place,
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

    /// Whether it takes everything.
    pub fn is_anything(&self) -> bool {
        let mut linked = false;
        self.links.each(|_, _, _| linked = true);
        self.verdict != Some(false) && self.shape.is_empty() && !linked
    }
}
