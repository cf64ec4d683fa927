//! A minimal implementation of the Avro specification: a model of schemas, data, and a codec that resolves written data to a reader's
//! schema. It shares no code with Prism's engine, which is compared with it.

pub mod codec;
pub mod data;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// A type. Named types are looked up in [`Types`].
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Named(String),
}

/// The definition of a named type.
#[derive(Clone, Debug)]
pub enum Definition {
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed(usize),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub holds: Type,
    pub default: Option<Value>,
    pub aliases: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Named {
    pub is: Definition,
    pub aliases: Vec<String>,
}

/// A schema.
#[derive(Clone, Debug)]
pub struct Types {
    pub root: Type,
    pub named: HashMap<String, Named>,
}

impl Types {
    /// Parses a valid schema.
    pub fn read(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let mut names = HashSet::new();
        define(&json, "", &mut names);
        let mut named = HashMap::new();
        let root = read(&json, "", &names, &mut named);
        Self { root, named }
    }

    pub fn definition(&self, name: &str) -> &Definition {
        &self.named[name].is
    }
}

fn full(name: &str, namespace: &str) -> String {
    if let Some(bare) = name.strip_prefix('.') {
        bare.to_owned()
    } else if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// Returns the full name of a definition, and the namespace for the names within it.
fn name_of(json: &Value, namespace: &str) -> (String, String) {
    let namespace = json["namespace"].as_str().unwrap_or(namespace);
    let name = full(json["name"].as_str().unwrap(), namespace);
    let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    (name, inner)
}

fn define(json: &Value, namespace: &str, names: &mut HashSet<String>) {
    match (json, json["type"].as_str()) {
        (Value::Array(branches), _) => branches.iter().for_each(|branch| define(branch, namespace, names)),
        (_, Some("array")) => define(&json["items"], namespace, names),
        (_, Some("map")) => define(&json["values"], namespace, names),
        (_, Some("record" | "enum" | "fixed")) => {
            let (name, inner) = name_of(json, namespace);
            names.insert(name);
            for field in json["fields"].as_array().into_iter().flatten() {
                define(&field["type"], &inner, names);
            }
        }
        _ => {}
    }
}

fn texts(json: &Value) -> Vec<String> {
    json.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn read(json: &Value, namespace: &str, names: &HashSet<String>, named: &mut HashMap<String, Named>) -> Type {
    if let Value::Array(branches) = json {
        return Type::Union(branches.iter().map(|branch| read(branch, namespace, names, named)).collect());
    }
    let word = json.as_str().or_else(|| json["type"].as_str()).unwrap();
    match word {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::String,
        "array" => Type::Array(Box::new(read(&json["items"], namespace, names, named))),
        "map" => Type::Map(Box::new(read(&json["values"], namespace, names, named))),
        "record" | "enum" | "fixed" => {
            let (name, inner) = name_of(json, namespace);
            let aliases = texts(&json["aliases"]).iter().map(|alias| full(alias, &inner)).collect();
            let is = match word {
                "record" => {
                    let field = |field: &Value| Field {
                        name: field["name"].as_str().unwrap().to_owned(),
                        holds: read(&field["type"], &inner, names, named),
                        default: field.get("default").cloned(),
                        aliases: texts(&field["aliases"]),
                    };
                    Definition::Record(json["fields"].as_array().unwrap().iter().map(field).collect())
                }
                "enum" => Definition::Enum { symbols: texts(&json["symbols"]), default: json["default"].as_str().map(str::to_owned) },
                _ => Definition::Fixed(usize::try_from(json["size"].as_u64().unwrap()).unwrap()),
            };
            named.insert(name.clone(), Named { is, aliases });
            Type::Named(name)
        }
        name => {
            let here = full(name, namespace);
            Type::Named(if names.contains(&here) { here } else { full(name, "") })
        }
    }
}
