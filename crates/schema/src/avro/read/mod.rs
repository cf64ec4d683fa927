//! Reading a text ("Schema Declaration"), as Avro's Java implementation reads it: a few things that the specification
//! leaves open or forbids are taken, since schemas that rely on them are in use. Each has its reason beside it.

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
    model::{AvroKind, AvroType, Primitive, Properties, TypeGraph, TypeId},
    name::{self, COMPLEX, FullName},
    pointer::PointerPath,
};
use crate::{Dependency, InvalidSchema};

/// Most levels of JSON that a text may have with all that it refers to in place. JSON itself is read to 127.
pub(super) const MAX_DEPTH: usize = 120;

/// Most steps that checking the defaults of a text may take, beyond one for each of its bytes.
const MAX_DEFAULT_STEPS: usize = 100_000;

/// Attributes that are never properties.
const RESERVED: [&str; 10] = ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];

/// Reads a text and, before it, all that it refers to.
pub(super) fn read(text: &str, dependencies: &[Dependency]) -> Result<TypeGraph, InvalidSchema> {
    let mut reader = AvroReader::default();
    for dependency in dependencies {
        reader.foreign = true;
        reader.text(&dependency.text).map_err(|wrong| InvalidSchema::new(format!("in the reference `{}`: {wrong}", dependency.name)))?;
    }
    reader.foreign = false;
    let root = reader.text(text).map_err(InvalidSchema::new)?;
    Ok(TypeGraph { nodes: reader.nodes, root })
}

/// What has been read so far, of all texts.
#[derive(Default)]
struct AvroReader {
    nodes: Vec<AvroType>,
    /// Types by their full names.
    names: HashMap<String, TypeId>,
    /// The text is one that another one refers to.
    foreign: bool,
    later: DeferredChecks,
}

/// What can be looked at only when all names of a text are known.
#[derive(Default)]
struct DeferredChecks {
    /// Where the types of the text start.
    start: usize,
    forward: Vec<ForwardReference>,
    /// Types that another text has defined already, with that definition.
    twins: Vec<(TypeId, TypeId, String)>,
    /// Unions and their places.
    unions: Vec<(TypeId, String)>,
    /// Records, the indexes of fields with a default, and the places of those.
    defaults: Vec<(TypeId, usize, String)>,
}

/// A name that was used before it was known. The specification wants definitions first; Java, since 1.12, doesn't. The
/// canonical text has the definition first, so it can be read everywhere.
struct ForwardReference {
    id: TypeId,
    name: String,
    namespace: Option<String>,
    at: String,
}

impl AvroReader {
    /// Reads one text, whose names are then known to those that follow.
    fn text(&mut self, text: &str) -> Result<TypeId, String> {
        let value = json::read(text)?;
        self.later.start = self.nodes.len();
        let root = self.schema(&value, None, PointerPath::ROOT)?;
        self.finish(root, text.len())
    }

    fn add(&mut self, kind: AvroKind, properties: Properties) -> TypeId {
        self.nodes.push(AvroType { kind, properties, foreign: self.foreign });
        TypeId(self.nodes.len() - 1)
    }

    /// Reads a schema that stands in a namespace.
    fn schema(&mut self, value: &Value, namespace: Option<&str>, at: PointerPath) -> Result<TypeId, String> {
        match value {
            Value::String(name) => Ok(self.named(name, namespace, at)),
            Value::Object(object) => self.object(SchemaObject { object, at }, namespace),
            Value::Array(branches) => self.union(branches, namespace, at),
            Value::Null | Value::Bool(_) | Value::Number(_) => Err(format!(
                "{at}: {value} is no schema; a schema is the name of a type, an object with a `type`, or a list of schemas, which is a union"
            )),
        }
    }

    /// A primitive type, or one that is defined elsewhere.
    fn named(&mut self, name: &str, namespace: Option<&str>, at: PointerPath) -> TypeId {
        if let Some(primitive) = Primitive::from_word(name) {
            return self.add(AvroKind::Primitive(primitive), Properties::new());
        }
        if let Some(id) = self.find(name, namespace) {
            return id;
        }
        let id = self.add(AvroKind::Forward, Properties::new());
        let namespace = namespace.map(str::to_owned);
        self.later.forward.push(ForwardReference { id, name: name.to_owned(), namespace, at: at.to_string() });
        id
    }

    /// A type by its name. A simple name that isn't known in its namespace may be one of no namespace; the
    /// specification doesn't say so, but Java always did it.
    fn find(&self, name: &str, namespace: Option<&str>) -> Option<TypeId> {
        [namespace, None].into_iter().find_map(|namespace| {
            let name = FullName::new(name, namespace).ok()?;
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
        self.later.unions.push((id, at.to_string()));
        Ok(id)
    }

    fn object(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let at = object.at;
        let word = object.word()?;
        if let Some(primitive) = Primitive::from_word(word) {
            return Ok(self.add(AvroKind::Primitive(primitive), properties(object, &RESERVED)));
        }
        match word {
            "record" | "error" => self.record(object, namespace, word == "error"),
            "enum" => self.symbols(object, namespace),
            "fixed" => self.fixed(object, namespace),
            "array" => {
                let items = self.schema(object.required("items", "the type of the array's items")?, namespace, at.key("items"))?;
                Ok(self.add(AvroKind::Array(items), properties(object, &RESERVED)))
            }
            "map" => {
                let values = self.schema(object.required("values", "the type of the map's values")?, namespace, at.key("values"))?;
                Ok(self.add(AvroKind::Map(values), properties(object, &RESERVED)))
            }
            // The other attributes say nothing then.
            _ => Ok(self.named(word, namespace, at.key("type"))),
        }
    }

    /// Says that a name means nothing, and what it may have been meant for.
    fn unknown(&self, name: &str, at: &str) -> String {
        if let Err(wrong) = FullName::new(name, None) {
            return format!("{at}: no type: {wrong}");
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
            complex if COMPLEX.contains(&complex) => {
                format!("; `{complex}` can't stand alone: write {{\"type\": \"{complex}\", …}} with what belongs to it")
            }
            other => {
                let words: Vec<&str> = Primitive::ALL.into_iter().map(Primitive::word).collect();
                name::near(other, self.names.keys().map(String::as_str).chain(words))
            }
        };
        format!(
            "{at}: `{name}` is not a type of Avro, and neither this text nor its references define it{hint}{} \
             If it is defined in another schema, add that one to `references`",
            if hint.ends_with('?') { "" } else { "." }
        )
    }
}
