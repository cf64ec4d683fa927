//! Parses a schema text ("Schema Declaration") like Avro's Java implementation. A few things that the specification leaves open or
//! forbids are accepted, because schemas in use rely on them. The code says why for each.

mod attributes;
mod defaults;
mod finish;
mod json;
mod named;

use std::collections::HashMap;

use serde_json::Value;

use self::attributes::{SchemaObject, properties};
pub(super) use self::defaults::example;
use super::{
    model::{AvroKind, AvroType, Properties, TypeGraph, TypeId},
    name::{self, COMPLEX_TYPES, FullName},
    pointer::PointerPath,
    primitive::Primitive,
};
use crate::{
    Dependency, InvalidSchema,
    budget::{BudgetExceeded, hold, spend},
};

/// The maximum nesting depth of JSON with all referenced types in place. The JSON parser allows 127.
pub(super) const MAX_DEPTH: usize = 120;

/// The number of steps for checking the defaults of a text, beyond one for each byte of the text.
const MAX_DEFAULT_STEPS: usize = 100_000;

/// The memory of a type beside its own size, in bytes.
const TYPE_BYTES: usize = 48;
/// The memory of a path beside its text, in bytes.
const PATH_BYTES: usize = 64;

/// Attributes of types that are never properties.
const RESERVED: [&str; 10] = ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];

/// Parses the dependencies and then the text. `strict`: whether namespaces and defaults of the text are checked. Those of the dependencies
/// never are, because they are registered already.
pub(super) fn read(text: &str, dependencies: &[Dependency], strict: bool) -> Result<TypeGraph, InvalidSchema> {
    let mut reader = AvroReader::default();
    for dependency in dependencies {
        reader.foreign = true;
        reader
            .parse_text(&dependency.text)
            .map_err(|wrong| InvalidSchema::new(format!("in the reference `{}`: {wrong}", dependency.name)))?;
    }
    reader.foreign = false;
    reader.strict = strict;
    let root = reader.parse_text(text).map_err(InvalidSchema::new)?;
    Ok(TypeGraph { nodes: reader.nodes, root })
}

/// The state of parsing all texts.
#[derive(Default)]
struct AvroReader {
    nodes: Vec<AvroType>,
    /// The types by full name.
    names: HashMap<String, TypeId>,
    /// Whether the current text is a dependency.
    foreign: bool,
    /// Whether namespaces and defaults of the current text are checked.
    strict: bool,
    deferred: DeferredChecks,
}

/// Checks that have to wait until all names of a text are known.
#[derive(Default)]
struct DeferredChecks {
    /// The index of the first type of the text.
    start: usize,
    forward: Vec<ForwardReference>,
    /// Types that another text defines too: the type, the other definition, and the path.
    duplicates: Vec<(TypeId, TypeId, String)>,
    /// Unions and their paths.
    unions: Vec<(TypeId, String)>,
    /// Fields with a default: the record, the index of the field, and the path of the default.
    defaults: Vec<(TypeId, usize, String)>,
}

/// A reference to a type that is defined later in the text. The specification requires definitions first; Java does not since 1.12. The
/// canonical text has the definition first, so every implementation can read it.
struct ForwardReference {
    id: TypeId,
    name: String,
    namespace: Option<String>,
    at: String,
}

/// Renders a path that a deferred check needs.
fn kept_path(at: PointerPath) -> Result<String, BudgetExceeded> {
    let path = at.to_string();
    spend(path.len() / 16)?;
    hold(path.len() + PATH_BYTES)?;
    Ok(path)
}

impl AvroReader {
    /// Parses one text. Its names are then known to the texts that follow.
    fn parse_text(&mut self, text: &str) -> Result<TypeId, String> {
        let value = json::read(text)?;
        self.deferred.start = self.nodes.len();
        let root = self.schema(&value, None, PointerPath::ROOT)?;
        self.finish(root, text.len())
    }

    fn add(&mut self, kind: AvroKind, properties: Properties) -> TypeId {
        self.nodes.push(AvroType { kind, properties, foreign: self.foreign });
        TypeId(self.nodes.len() - 1)
    }

    /// Parses a schema inside of a namespace.
    fn schema(&mut self, value: &Value, namespace: Option<&str>, at: PointerPath) -> Result<TypeId, String> {
        spend(4)?;
        hold(size_of::<AvroType>() + TYPE_BYTES)?;
        match value {
            Value::String(name) => self.resolve_name(name, namespace, at),
            Value::Object(object) => self.object(SchemaObject { object, at }, namespace),
            Value::Array(branches) => self.union(branches, namespace, at),
            Value::Null | Value::Bool(_) | Value::Number(_) => Err(format!(
                "{at}: {value} is not a schema; a schema is the name of a type, an object with a `type`, or a list of schemas, which is a union"
            )),
        }
    }

