//! Records, enums and fixed types: what has a name.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{
    super::{
        model::{AvroKind, Enum, Field, Fixed, NamedType, Order, Primitive, Properties, Record, TypeId},
        name::{self, FullName},
    },
    AvroReader, RESERVED,
    attributes::{SchemaObject, properties},
};

/// Attributes of an enum that are never properties.
const RESERVED_OF_ENUM: [&str; 11] =
    ["default", "doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];

/// Attributes of a field that are never properties.
const RESERVED_OF_FIELD: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

impl AvroReader {
    pub(super) fn record(&mut self, object: SchemaObject, namespace: Option<&str>, error: bool) -> Result<TypeId, String> {
        let named = names(object, namespace)?;
        let name = named.name.clone();
        let id = self.define(AvroKind::Record(Record { named, error, fields: Vec::new() }), object, &RESERVED)?;
        let list = object.required_list("fields", "which fields the record has, [] if none")?;
        let mut fields = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        let at = object.at.key("fields");
        for (index, field) in list.iter().enumerate() {
            let at = at.index(index);
            let Value::Object(field) = field else {
                return Err(format!("{at}: {field} is no field; a field is an object with `name` and `type`"));
            };
            let field = SchemaObject { object: field, at };
            let read = self.field(field, name.namespace())?;
            if !seen.insert(field.text("name")) {
                return Err(format!(
                    "{}: the record `{}` has two fields `{}`; rename or remove one",
                    at.key("name"),
                    name.full(),
                    read.name
                ));
            }
            if read.default.is_some() {
                self.later.defaults.push((id, index, at.key("default").to_string()));
            }
            fields.push(read);
        }
        if let AvroKind::Record(record) = &mut self.nodes[id.0].kind {
            record.fields = fields;
        }
        Ok(id)
    }

    fn field(&mut self, field: SchemaObject, namespace: Option<&str>) -> Result<Field, String> {
        let at = field.at;
        let name = field.required_text("name", "what the field is called")?;
        name::valid(name, name).map_err(|wrong| format!("{}: {wrong}", at.key("name")))?;
        let schema = self.schema(field.required("type", "what the field holds")?, namespace, at.key("type"))?;
        let default = field.object.get("default").map(|default| self.number(schema, default));
        Ok(Field {
            name: name.to_owned(),
            schema,
            doc: field.text("doc").map(str::to_owned),
            default,
            order: order(field)?,
            aliases: field.aliases()?.into_iter().map(str::to_owned).collect(),
            properties: properties(field, &RESERVED_OF_FIELD),
        })
    }

    /// Java reads numbers in quotes, too, as defaults of floating-point fields.
    fn number(&self, schema: TypeId, default: &Value) -> Value {
        let floating = matches!(self.nodes[schema.0].kind, AvroKind::Primitive(Primitive::Float | Primitive::Double));
        let number = default.as_str().filter(|_| floating).and_then(|text| text.trim().parse().ok()).and_then(Number::from_f64);
        number.map_or_else(|| default.clone(), Value::Number)
    }

    pub(super) fn symbols(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let named = names(object, namespace)?;
        let list = object.required_list("symbols", "which symbols the enum has")?;
        let mut symbols = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        let at = object.at.key("symbols");
        for (index, symbol) in list.iter().enumerate() {
            let at = at.index(index);
            let Value::String(symbol) = symbol else {
                return Err(format!("{at}: {symbol} is no symbol; a symbol is a name in quotes"));
            };
            name::valid(symbol, symbol).map_err(|wrong| format!("{at}: {wrong}"))?;
            if !seen.insert(symbol) {
                return Err(format!("{at}: the enum `{}` has the symbol `{symbol}` twice; remove one", named.name.full()));
            }
            symbols.push(symbol.clone());
        }
        // Anything but text is no default to Java, rather than a wrong one.
        let default = object.text("default").map(str::to_owned);
        if let Some(default) = default.as_ref().filter(|default| !symbols.contains(*default)) {
            return Err(format!(
                "{}: the default `{default}` is no symbol of the enum `{}`{}; take one of its symbols, or add it to them",
                object.at.key("default"),
                named.name.full(),
                name::near(default, symbols.iter().map(String::as_str)).trim_end_matches('?')
            ));
        }
        self.define(AvroKind::Enum(Enum { named, symbols, default }), object, &RESERVED_OF_ENUM)
    }

    pub(super) fn fixed(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let named = names(object, namespace)?;
        let size = object.required("size", "how many bytes the type has")?;
        let Some(size) = size.as_u64().filter(|size| i32::try_from(*size).is_ok()) else {
            return Err(format!("{}: {size} is no size; write a whole number of bytes, from 0 to {}", object.at.key("size"), i32::MAX));
        };
        self.define(AvroKind::Fixed(Fixed { named, size }), object, &RESERVED)
    }

    /// Makes a named type known. A type that another text defines, too, is looked at again when all of it is read.
    fn define(&mut self, kind: AvroKind, object: SchemaObject, reserved: &[&str]) -> Result<TypeId, String> {
        let name = kind.named().map(|named| named.name.full().to_owned()).unwrap_or_default();
        let properties: Properties = properties(object, reserved);
        let first = self.names.get(&name).copied();
        if first.is_some_and(|first| self.of_this_text(first)) {
            return Err(format!(
                "{}: `{name}` is defined a second time; write its name, \"{name}\", to refer to the first definition, or rename one",
                object.at
            ));
        }
        let id = self.add(kind, properties);
        match first {
            Some(first) => self.later.twins.push((id, first, object.at.to_string())),
            None => {
                self.names.insert(name, id);
            }
        }
        Ok(id)
    }

    /// Whether the text that is being read has defined a type.
    fn of_this_text(&self, id: TypeId) -> bool {
        id.0 >= self.later.start
    }
}

/// The names of a type, and what it says of itself.
fn names(object: SchemaObject, namespace: Option<&str>) -> Result<NamedType, String> {
    let namespace = object.text("namespace").or(namespace);
    let name = object.required_text("name", "what the type is called")?;
    let wrong = |wrong| format!("{}: {wrong}", object.at.key("name"));
    let name = FullName::new(name, namespace).map_err(wrong)?;
    if Primitive::from_word(name.full()).is_some() {
        return Err(wrong(format!(
            "`{}` is a type of Avro and can't be the name of another; rename it, or put it in a namespace",
            name.full()
        )));
    }
    let mut aliases: Vec<FullName> = Vec::new();
    let mut seen = HashSet::new();
    for alias in object.aliases()? {
        let alias = FullName::new(alias, name.namespace()).map_err(|wrong| format!("{}: {wrong}", object.at.key("aliases")))?;
        if seen.insert(alias.full().to_owned()) {
            aliases.push(alias);
        }
    }
    Ok(NamedType { name, doc: object.text("doc").map(str::to_owned), aliases })
}

fn order(field: SchemaObject) -> Result<Order, String> {
    let Some(order) = field.object.get("order") else { return Ok(Order::Ascending) };
    match order.as_str().map(str::to_lowercase).as_deref() {
        Some("ascending") => Ok(Order::Ascending),
        Some("descending") => Ok(Order::Descending),
        Some("ignore") => Ok(Order::Ignore),
        _ => Err(format!("{}: {order} is no order; write \"ascending\", \"descending\" or \"ignore\"", field.at.key("order"))),
    }
}
