//! Parses the named types: records, enums and fixed types.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{
    super::{
        model::{AvroKind, Enum, Field, Fixed, NamedType, Order, Properties, Record, TypeId},
        name::{self, FullName},
        primitive::Primitive,
    },
    AvroReader, RESERVED,
    attributes::{SchemaObject, properties},
    kept_path,
};
use crate::{
    budget::{hold, spend},
    text::hold_copy,
};

/// The memory of a name beside its text, in bytes.
const NAME_BYTES: usize = 64;

/// Attributes of an enum that are never properties.
const RESERVED_OF_ENUM: [&str; 11] =
    ["default", "doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];

/// Attributes of a field that are never properties.
const RESERVED_OF_FIELD: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

impl AvroReader {
    pub(super) fn record(&mut self, object: SchemaObject, namespace: Option<&str>, error: bool) -> Result<TypeId, String> {
        let named = parse_names(object, namespace, self.strict)?;
        let name = named.name.clone();
        let id = self.define(AvroKind::Record(Record { named, error, fields: Vec::new() }), object, &RESERVED)?;
        let list = object.required_list("fields", "which fields the record has, [] if none")?;
        let mut fields = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        let at = object.at.key("fields");
        for (index, field) in list.iter().enumerate() {
            let at = at.index(index);
            let Value::Object(field) = field else {
                return Err(format!("{at}: {field} is not a field; a field is an object with `name` and `type`"));
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
                self.deferred.defaults.push((id, index, kept_path(at.key("default"))?));
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
        hold(size_of::<Field>())?;
        let name = field.required_text("name", "what the field is called")?;
        name::validate_name(name, name).map_err(|wrong| format!("{}: {wrong}", at.key("name")))?;
        let schema = self.schema(field.required("type", "what the field holds")?, namespace, at.key("type"))?;
        let default = field.object.get("default");
        default.map_or(Ok(()), hold_copy)?;
        let default = default.map(|default| self.parse_default(schema, default));
        Ok(Field {
            name: name.to_owned(),
            schema,
            doc: field.text("doc").map(str::to_owned),
            default,
            order: parse_order(field)?,
            aliases: field.aliases()?.into_iter().map(str::to_owned).collect(),
            properties: properties(field, &RESERVED_OF_FIELD)?,
        })
    }

    /// Returns the default of a field. Java also accepts numbers in quotes as defaults of floating-point fields.
    fn parse_default(&self, schema: TypeId, default: &Value) -> Value {
        let floating = matches!(self.nodes[schema.0].kind, AvroKind::Primitive(Primitive::Float | Primitive::Double));
        let number = default.as_str().filter(|_| floating).and_then(|text| text.trim().parse().ok()).and_then(Number::from_f64);
        number.map_or_else(|| default.clone(), Value::Number)
    }

    pub(super) fn symbols(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let named = parse_names(object, namespace, self.strict)?;
        let list = object.required_list("symbols", "which symbols the enum has")?;
        let mut symbols = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        let at = object.at.key("symbols");
        for (index, symbol) in list.iter().enumerate() {
            let at = at.index(index);
            let Value::String(symbol) = symbol else {
                return Err(format!("{at}: {symbol} is not a symbol; a symbol is a name in quotes"));
            };
            name::validate_name(symbol, symbol).map_err(|wrong| format!("{at}: {wrong}"))?;
            hold(NAME_BYTES)?;
            spend(1)?;
            if !seen.insert(symbol) {
                return Err(format!("{at}: the enum `{}` has the symbol `{symbol}` twice; remove one", named.name.full()));
            }
            symbols.push(symbol.clone());
        }
        // Java ignores defaults that are not strings.
        let default = object.text("default").map(str::to_owned);
        if let Some(default) = default.as_ref().filter(|default| !symbols.contains(*default)) {
            return Err(format!(
                "{}: the default `{default}` is not a symbol of the enum `{}`{}; use one of its symbols, or add it to them",
                object.at.key("default"),
                named.name.full(),
                name::suggest_names(default, symbols.iter().map(String::as_str)).trim_end_matches('?')
            ));
        }
        self.define(AvroKind::Enum(Enum { named, symbols, default }), object, &RESERVED_OF_ENUM)
    }

    pub(super) fn fixed(&mut self, object: SchemaObject, namespace: Option<&str>) -> Result<TypeId, String> {
        let named = parse_names(object, namespace, self.strict)?;
        let size = object.required("size", "how many bytes the type has")?;
        let Some(size) = size.as_u64().filter(|size| i32::try_from(*size).is_ok()) else {
            return Err(format!("{}: {size} is not a size; write a whole number of bytes, from 0 to {}", object.at.key("size"), i32::MAX));
        };
        self.define(AvroKind::Fixed(Fixed { named, size }), object, &RESERVED)
    }

    /// Registers a named type. A type that another text defines too is compared with that definition later.
    fn define(&mut self, kind: AvroKind, object: SchemaObject, reserved: &[&str]) -> Result<TypeId, String> {
        let name = kind.named().map(|named| named.name.full().to_owned()).unwrap_or_default();
        let properties: Properties = properties(object, reserved)?;
        hold(2 * name.len() + NAME_BYTES)?;
        let first = self.names.get(&name).copied();
        if first.is_some_and(|first| self.is_in_current_text(first)) {
            return Err(format!(
                "{}: `{name}` is defined a second time; write its name, \"{name}\", to refer to the first definition, or rename one",
                object.at
            ));
        }
        let id = self.add(kind, properties);
        match first {
            Some(first) => self.deferred.duplicates.push((id, first, kept_path(object.at)?)),
            None => {
                self.names.insert(name, id);
            }
        }
        Ok(id)
    }

    /// Returns whether the current text defines a type.
    fn is_in_current_text(&self, id: TypeId) -> bool {
        id.0 >= self.deferred.start
    }
}

/// Parses the names, the documentation and the aliases of a type. `strict`: whether namespaces are checked.
fn parse_names(object: SchemaObject, namespace: Option<&str>, strict: bool) -> Result<NamedType, String> {
    let full_name = if strict { FullName::new } else { FullName::in_any_namespace };
    let namespace = object.text("namespace").or(namespace);
    let name = object.required_text("name", "what the type is called")?;
    let wrong = |wrong| format!("{}: {wrong}", object.at.key("name"));
    let name = full_name(name, namespace).map_err(wrong)?;
    if Primitive::from_name(name.full()).is_some() {
        return Err(wrong(format!(
            "`{}` is a type of Avro and can't be the name of another; rename it, or put it in a namespace",
            name.full()
        )));
    }
    let mut aliases: Vec<FullName> = Vec::new();
    let mut seen = HashSet::new();
    for alias in object.aliases()? {
        let alias = full_name(alias, name.namespace()).map_err(|wrong| format!("{}: {wrong}", object.at.key("aliases")))?;
        hold(alias.full().len() + NAME_BYTES)?;
        if seen.insert(alias.full().to_owned()) {
            aliases.push(alias);
        }
    }
    Ok(NamedType { name, doc: object.text("doc").map(str::to_owned), aliases })
}

fn parse_order(field: SchemaObject) -> Result<Order, String> {
    let Some(order) = field.object.get("order") else { return Ok(Order::Ascending) };
    match order.as_str().map(str::to_lowercase).as_deref() {
        Some("ascending") => Ok(Order::Ascending),
        Some("descending") => Ok(Order::Descending),
        Some("ignore") => Ok(Order::Ignore),
        _ => Err(format!("{}: {order} is not an order; write \"ascending\", \"descending\" or \"ignore\"", field.at.key("order"))),
    }
}