    /// Returns a primitive type or a reference to a named type.
    fn resolve_name(&mut self, name: &str, namespace: Option<&str>, at: PointerPath) -> Result<TypeId, String> {
        if let Some(primitive) = Primitive::from_name(name) {
            return Ok(self.add(AvroKind::Primitive(primitive), Properties::new()));
        }
        if let Some(id) = self.find_type(name, namespace) {
            return Ok(id);
        }
        let id = self.add(AvroKind::Forward, Properties::new());
        let namespace = namespace.map(str::to_owned);
        hold(name.len() + namespace.as_ref().map_or(0, String::len))?;
        self.deferred.forward.push(ForwardReference { id, name: name.to_owned(), namespace, at: kept_path(at)? });
        Ok(id)
    }

    /// Finds a type by its name. If the namespace has no such name, the type without a namespace is used. The specification doesn't say so,
    /// but Java has always done it.
    fn find_type(&self, name: &str, namespace: Option<&str>) -> Option<TypeId> {
        [namespace, None].into_iter().find_map(|namespace| {
            let name = FullName::in_any_namespace(name, namespace).ok()?;
            self.names.get(name.full()).copied()
        })
    }

    fn union(&mut self, branches: &[Value], namespace: Option<&str>, at: PointerPath) -> Result<TypeId, String> {
        let mut ids = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let at = at.index(index);
            if branch.is_array() {
                return Err(format!("{at}: a union directly in a union; list its types in the outer one"));
            }
            ids.push(self.schema(branch, namespace, at)?);
        }
        let id = self.add(AvroKind::Union(ids), Properties::new());
        self.deferred.unions.push((id, kept_path(at)?));
        Ok(id)
    }

    fn object(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let at = object.at;
        let type_name = object.type_name()?;
        if let Some(primitive) = Primitive::from_name(type_name) {
            return Ok(self.add(AvroKind::Primitive(primitive), properties(object, &RESERVED)?));
        }
        match type_name {
            "record" | "error" => self.record(object, namespace, type_name == "error"),
            "enum" => self.symbols(object, namespace),
            "fixed" => self.fixed(object, namespace),
            "array" => {
                let items = self.schema(object.required("items", "the type of the array's items")?, namespace, at.key("items"))?;
                Ok(self.add(AvroKind::Array(items), properties(object, &RESERVED)?))
            }
            "map" => {
                let values = self.schema(object.required("values", "the type of the map's values")?, namespace, at.key("values"))?;
                Ok(self.add(AvroKind::Map(values), properties(object, &RESERVED)?))
            }
            // The other attributes have no meaning here.
            _ => self.resolve_name(type_name, namespace, at.key("type")),
        }
    }

    /// Renders the error for an unknown type, with suggestions.
    fn unknown_type(&self, name: &str, at: &str) -> String {
        if let Err(wrong) = FullName::new(name, None) {
            return format!("{at}: not a type: {wrong}");
        }
        let logical = |on: &str| format!("; it is a logical type: write {{\"type\": \"{on}\", \"logicalType\": \"{name}\"}}");
        let hint = match name {
            "bool" | "Boolean" => "; did you mean `boolean`?".to_owned(),
            "integer" | "Integer" | "int32" => "; did you mean `int`?".to_owned(),
            "int64" | "bigint" => "; did you mean `long`?".to_owned(),
            "number" | "float64" => "; did you mean `double`?".to_owned(),
            "str" | "text" | "varchar" => "; did you mean `string`?".to_owned(),
            "binary" | "blob" => "; did you mean `bytes`?".to_owned(),
            "date" | "time-millis" => logical("int"),
            "uuid" => logical("string"),
            "decimal" => {
                "; it is a logical type: write {\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 9, \"scale\": 2}"
                    .to_owned()
            }
            "time-micros" => logical("long"),
            stamp if stamp.starts_with("timestamp-") || stamp.starts_with("local-timestamp-") => logical("long"),
            complex if COMPLEX_TYPES.contains(&complex) => {
                format!("; `{complex}` can't stand alone: write {{\"type\": \"{complex}\", …}} with what belongs to it")
            }
            other => {
                let primitives: Vec<&str> = Primitive::ALL.into_iter().map(Primitive::type_name).collect();
                name::suggest_names(other, self.names.keys().map(String::as_str).chain(primitives))
            }
        };
        format!(
            "{at}: `{name}` is not a type of Avro, and neither this text nor its references define it{hint}{} \
             If it is defined in another schema, add that one to `references`",
            if hint.ends_with('?') { "" } else { "." }
        )
    }
}
